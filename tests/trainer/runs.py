"""Tiny runs of the training loop, and what they leave."""

from pathlib import Path

import torch

from tasks.trainer import loop
from tests import small_models


class KilledError(Exception):
    """Stands for a power cut in the middle of a run."""


def run(folder: Path, stop_after: int | None = None, seed: int = 1, seen: list[int] | None = None, **changes):
    """A tiny run; `seen` gets the steps that were trained."""

    def progress(done: int, total: int, note: str) -> None:
        if seen is not None and note.startswith("loss"):
            seen.append(done)
        if stop_after is not None and note.startswith("loss") and done == stop_after:
            raise KilledError

    return loop.train(
        "tiny",
        small_models.dataset(),
        small_models.model(),
        small_models.experiment(**changes),
        seed,
        folder / "model",
        folder / "work",
        folder / "curves",
        progress,
    )


def assert_equal(left: Path, right: Path) -> None:
    a, b = small_models.weights(left), small_models.weights(right)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def saved_by(folder: Path) -> list[Path]:
    """The checkpoints of all runs in a folder, oldest first."""
    return sorted(folder.glob("work/runs/*/checkpoints/step-*"), key=lambda path: path.stat().st_mtime)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
