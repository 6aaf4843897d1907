"""`make fuzz`: every reader of foreign bytes on damaged files, in processes of its own, and a table.

    python -m tests.fuzz [--seed N] [--share 1.0] [--only NAME] [--show NAME NUMBER FOLDER]

Ends with 1 when there was a crash, a hang, or a process beyond its memory.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.readers import READERS, ROOT, Reader, damaged, lay, reader

MEMORY = "/dev/shm"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
COLUMNS = ("reader", "inputs", "read", "refused", "crashes", "hangs", "memory MiB", "bound MiB", "seconds")


@dataclass
class Tally:
    """What became of a reader's inputs."""

    reader: Reader
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    grown_mib: int = 0
    seconds: float = 0.0

    def row(self) -> list[str]:
        """Its line of the table."""
        counts = [self.kinds[kind] for kind in ("read", "refused", "crash", "hang")]
        return [
            *(self.reader.name, str(sum(counts)), *map(str, counts), str(self.grown_mib)),
            *(str(self.reader.mebibytes), f"{self.seconds:.0f}"),
        ]

    def take(self, outcome: dict[str, Any]) -> None:
        """Count an outcome; keep it where it is a finding."""
        self.kinds[outcome["kind"]] += 1
        self.grown_mib = max(self.grown_mib, outcome.get("grown_mib", 0))
        if outcome["kind"] not in ("read", "refused"):
            self.findings.append(outcome)


def fuzz(one: Reader, count: int, run_seed: int) -> Tally:
    """Read `count` damaged inputs; a worker that dies is followed by another that goes on behind."""
    tally, done, started = Tally(one), 0, time.monotonic()
    while done < count:
        with tempfile.TemporaryDirectory() as folder:
            died = work(one, run_seed, done, count - done, Path(folder))
            outcomes = Path(folder) / "outcomes.jsonl"
            lines = outcomes.read_text().splitlines() if outcomes.is_file() else []
        for line in lines:
            tally.take(json.loads(line))
        done += len(lines)
        if died:
            tally.take({"number": done, **died})
            done += 1
    tally.seconds = time.monotonic() - started
    return tally


def work(one: Reader, run_seed: int, first: int, count: int, folder: Path) -> dict[str, str] | None:
    """Run a worker; how it died, or None."""
    words = [sys.executable, "-m", "tests.fuzz.worker", one.name, str(run_seed), str(first), str(count), str(folder)]
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"TOKENIZERS_PARALLELISM": "false"}
    if os.access(MEMORY, os.W_OK):  # the inputs are many and small
        environment["TMPDIR"] = MEMORY
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return None
    if done.returncode > 0:  # not ended by a signal: an honest input was not read, or the harness is wrong
        raise SystemExit(f"{one.name}: the worker failed\n{done.stderr[-3000:]}")
    kind = "hang" if -done.returncode in (signal.SIGPROF, signal.SIGALRM) else "crash"
    return {"kind": kind, "text": f"the process ended with {done.returncode}: {done.stderr[-600:]}"}


def table(tallies: list[Tally]) -> str:
    """A line a reader, and the sum."""
    sums = ["all", *(str(sum(int(tally.row()[column]) for tally in tallies)) for column in range(1, 6)), "", ""]
    sums.append(f"{sum(tally.seconds for tally in tallies):.0f}")
    rows = [list(COLUMNS), *(tally.row() for tally in tallies), sums]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        row[0].ljust(widths[0])
        + "".join(cell.rjust(width + 2) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="damaged files for every reader of foreign bytes")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs")
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs of the long run")
    parser.add_argument("--only", help="one reader")
    parser.add_argument("--show", nargs=3, metavar=("NAME", "NUMBER", "FOLDER"), help="write one input to look at")
    wanted = parser.parse_args()
    if wanted.show:
        name, number, folder = wanted.show
        one = reader(name)
        lay(damaged(one, one.seeds(), int(number), wanted.seed), Path(folder))
        return 0
    tallies = []
    for one in READERS:
        if wanted.only in (None, one.name):
            tallies.append(fuzz(one, max(1, round(one.inputs * wanted.share)), wanted.seed))
            print("  ".join(tallies[-1].row()), flush=True)
            for finding in tallies[-1].findings[:10]:
                print(f"    input {finding['number']}, {finding['kind']}: {finding['text']}", flush=True)
    print(table(tallies))
    return int(any(tally.findings for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
