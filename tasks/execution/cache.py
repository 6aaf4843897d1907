"""What was computed before, by content: item -> **key -> rows and files** -> the stage's folder.

DVC decides per stage, this module per item (a song, a batch of clips). A key is the digest of the item's
input bytes, the parameters and the code that computes it (tasks/execution/closure.py); an item is a hit when its
record exists and every output file is there with the recorded hash, or can be put back from DVC's cache,
which holds every output a finished stage ever had. Hashes are MD5, because DVC's cache is addressed by it.
"""

import configparser
import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints

from tasks.core.errors import CacheError
from tasks.core.files import digest, names_below
from tasks.core.layout import LOCAL
from tasks.core.reading import record_of
from tasks.core.storage import replacing, stamp

MD5 = re.compile("[0-9a-f]{32}")
Md5 = Annotated[str, StringConstraints(pattern=f"^{MD5.pattern}$")]
log = logging.getLogger("emoriff.cache")
SEEN: dict[str, tuple[str, str]] = {}  # absolute path -> stamp and MD5 of the files that this process asked for


@dataclass(frozen=True)
class Record:
    """What an item gave: its manifest rows, and its files with their MD5."""

    rows: list[dict[str, Any]]
    files: dict[str, Md5]


def item_key(code: Any, inputs: Any, parameters: Any) -> str:
    """The key of one item: digests of the code, the inputs' content, the parameters."""
    return digest({"code": code, "inputs": inputs, "parameters": parameters})


def dvc_cache(root: Path) -> Path:
    """Where DVC keeps content by MD5: `cache.dir` of its configuration (a lab's, a queued experiment's), or its own."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read([root / ".dvc/config", root / ".dvc/config.local"])
    return root / ".dvc" / settings.get("cache", "dir", fallback="cache") / "files" / "md5"


class Cache:
    """Records by key and hashes by file state, in one SQLite file that threads and processes share."""

    def __init__(self, local: Path = LOCAL, stored: Path | None = None) -> None:
        self.path = local / "cache.sqlite"
        self.dvc_cache = stored or dvc_cache(local.parent)
        self._connections = threading.local()
        self._execute("create table if not exists record (key text primary key, value text)")
        self._execute("create table if not exists state (path text primary key, stat text, md5 text)")

    def _execute(self, statement: str, values: tuple[str, ...] = ()) -> list[Any]:
        """Rows of a statement.

        Raises:
            CacheError: the file is full, read-only or no database.
        """
        try:
            return self._database().execute(statement, values).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise CacheError(
                f"the cache cannot be used: {error}",
                where=self.path,
                expected="a readable and writable SQLite file",
                todo="make room or give write permission; if the file is corrupt, remove it: "
                "it only saves time, results do not depend on it",
            ) from error

    def _database(self) -> sqlite3.Connection:
        if not hasattr(self._connections, "database"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = normal")  # a lost record costs time, never truth
            self._connections.database = database
        return self._connections.database

    def get(self, key: str) -> Record | None:
        """The record of `key`, or None; always None where EMORIFF_FRESH asks for computing."""
        if os.environ.get("EMORIFF_FRESH"):
            return None
        return self._record(key)

    def _record(self, key: str) -> Record | None:
        found = self._execute("select value from record where key = ?", (key,))
        return record_of(Record, str(found[0][0])) if found else None  # a damaged record is none

    def altered(self, key: str) -> list[str]:
        """Files of the record of `key` that are gone or no longer what they were."""
        record = self._record(key)
        return [name for name, md5 in record.files.items() if not self._fits(Path(name), md5)] if record else []

    def put(self, key: str, record: Record) -> None:
        """Remember `record` under `key`."""
        text = json.dumps({"rows": record.rows, "files": record.files})  # a table has the columns of its first row
        self._execute("insert or replace into record values (?, ?)", (key, text))

    def forget(self, key: str) -> None:
        """Drop a record that proved stale."""
        self._execute("delete from record where key = ?", (key,))

    def md5(self, path: Path) -> str:
        """MD5 of a file; read again only when its size, modification time or inode changed."""
        state = stamp(path)
        name = os.path.abspath(path)
        if name not in SEEN or SEEN[name][0] != state:
            SEEN[name] = (state, self._stored_md5(path, name, state))
        return SEEN[name][1]

    def _stored_md5(self, path: Path, name: str, state: str) -> str:
        found = self._execute("select stat, md5 from state where path = ?", (name,))
        if found and found[0][0] == state and MD5.fullmatch(str(found[0][1])):
            return str(found[0][1])
        value = md5_of(path)
        self._execute("insert or replace into state values (?, ?, ?)", (name, state, value))
        return value

    def md5_of_folder(self, folder: Path, pattern: str = "*") -> dict[str, str]:
        """MD5 of every file below `folder`, by relative name, sorted."""
        return {name: self.md5(folder / name) for name in names_below(folder, pattern)}

    def remember(self, key: str, rows: list[dict[str, Any]], files: Iterable[Path]) -> Record:
        """Record what an item gave just now."""
        record = Record(rows, {path.as_posix(): self.md5(path) for path in sorted(files)})
        self.put(key, record)
        return record

    def intact(self, key: str) -> Record | None:
        """The record of `key` when every file of it is in place with its hash, else None."""
        record = self.get(key)
        if record and all(self._fits(Path(name), md5) for name, md5 in record.files.items()):
            return record
        return None

    def recall(self, key: str) -> Record | None:
        """The record of `key`, missing or altered files put back from DVC's cache; None if one cannot be."""
        record = self.get(key)
        if record is None:
            return None
        for name, md5 in record.files.items():
            if not self._fits(Path(name), md5) and not self._put_back(Path(name), md5):
                self.forget(key)
                return None
        return record

    def _fits(self, path: Path, md5: str) -> bool:
        return path.is_file() and self.md5(path) == md5

    def _put_back(self, path: Path, md5: str) -> bool:
        stored = self.dvc_cache / md5[:2] / md5[2:]
        if not stored.is_file():
            return False
        if md5_of(stored) != md5:
            log.warning("corrupt cache entry %s (its bytes do not have its hash): %s is made again", stored, path)
            with suppress(OSError):  # a read-only cache keeps it: it is found again by its hash
                stored.unlink()
            return False
        with replacing(path) as temporary:
            shutil.copyfile(stored, temporary)
        return True


def disturbed(names: Iterable[str]) -> CacheError:
    """The error for outputs that something else than their stage removed or altered."""
    found = sorted(names)
    return CacheError(
        f"{len(found)} files were removed or altered after the stage had written them",
        where=", ".join(found[:5]),
        todo="let nothing else write there, and run the same command again: only they are made again",
    )


def md5_of(path: Path) -> str:
    """MD5 of the file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def prune(folder: Path, keep: Iterable[Path]) -> list[Path]:
    """Remove the files below `folder` that are not in `keep`, and folders left empty; what was removed."""
    kept = set(map(os.path.abspath, keep))
    root = os.path.abspath(folder)
    orphans = [folder / name for name in names_below(folder) if os.path.join(root, name) not in kept]
    for path in orphans:
        path.unlink()
    for inner, folders, _ in os.walk(folder, topdown=False):
        for path in [Path(inner, name) for name in folders]:
            if not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
    return orphans
