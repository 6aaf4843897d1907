"""Files that are whole or absent: write to a temporary name, then rename; hashes of what is there."""

import errno
import filecmp
import fnmatch
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import EmoriffError

if TYPE_CHECKING:
    import pandas as pd

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
WRITTEN: dict[str, str] = {}  # absolute path -> stamp of each file that `replacing` put there (see tasks/worker.py)
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


def names_below(folder: Path, pattern: str = "*") -> list[str]:
    """Names of the files at any depth of `folder`, relative to it, sorted; links to folders are not entered."""
    found = []
    for inner, _, names in os.walk(folder):
        part = os.path.relpath(inner, folder)
        for name in fnmatch.filter(names, pattern):
            if os.path.isfile(os.path.join(inner, name)):
                found.append(name if part == "." else f"{part}/{name}")
    return sorted(found)


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed run left half-written below `folder`."""
    for path in sorted(folder.rglob(f"{TEMPORARY}*"), reverse=True):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """`target` holds `text` in UTF-8, whole or not at all."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """`target` holds `value` with sorted keys and a final newline; NaN is refused."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_parquet(target: Path, table: "pd.DataFrame") -> None:
    """`target` holds `table` (no index); equal tables give equal bytes."""
    with replacing(target) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slug(text: str) -> str:
    """Small letters and digits of a text, the rest as hyphens: for names of files."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def digest(value: Any) -> str:
    """SHA-256 of `value` as canonical JSON: equal values give equal digests, whatever the key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def seed_from(*parts: object) -> int:
    """A seed in 0..2**32-1 from a stage's seed and the item's id, so that order changes no result."""
    return int(digest([str(part) for part in parts])[:8], 16)
