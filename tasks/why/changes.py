"""What differs between then and now: two versions of a parameter, source, file or folder -> **changes** -> why.

Then is known by hash only; the content comes from what runs kept, from DVC's cache, or from git.
"""

import difflib
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.csv_tables import rows_of, song_id_of
from tasks.core.errors import InputError
from tasks.core.layout import LOCAL
from tasks.execution.cache import Cache
from tasks.lineage.code import GIT_VERSIONS
from tasks.lineage.dvc_dirs import dir_manifest, song_of, stored
from tasks.lineage.history import Step, contents
from tasks.lineage.machine import git
from tasks.lineage.records import load_object
from tasks.lineage.upstream import covers, made_md5


@dataclass(frozen=True)
class Changes:
    """What changed, in words, and which songs it touches; `known` is false when then cannot be seen here."""

    lines: tuple[str, ...]
    songs: tuple[int, ...] = ()
    known: bool = True


def parameters(old: Any, new: Any, key: str) -> list[tuple[str, Any, Any]]:
    """Dotted key, old and new value of every leaf that differs; a missing side is None."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(old.keys() | new.keys(), key=str)
        return [one for name in names for one in parameters(old.get(name), new.get(name), f"{key}.{name}")]
    return [] if old == new else [(key, old, new)]


def source_lines(root: Path, path: str, old_md5: str | None) -> Changes:
    """The lines of a source file that changed since the version with `old_md5`."""
    if old_md5 is None:
        return Changes(("is imported now, was not before",))
    if not (root / path).is_file():
        return Changes(("is gone",))
    before = old_source(root, path, old_md5)
    if before is None:
        return Changes(("its former text is neither in .emoriff nor in git",), known=False)
    return Changes(tuple(line_changes(before.decode("utf-8", "replace"), (root / path).read_text("utf-8"))))


def line_changes(before: str, after: str) -> list[str]:
    """`line N: - old` and `line N: + new` of every line that differs (N: where it stands in its version)."""
    old, new = before.splitlines(), after.splitlines()
    found: list[str] = []
    for kind, old_start, old_end, new_start, new_end in difflib.SequenceMatcher(
        a=old, b=new, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            found += [f"line {number + 1}: - {old[number].strip()}" for number in range(old_start, old_end)]
            found += [f"line {number + 1}: + {new[number].strip()}" for number in range(new_start, new_end)]
    return found


def old_source(root: Path, path: str, md5: str) -> bytes | None:
    """The text of a source file by its hash: as a run kept it, or as a commit has it."""
    text = load_object(root, md5)
    if text is not None:
        return text
    commits = (git(root, "log", "--all", f"-{GIT_VERSIONS}", "--format=%H", "--", path) or "").split()
    versions = contents(root, [f"{commit}:./{path}" for commit in commits])
    return next((text for text in versions if text and hashlib.md5(text).hexdigest() == md5), None)


def data(root: Path, known: list[Step], path: str, old_md5: str | None) -> Changes:
    """What changed in a data file or folder since the version with `old_md5`, by file and song."""
    place = root / path
    if old_md5 is None:
        return Changes(("is read now, was not before",))
    if not place.exists():
        return Changes(("is missing",))
    if place.is_file():
        return rows(root, path, old_md5)
    old = old_files(root, known, path, old_md5)
    if old is None:
        return Changes(
            ("which of its files changed is unknown here (its former manifest is in no cache)",), known=False
        )
    return files(root, path, old)


def files(root: Path, folder: str, old: dict[str, str]) -> Changes:
    """Files that were added, removed or changed in a folder, and what changed inside tables."""
    new = Cache(root / LOCAL).md5_of_folder(root / folder)
    lines, songs = [], set()
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        verb = "added" if name not in old else "removed" if name not in new else "changed"
        inside = rows(root, f"{folder}/{name}", old[name]) if verb == "changed" else Changes(())
        lines.append(
            f"{name} {verb}"
            + (f" ({inside.lines[0]})" if inside.known and song_of(name) is None and inside.lines else "")
        )
        song = song_of(name)
        songs |= {song} if song is not None else set(inside.songs)
    return Changes(tuple(lines), tuple(sorted(songs)))


def old_files(root: Path, known: Iterable[Step], path: str, md5: str) -> dict[str, str] | None:
    """The manifest of a folder version: of an output, of a folder inside one, or of one that a run kept."""
    whole = dir_manifest(root, md5)
    if whole is not None:
        return whole
    for step in known:
        for out, out_md5 in step.outputs.items():
            if covers(out, path) and out != path and made_md5(root, step, path) == md5:
                inside = path[len(out) + 1 :] + "/"
                listed = dir_manifest(root, out_md5) or {}
                return {name[len(inside) :]: value for name, value in listed.items() if name.startswith(inside)}
    return None


def rows(root: Path, path: str, old_md5: str) -> Changes:
    """Which songs' rows changed in a table (CSV or Parquet with a column song_id); others: that it changed."""
    old, new = stored(root, old_md5), root / path
    if not old.is_file():
        return Changes(("changed",), known=False)
    if path.endswith(".csv"):
        before, after = csv_rows(old), csv_rows(new)
    elif path.endswith(".parquet"):
        before, after = parquet_rows(old), parquet_rows(new)
    else:
        song = song_of(path)
        return Changes(("changed",), songs=() if song is None else (song,))
    ids = sorted(song for song in before.keys() | after.keys() if before.get(song) != after.get(song))
    return Changes((f"rows of {listed(ids)}",) if ids else ("changed, but no song's rows",), tuple(ids))


def csv_rows(path: Path) -> dict[int, list[Any]]:
    """Rows of a CSV by song id; {} without a column song_id."""
    found: dict[int, list[Any]] = {}
    with suppress(InputError):
        for _, row in rows_of(path, ["song_id"]):
            song = song_id_of(row["song_id"])
            if song is not None:
                found.setdefault(song, []).append([*row.values()])
    return found


def parquet_rows(path: Path) -> dict[int, list[Any]]:
    """Rows of a Parquet table by song id; {} without a column song_id."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: dict[int, list[Any]] = {}
    with suppress(pa.ArrowException, OSError, ValueError):  # a damaged table has no rows to compare
        table = pq.read_table(path)
        for row in table.to_pylist() if "song_id" in table.column_names else []:
            song = song_id_of(str(row["song_id"]))
            if song is not None:
                found.setdefault(song, []).append(str(row))  # NaN equals NaN as text
    return found


def listed(songs: Iterable[int], shown: int = 10) -> str:
    """`song 12`, or `3 songs: 1, 2, 12`, shortened."""
    ids = list(songs)
    if len(ids) == 1:
        return f"song {ids[0]}"
    return f"{len(ids)} songs: {', '.join(map(str, ids[:shown]))}" + (", ..." if len(ids) > shown else "")
