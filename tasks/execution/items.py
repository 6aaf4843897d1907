"""What a stage works on: **items** (a song, a batch of clips) in **buckets**, each the work of one task.

A Prefect task costs as much as a small song, so a task handles a bucket; inside it each item has a key of its own.
"""

from dataclasses import dataclass
from typing import Any

from tasks.core.files import digest


@dataclass(frozen=True)
class Item:
    """One unit of work: its name, the content that it depends on, its own arguments."""

    id: str
    inputs: dict[str, str]  # logical name -> content hash
    arguments: dict[str, Any]  # picklable; paths relative to the repository
    folder: str = ""  # where the files named by its rows are
    outputs: tuple[str, ...] = ()  # or: files and folders that are wholly its own
    key: str = ""


@dataclass(frozen=True)
class Done:
    """What an item gave; `cached` says that nothing was computed."""

    id: str
    rows: list[dict[str, Any]]
    files: list[str]
    cached: bool


class Bucket:
    """Items that one task handles; no dataclass, because Prefect visits every value in the fields of one."""

    def __init__(self, name: str, items: list[Item]) -> None:
        self.name, self.items = name, items


def buckets(items: list[Item], n_buckets: int) -> list[Bucket]:
    """Items by hash of their id, so that one added song moves no other; few items get a bucket each."""
    if len(items) <= n_buckets:
        return [Bucket(item.id, [item]) for item in items]
    named: dict[str, list[Item]] = {}
    for item in items:
        named.setdefault(f"{int(digest(item.id)[:8], 16) % n_buckets:03d}", []).append(item)
    return [Bucket(name, named[name]) for name in sorted(named)]
