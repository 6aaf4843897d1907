"""The experiment's entry: data/dataset + models/base -> **models/EXPERIMENT**; the loop is tasks/trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.trainer.params import ExperimentParams


def fine_tune(
    name: str,
    dataset: Path,
    base: Path,
    experiment: ExperimentParams,
    seed: int,
    target: Path,
    work: Path,
    reports: Path,
    progress: Callable[[int, int, str], None] | None,
) -> dict[str, Any]:
    """`target` holds the fine-tuned pipeline, `reports` its curves; gives a row about it (see trainer.loop.train)."""
    from tasks.trainer.loop import train  # torch takes seconds to load, also where all comes from the cache

    return train(name, dataset, base, experiment, seed, target, work, reports, progress)
