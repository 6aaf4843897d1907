"""What asking costs when nothing has changed: `python -m benchmarks.noop [--runs 5]`, after `make repro`.

`dvc repro` of the finished pipeline against `dvc status`, processor time of each, the least of several runs in turn.
"""

import argparse
import subprocess
import sys

from benchmarks.record import Report
from benchmarks.watch import timed

COMMANDS = ("status", "repro")


def cost(command: str) -> float:
    """CPU seconds of `dvc COMMAND`, which must find everything up to date."""
    told = []

    def ask() -> None:
        told.append(subprocess.run([sys.executable, "-m", "dvc", command], capture_output=True, text=True, check=True))

    _, cpu = timed(ask)
    if "up to date" not in told[0].stdout:
        raise SystemExit(f"dvc {command} found something to do; run `make repro` first:\n{told[0].stdout}")
    return cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs, report = parser.parse_args().runs, Report("noop")
    spent = {command: float("inf") for command in COMMANDS}
    for _ in range(runs):
        for command in COMMANDS:
            spent[command] = min(spent[command], cost(command))
    report.say(f"finished pipeline, least of {runs} runs: "
               + ", ".join(f"dvc {command} {seconds:.2f} CPU s" for command, seconds in spent.items()))  # fmt: skip
    report.figure(
        "no-op dvc repro / dvc status, the whole pipeline, CPU time", spent["repro"] / spent["status"], "times", 1.5
    )
    report.save()


if __name__ == "__main__":
    main()
