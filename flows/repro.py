"""`emoriff repro`: `dvc repro` with one lock, one Prefect server, and a table at the end."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from flows import server
from flows.run import tell
from tasks.cache import LOCAL
from tasks.entries import remove_corrupt
from tasks.locks import lock
from tasks.params import load


def repro(arguments: list[str]) -> int:
    """The exit code of DVC; a second run at the same time waits and says for whom."""
    load()
    with lock(LOCAL / "locks" / "repro.lock", wait=True, tell=tell):
        server.ensure(tell)
        code = dvc_repro(arguments)
        if code == 0 and (names := remove_corrupt(Path())):
            tell(f"corrupt entries in DVC's cache (their bytes do not have their hash), made again: {', '.join(names)}")
            code = dvc_repro(arguments)
    if code == 0:
        tell(results())
    return code


def dvc_repro(arguments: list[str]) -> int:
    """The exit code of `dvc repro`."""
    return subprocess.call([sys.executable, "-m", "dvc", "repro", *arguments], env=environment())


def environment() -> dict[str, str]:
    """The environment for DVC and its stages: this Python first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path}


COLUMNS = {"emotion_accuracy": "accuracy", "emotion_balanced_accuracy": "balanced", "valence_r": "valence r",
           "arousal_r": "arousal r", "kad": "KAD", "fad": "FAD"}  # fmt: skip


def results(path: Path = Path("reports/metrics.json")) -> str:
    """The small table of results: each measure with its interval, the judge beside it."""
    if not path.is_file():
        return "no results yet"
    metrics = json.loads(path.read_text())
    rows = [["", *COLUMNS.values()]]
    for name, measures in metrics["experiments"].items():
        rows.append([name, *(cell(measures.get(key)) for key in COLUMNS)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    judge = metrics["judge"]
    named = {
        "real_test_accuracy": "accuracy on unseen artists",
        "codec_accuracy": "after the codec",
        "chance": "chance",
    }
    lines.append("the judge on real music: " + ", ".join(f"{text} {cell(judge[key])}" for key, text in named.items()))
    lines.append(f"look and listen: {Path('reports/index.html').resolve()}")
    return "\n".join(lines)


def cell(measure: Any) -> str:
    """0.85 [0.80, 0.90]; a plain number as it is; - where it was not measured."""
    if isinstance(measure, float | int):
        return f"{measure:.2f}"
    if not measure or measure.get("value") is None:
        return "-"
    if measure.get("low") is None:
        return f"{measure['value']:.2f}"
    return f"{measure['value']:.2f} [{measure['low']:.2f}, {measure['high']:.2f}]"
