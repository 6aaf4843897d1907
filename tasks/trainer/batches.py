"""What each training step sees, as a function of (seed, step) and of nothing that went before.

A resumed run therefore continues bit by bit as if it had never stopped, in the middle of an epoch too.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tasks.core.files import seed_from
from tasks.trainer.params import ExperimentParams


@lru_cache(maxsize=64)
def permutation(n: int, *purpose: object) -> np.ndarray:
    """A seeded order of n things."""
    return np.random.default_rng(seed_from(*purpose)).permutation(n)


class Order:
    """The images of each micro-batch, without replacement within an epoch."""

    def __init__(self, labels: Sequence[int], params: ExperimentParams, seed: int) -> None:
        self.seed, self.params = seed, params
        self.rows = [np.flatnonzero(np.asarray(labels) == label) for label in sorted(set(labels))]
        self.n = len(labels)

    def rows_of(self, step: int, micro: int, rank: int) -> np.ndarray:
        """Row numbers [batch] of one process's micro-batch.

        `as_is`: epoch after epoch, each in a new order. `balanced`: the classes take turns, each in its own order.
        """
        params = self.params
        batch = (step * params.accumulation + micro) * params.processes + rank
        positions = range(batch * params.batch, (batch + 1) * params.batch)
        pick = self._balanced if params.sampling == "balanced" else self._as_is
        return np.array([pick(position) for position in positions])

    def _as_is(self, position: int) -> int:
        epoch, place = divmod(position, self.n)
        return int(permutation(self.n, self.seed, "order", epoch)[place])

    def _balanced(self, position: int) -> int:
        visit, label = divmod(position, len(self.rows))
        rows = self.rows[label]
        epoch, place = divmod(visit, len(rows))
        return int(rows[permutation(len(rows), self.seed, "order", label, epoch)[place]])


class Prompts:
    """All distinct prompts of a run, so that the text encoder sees each once a step."""

    def __init__(self, templates: Sequence[str], emotions: Sequence[str]) -> None:
        self.emotions = list(emotions)
        texts = {filled(template, emotion) for template in templates for emotion in emotions}
        self.texts = ["", *sorted(texts - {""})]  # the empty prompt first: guidance and dropout use it
        self._rows = {
            (index, emotion): self.texts.index(filled(template, emotion))
            for index, template in enumerate(templates)
            for emotion in emotions
        }
        self.n_templates = len(templates)

    def row(self, template: int, emotion: str) -> int:
        """The number, in `texts`, of a template filled with an emotion."""
        return self._rows[template, emotion]

    def draw(self, labels: Sequence[int], dropped: Any, generator: Any) -> Any:
        """Rows of `texts` int64 [n]: one template drawn for each image, the empty prompt where dropped."""
        import torch

        templates = torch.randint(self.n_templates, (len(labels),), generator=generator)
        rows = [self.row(int(t), self.emotions[int(label)]) for t, label in zip(templates, labels, strict=True)]
        return torch.where(dropped, torch.zeros(len(rows), dtype=torch.long), torch.tensor(rows))


def filled(template: str, emotion: str) -> str:
    """The prompt of an emotion."""
    return template.replace("{emotion}", emotion)
