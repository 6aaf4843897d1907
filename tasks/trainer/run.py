"""TODO docstring."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.trainer import model as trainee
from tasks.trainer import optimizers
from tasks.trainer.data import Material
from tasks.trainer.params import ExperimentParams


@dataclass
class State:
    """What changes while training goes on, weights and optimizer aside."""

    step: int = 0
    losses: list[list[Any]] = field(default_factory=list)  # step, loss, learning rate
    validations: list[list[Any]] = field(default_factory=list)  # step, group, name, loss
    best_step: int = 0
    best_loss: float = math.inf
    stopped_early: bool = False


@dataclass
class Run:
    """A run's parts: what learns, from what, by which rule, and where it is kept."""

    params: ExperimentParams
    material: Material
    model: Any  # the Trainee, wrapped for several processes
    optimizer: Any
    average: optimizers.MovingAverage | None
    classifier: Any
    accelerator: Any
    notes: list[str]
    state: State
    folder: Path  # below the experiment's work, named by the run's inputs
    pipeline: Any

    @property
    def trainee(self) -> trainee.Trainee:
        """The model without its wrapping."""
        return self.accelerator.unwrap_model(self.model)
