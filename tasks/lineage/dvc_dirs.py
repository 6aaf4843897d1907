"""What a folder held, by its DVC hash: `abc.dir` -> **relative name -> MD5** -> songs.

DVC keeps the manifest of every folder it has ever stored in its cache, addressed by the folder's hash, and
our file names begin with the song's id; so songs can be followed into versions that are long overwritten.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tasks.core.layout import LOCAL
from tasks.core.reading import record_of
from tasks.execution.cache import Cache, dvc_cache
from tasks.lineage.pipeline import Hash

SONG = re.compile(r"(\d+)(?=[_.-]|$)")
KEPT = LOCAL / "lineage" / "objects"  # manifests of folders that no stage makes, which DVC does not store


@dataclass(frozen=True)
class Entry:
    """A file in a manifest."""

    md5: Hash
    relpath: str


def folder_md5(files: dict[str, str]) -> str:
    """The hash that DVC gives to a folder with these files (relative name -> MD5), ending in `.dir`."""
    return hashlib.md5(manifest_bytes(files)).hexdigest() + ".dir"


def manifest_bytes(files: dict[str, str]) -> bytes:
    """The manifest of a folder as DVC stores it."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return json.dumps(entries, sort_keys=True).encode()


def sources_now(root: Path, path: str) -> dict[str, str]:
    """File -> MD5 of a source file, or of the files of a package, as they stand; {} where there is none."""
    if (root / path).is_dir():
        return {f"{path}/{name}": md5 for name, md5 in Cache(root / LOCAL).md5_of_folder(root / path).items()}
    return {path: Cache(root / LOCAL).md5(root / path)} if (root / path).is_file() else {}


def source_md5(path: str, found: dict[str, str]) -> str:
    """DVC's hash of a source file or package with these files (file -> MD5)."""
    if found.keys() == {path}:
        return found[path]
    return folder_md5({name.removeprefix(f"{path}/"): md5 for name, md5 in found.items()})


def stored(root: Path, md5: str) -> Path:
    """Where DVC's cache keeps the content with this hash."""
    return cache_of(root.absolute()) / md5[:2] / md5[2:]


@lru_cache
def cache_of(root: Path) -> Path:
    """DVC's cache of a repository: its configuration is read once."""
    return dvc_cache(root)


@lru_cache(maxsize=64)
def dir_manifest(root: Path, md5: str) -> dict[str, str] | None:
    """Relative name -> MD5 of a folder version; None when this machine's cache does not have it."""
    content = manifest_content(root, md5)
    if content is None:
        return None
    entries = record_of(list[Entry], content)
    return None if entries is None else {entry.relpath: entry.md5 for entry in entries}


def manifest_content(root: Path, md5: str) -> bytes | None:
    """The bytes of a manifest that is whole (it has its hash); None where no place has one."""
    for path in (stored(root, md5), root / KEPT / md5) if md5.endswith(".dir") else ():
        if path.is_file():
            content = path.read_bytes()
            if hashlib.md5(content).hexdigest() == md5.removesuffix(".dir"):
                return content
    return None


@lru_cache(maxsize=4096)
def names_of_song(root: Path, md5: str, song: int) -> tuple[str, ...] | None:
    """A song's files in a folder version; None when its manifest is not here, or its names carry no songs.

    The bytes are searched, not parsed: all versions of a large data set are looked at for one answer.
    """
    content = manifest_content(root, md5)
    if content is None or not re.search(rb'["/]\d+(?:[_-][^"/]*)?\.(?!csv")[^"/]*"', content):
        return None
    found = re.findall(rb'"relpath": "((?:[^"]*/)?0*%d[_.-][^"/]*)"' % song, content)
    return tuple(sorted(name for name in (json.loads(b'"%b"' % name) for name in found) if song_of(name) == song))


def song_of(name: str) -> int | None:
    """The song id at the start of a file's name (00012_003_0.png, 12.wav), or None."""
    found = SONG.match(name[name.rfind("/") + 1 :])
    return int(found[1]) if found and not name.endswith(".csv") else None


def songs_by_part(names: list[str]) -> dict[str, list[int]]:
    """Sorted song ids of file names by first folder ("train", "audio"), "" for names without one."""
    found: dict[str, set[int]] = {}
    for name in names:
        song = song_of(name)
        if song is not None:
            found.setdefault(name.split("/")[0] if "/" in name else "", set()).add(song)
    return {part: sorted(found[part]) for part in sorted(found)}
