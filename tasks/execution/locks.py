"""Locks that die with their process: one run of a stage at a time, also after a kill.

`fcntl.flock` is released by the kernel when its holder ends, however it ends, so a lock is never left
behind; the file that stays only tells who held it.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated

import psutil
from pydantic import Field

from tasks.core.errors import LockError
from tasks.core.messages import shown
from tasks.core.reading import record_in

Pid = Annotated[int, Field(gt=0, lt=2**31)]


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    pid: Pid
    command: str


@contextmanager
def lock(path: Path, wait: bool, echo: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock at `path` for the block; who holds it is named once, then waited for.

    Raises:
        LockError: it is held and `wait` is false, or its file cannot be written.
    """
    with _opened(path) as file:
        announced = False
        while not _taken(file.fileno()):
            if not wait:
                raise LockError("another run holds the lock", where=path, got=holder(path), todo="wait for it to end")
            if not announced:
                echo(f"waiting for another run: {holder(path)}")
                announced = True
            time.sleep(0.2)
        with suppress(OSError):  # a full disk: the lock holds without a name
            record = asdict(Holder(os.getpid(), " ".join(psutil.Process().cmdline())[:200]))
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), json.dumps(record).encode())
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise LockError(
            f"the lock cannot be written: {error.strerror}",
            where=path,
            expected="a folder with write permission on a disk with room",
            todo="give write permission or free some space, then run the same command again",
        ) from error


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path) -> str:
    """Who wrote itself into the lock file last, and whether it lives."""
    record = record_in(path, Holder)
    if record is None:
        return "a process that has not said its name yet"
    return f"process {record.pid} ({'running' if runs(record.pid) else 'ended'}): {shown(record.command)}"


def runs(pid: int) -> bool:
    """Whether there is such a process, and not only its zombie, which an init that reaps late leaves for a while."""
    with suppress(psutil.Error):
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
    return psutil.pid_exists(pid)
