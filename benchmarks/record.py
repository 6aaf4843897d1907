"""What a benchmark prints and its figures with their bars, kept for the table that `benchmarks.results` makes.

A benchmark makes a `Report`, says its lines, and saves it as benchmarks/saved/NAME.json, which is under
version control: the table keeps what another machine measured.
"""

import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tasks.core.files import write_json
from tasks.lineage.machine import package_versions

ROOT = Path(__file__).parent.parent
SAVED = ROOT / "benchmarks" / "saved"
REAL = Path(os.environ.get("EMORIFF_REAL_DATA", ROOT.parent / "shared" / "real"))


@dataclass(frozen=True)
class Figure:
    """A measured number; `bar` is the number asked for, at most or at least, None where none was asked for."""

    what: str
    value: float
    unit: str = ""
    bar: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def line(self) -> str:
        """For people."""
        told = f"{self.what}: {shown(self.value)} {self.unit}".rstrip()
        if self.bar is None:
            return told
        return f"{told} (bar: {self.asked()}, {'met' if self.met else 'MISSED'})"

    def asked(self) -> str:
        """The bar as words."""
        if self.bar is None:
            return ""
        return f"{'at least' if self.at_least else 'at most'} {shown(self.bar)} {self.unit}".rstrip()


def real_clips() -> list[Path]:
    """Audio files of real music, where the machine has them."""
    return sorted(path for path in REAL.rglob("*") if path.suffix in (".mp3", ".ogg", ".wav"))


def shown(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass
class Report:
    """Lines and figures of one run of a benchmark."""

    name: str
    lines: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Print and keep."""
        print(text, flush=True)
        self.lines += text.split("\n")

    def figure(self, what: str, value: float, unit: str = "", bar: float | None = None, at_least: bool = False) -> None:
        """Print and keep a number for the table."""
        self.figures.append(Figure(what, float(value), unit, bar, at_least))
        self.say(self.figures[-1].line())

    def save(self) -> None:
        """Keep it for the table, with the machine it was measured on."""
        values = {"lines": self.lines, "figures": [asdict(one) for one in self.figures]}
        values |= {"command": command(), "machine": machine(), "versions": package_versions()}
        write_json(SAVED / f"{self.name}.json", values)


def command() -> str:
    """The command that runs now, without folders of this machine."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return " ".join(["python -m", f"benchmarks.{Path(sys.argv[0]).stem}", *words])


def machine() -> dict[str, Any]:
    """Processor, memory and system, without the machine's name; and how busy it is with other work."""
    models = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "processor": f"{os.cpu_count()} x {models[0] if models else 'unknown'}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load": round(os.getloadavg()[1], 1),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []
