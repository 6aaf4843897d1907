"""benchmarks/results.md from what the benchmarks saved: one table of all bars, then what each of them printed.

python -m benchmarks.results                   # from benchmarks/saved/*.json, nothing is measured
python -m benchmarks.results codec denoise     # run these first; `all` runs those that finish within minutes
"""

import argparse
import json
import subprocess
import sys
from typing import Any

from benchmarks.record import ROOT, SAVED, Figure, shown
from tasks.core.files import write_text

TARGET = ROOT / "benchmarks" / "results.md"
TITLES = {
    "load": "From archives to data set",
    "noop": "When nothing has changed",
    "codec": "Spectrograms and the way back",
    "denoise": "Denoising",
    "training": "Training",
    "sampling": "Sampling",
    "features": "Features of a clip",
    "lineage": "Lineage",
}
QUICK = ("codec", "denoise", "training", "features", "lineage")
# `sampling` and `noop` need a finished run, `load` an hour


def saved() -> dict[str, dict[str, Any]]:
    """What was saved, by name of the benchmark, in the order of the titles."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(SAVED.glob("*.json"))}
    return {name: found[name] for name in [*TITLES, *sorted(set(found) - set(TITLES))] if name in found}


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """All figures that have a bar."""
    lines = ["| benchmark | figure | measured | asked for | |", "|---|---|---|---|---|"]
    for name, result in results.items():
        for figure in (Figure(**values) for values in result["figures"]):
            if figure.bar is not None:
                measured = f"{shown(figure.value)} {figure.unit}".rstrip()
                verdict = "met" if figure.met else "**missed**"
                lines.append(f"| {name} | {figure.what} | {measured} | {figure.asked()} | {verdict} |")
    return lines


def section(name: str, result: dict[str, Any]) -> list[str]:
    """What one benchmark printed, and where."""
    machine = result["machine"]
    place = f"{machine['processor']}, {machine['memory']}, {machine['system']}; load {machine['load']}"
    return [f"## {TITLES.get(name, name)}", "", f"`{result['command']}` on {place}", "", "```", *result["lines"], "```"]


def versions(results: dict[str, dict[str, Any]]) -> str:
    """Versions of the packages, each once for all benchmarks."""
    found = sorted({f"{name} {version}" for one in results.values() for name, version in one["versions"].items()})
    return ", ".join(found)


def page(results: dict[str, dict[str, Any]]) -> str:
    """The whole file."""
    missing = [name for name in TITLES if name not in results]
    lines = [
        "# What the benchmarks measured",
        "",
        "Made by `python -m benchmarks.results` from what each benchmark saved; nothing is written by hand. Ratios are",
        "of one run on one machine. `load` is how many processes wanted to run at the time, on average over five",
        "minutes: above the number of processors, wall times are stretched by other work, and processor times count.",
        "",
        *table(results),
        "",
        *([f"Not run: {', '.join(missing)}.", ""] if missing else []),
        f"Versions: {versions(results)}.",
    ]
    for name, result in results.items():
        lines += ["", *section(name, result)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="*", help="benchmarks to run first, by name")
    names = parser.parse_args().run
    for name in QUICK if names == ["all"] else names:
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=True)
    results = saved()
    if not results:
        parser.error(f"nothing saved below {SAVED.relative_to(ROOT)}: name benchmarks to run, as `codec`")
    write_text(TARGET, page(results))
    print(f"{TARGET.relative_to(ROOT)}: {', '.join(results)}")


if __name__ == "__main__":
    main()
