"""Texts, tables and names of files, their hashes; digests and seeds of values."""

import fnmatch
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
from tasks.core.storage import replacing


def names_below(folder: Path, pattern: str = "*") -> list[str]:
    """Names of the files at any depth of `folder`, relative to it, sorted.

    Links to folders are not entered, nor what Python keeps beside sources (as .dvcignore has it).
    """
    found = []
    for inner, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        part = os.path.relpath(inner, folder)
        for name in fnmatch.filter(names, pattern):
            if os.path.isfile(os.path.join(inner, name)):
                found.append(name if part == "." else f"{part}/{name}")
    return sorted(found)


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
