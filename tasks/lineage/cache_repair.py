"""Repair of DVC's cache: dvc.lock + files here -> **corrupt entries removed** -> their stages run again.

DVC trusts an entry that is read-only without reading it, so it can check out bytes that have another hash than
dvc.lock says. `emoriff repro` looks for them at its end.
"""

from pathlib import Path

from tasks.core.layout import LOCAL
from tasks.execution.cache import Cache, md5_of
from tasks.lineage import pipeline
from tasks.lineage.dvc_dirs import dir_manifest, stored


def remove_corrupt(root: Path) -> list[str]:
    """Remove the corrupt entries behind files that are not what dvc.lock says; the names of those files.

    A file that was only altered here, with an entry that is as it should be, is left to the next run.
    """
    cache = Cache(root / LOCAL)
    outs = {out: md5 for stage in pipeline.locked(root).values() for out, md5 in stage.outs.items()}
    found = []
    for name, md5 in sorted(locked_files(root, outs).items()):
        entry = stored(root, md5)
        if (root / name).is_file() and cache.md5(root / name) != md5 and entry.is_file() and md5_of(entry) != md5:
            entry.unlink()
            found.append(name)
    return found


def locked_files(root: Path, outs: dict[str, str]) -> dict[str, str]:
    """Path -> MD5 of every file of these outputs, those of folders by DVC's manifest of them."""
    files: dict[str, str] = {}
    for out, md5 in outs.items():
        inside = (dir_manifest(root, md5) or {}) if md5.endswith(".dir") else {"": md5}
        files |= {f"{out}/{name}".rstrip("/"): value for name, value in inside.items()}
    return files
