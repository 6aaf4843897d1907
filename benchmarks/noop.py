"""What asking costs when nothing has changed: `python -m benchmarks.noop [--runs 5]`, after `make repro`.

`dvc repro` of the finished pipeline against `dvc status`, processor time of each, the least of several runs.
"""

import argparse
import subprocess
import sys

from benchmarks.record import Report
from benchmarks.watch import least


def dvc(command: str) -> None:
    """`dvc COMMAND`, which must find everything up to date."""
    done = subprocess.run([sys.executable, "-m", "dvc", command], capture_output=True, text=True, check=True)
    if "up to date" not in done.stdout:
        raise SystemExit(f"dvc {command} found something to do; run `make repro` first:\n{done.stdout}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs, report = parser.parse_args().runs, Report("noop")
    status, repro = (least(lambda command=command: dvc(command), runs)[1] for command in ("status", "repro"))
    report.say(f"finished pipeline, least of {runs} runs: dvc status {status:.2f} CPU s, dvc repro {repro:.2f} CPU s")
    report.figure("no-op dvc repro / dvc status, the whole pipeline, CPU time", repro / status, "times", 1.5)
    report.save()


if __name__ == "__main__":
    main()
