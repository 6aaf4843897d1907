"""`emoriff repro`: `dvc repro` with one lock, one Prefect server, and a table at the end."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from flows.engine import server
from flows.engine.run import echo
from tasks.core.errors import EmoriffError
from tasks.core.files import write_json
from tasks.core.layout import LOCAL, METRICS, PAGE
from tasks.core.reading import json_of, record_in, yaml_of
from tasks.core.storage import free_gib, replacing
from tasks.execution.locks import Pid, lock, runs
from tasks.lineage.cache_repair import remove_corrupt
from tasks.settings import load


@dataclass(frozen=True)
class Command:
    """A process of DVC, as its lock of paths names it."""

    pid: Pid
    cmd: str


@dataclass(frozen=True)
class PathLocks:
    """DVC's lock of paths: which processes read and which one writes each."""

    read: dict[str, list[Command]] = field(default_factory=dict)
    write: dict[str, Command] = field(default_factory=dict)


def repro(arguments: list[str]) -> int:
    """The exit code of DVC; a second run at the same time waits and says for whom."""
    load()
    with lock(LOCAL / "locks" / "repro.lock", wait=True, echo=echo):
        server.ensure(echo)
        code = dvc_repro(arguments)
        if code == 0 and (names := remove_corrupt(Path())):
            echo(f"corrupt entries in DVC's cache (their bytes do not have their hash), made again: {', '.join(names)}")
            code = dvc_repro(arguments)
    if code == 0:
        echo(results())
    return code


def dvc_repro(arguments: list[str]) -> int:
    """The exit code of `dvc repro`. DVC writes its lock file in place: one that a full disk cut short is put back."""
    before = LOCAL / "dvc.lock.before"
    before.unlink(missing_ok=True)  # of an earlier run
    if LOCK.is_file():
        with replacing(before) as copy:
            shutil.copyfile(LOCK, copy)
    wait_for_dvc()
    release_dead()
    code = subprocess.call([sys.executable, "-m", "dvc", "repro", *arguments], env=environment())
    if code and LOCK.is_file() and not whole(LOCK):
        if before.is_file():
            before.replace(LOCK)
        else:
            LOCK.unlink()
        echo(f"{LOCK} was cut short: it is as before this run; what was made since is found again by its content")
    if code and free_gib(LOCK) < FULL_GIB:
        echo(f"the disk is full ({free_gib(LOCK):.3f} GiB free)\n  what to do: free some space, then run the same "
             "command again: finished work is kept")  # fmt: skip
    return code


def wait_for_dvc() -> None:
    """Wait while a DVC at work holds paths here: one that its killed run left behind, or one started by hand.

    DVC does not wait: it would end our run with "is busy".
    """
    announced = False
    while others := [pid for pid in holders(path_locks()) if is_dvc(pid)]:
        if not announced:
            echo(f"waiting for DVC (process {others[0]}), which is at work here")
            announced = True
        time.sleep(0.2)


def path_locks() -> PathLocks:
    """DVC's lock of paths; an empty one where there is none, or another thing, of which DVC will speak."""
    return record_in(PATHS_LOCK, PathLocks) or PathLocks()


def is_dvc(pid: int) -> bool:
    """Whether the process runs and is a command of DVC: a number may have gone to another program since."""
    try:
        return runs(pid) and "dvc" in server.words_of(psutil.Process(pid))
    except psutil.Error:
        return False


def release_dead() -> None:
    """Drop what DVC's lock of paths says of processes that have ended.

    DVC does so itself, but takes a zombie for a running process: one whose init reaps late, or never, as in many
    containers, would hold its paths for ever.
    """
    found = path_locks()
    dead = {pid for pid in holders(found) if not runs(pid)}
    if dead:
        readers = {path: [one for one in by if one.pid not in dead] for path, by in found.read.items()}
        writers = {path: by for path, by in found.write.items() if by.pid not in dead}
        with suppress(OSError, EmoriffError):  # it cannot be written: DVC will speak of it
            write_json(PATHS_LOCK, asdict(PathLocks({path: by for path, by in readers.items() if by}, writers)))


def holders(found: PathLocks) -> set[int]:
    """The processes that a lock of paths names."""
    return {one.pid for by in found.read.values() for one in by} | {by.pid for by in found.write.values()}


def whole(path: Path) -> bool:
    """Whether a lock file was written to its end."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return text.endswith("\n") and isinstance(yaml_of(text, path), dict)
    except EmoriffError:
        return False


def environment() -> dict[str, str]:
    """The environment for DVC and its stages: this Python first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path}


LOCK, PATHS_LOCK = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
FULL_GIB = 0.02
COLUMNS = {"emotion_accuracy": "accuracy", "emotion_balanced_accuracy": "balanced", "valence_r": "valence r",
           "arousal_r": "arousal r", "kad": "KAD", "fad": "FAD",
           "music_distance": "from real music"}  # fmt: skip


def results(path: Path = METRICS) -> str:
    """The small table of results: each measure with its interval, the judge beside it."""
    if not path.is_file():
        return "no results yet"
    metrics = json_of(path)
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
    lines.append(f"look and listen: {PAGE.resolve()}")
    return "\n".join(lines)


def cell(measure: Any) -> str:
    """0.85 [0.80, 0.90]; a plain number as it is; - where it was not measured."""
    if isinstance(measure, float | int):
        return f"{measure:.2f}"
    if not measure or measure.get("value") is None:
        return "-"
    if measure.get("low") is None:
        return f"{measure['value']:.2f} [no interval]"
    return f"{measure['value']:.2f} [{measure['low']:.2f}, {measure['high']:.2f}]"
