"""One training run while it goes on: **Run** holds its parts, **State** what changes step by step."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.trainer import optimizers
from tasks.trainer.data import TrainingData
from tasks.trainer.model import TrainableModel
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
    """A run's parts: model, data, optimizer, state, and the folder of its checkpoints."""

    params: ExperimentParams
    data: TrainingData
    model: Any  # the TrainableModel, wrapped for several processes
    optimizer: Any
    average: optimizers.MovingAverage | None
    classifier: Any
    accelerator: Any
    notes: list[str]
    state: State
    folder: Path  # below the experiment's work, named by the run's inputs
    pipeline: Any

    @property
    def unwrapped_model(self) -> TrainableModel:
        """The model without its wrapping."""
        return self.accelerator.unwrap_model(self.model)
