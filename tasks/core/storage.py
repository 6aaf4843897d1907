"""Files that are whole or absent: a temporary name, then a rename; how bytes reach the disk, and never which."""

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import EmoriffError

if TYPE_CHECKING:
    pass


CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
WRITTEN: dict[
    str, str
] = {}  # absolute path -> stamp of each file that `replacing` put there (see tasks/execution/worker.py)
TEMPORARY = ".part-"  # files of a killed run carry it; `remove_temporaries` clears them


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` (same suffix) that becomes `target` when the block ends well.

    On an error the temporary file is removed and `target` keeps its old bytes. A file that has the new bytes already
    stays as it is, time and inode, so that nobody hashes it again.
    """
    temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        written = stamp(temporary)
        filecmp.clear_cache()  # it goes by size and time, which two texts of one moment may share
        if temporary.is_file() and target.is_file() and filecmp.cmp(temporary, target, shallow=False):
            written = stamp(target)
        else:
            os.replace(temporary, target)
        if target.is_file():
            WRITTEN[os.path.abspath(target)] = written
    except EmoriffError:
        raise
    except Exception as error:
        if reason := cannot_write(error):
            raise EmoriffError(
                f"cannot write: {reason}",
                where=target,
                expected=f"a writable disk with room (free here: {free_gib(target):.2f} GiB)",
                todo="free some space or give write permission, then run the same command again: finished work is kept",
            ) from error
        raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):  # a disk that became read-only keeps it, and the error above says so
                temporary.unlink()


def cannot_write(error: Exception) -> str | None:
    """The system's reason when an error says that a disk took no more bytes; else None.

    Libraries that write in another language (safetensors) tell it in their own error's text.
    """
    for code in CANNOT_WRITE:
        if getattr(error, "errno", None) == code or os.strerror(code) in str(error):
            return os.strerror(code)
    return None


def stamp(path: Path) -> str:
    """Size, modification time and inode: they change when the bytes are written anew, and not by a new name."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def free_gib(path: Path) -> float:
    """Free space in GiB of the disk that holds `path`, or will."""
    there = next(place for place in [path, *path.absolute().parents] if place.exists())
    return shutil.disk_usage(there).free / 2**30


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed run left half-written below `folder`."""
    for path in sorted(folder.rglob(f"{TEMPORARY}*"), reverse=True):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
