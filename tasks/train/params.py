"""Training configurations: params.yaml `train` -> **the whole set of one experiment** -> training."""

import reprlib
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from tasks.core.errors import ParameterError
from tasks.core.params_base import Block, did_you_mean
from tasks.trainer.params import ExperimentParams, changed, overlay

# A name becomes a folder and a word of a shell command (dvc.yaml)
Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class TrainParams(Block):
    """train: dataset + base -> models/EXPERIMENT."""

    defaults: ExperimentParams
    experiments: dict[Name, dict[str, Any]] = Field(description="what each differs in from the defaults")

    @model_validator(mode="after")
    def _check(self) -> "TrainParams":
        for name, changes in self.experiments.items():
            try:
                ExperimentParams.model_validate(overlay(self.defaults.model_dump(), changes))
            except ValidationError as error:
                first = error.errors()[0]
                key = ".".join(str(part) for part in (name, *first["loc"]))
                if first["type"] == "extra_forbidden":
                    near = did_you_mean(".".join(str(part) for part in first["loc"]), ExperimentParams)
                    raise ValueError(f"experiments.{key}: unknown key{near}") from error
                raise ValueError(f"experiments.{key}: {first['msg']} (got {reprlib.repr(first['input'])})") from error
        return self


def experiment_of(train: TrainParams, name: str) -> ExperimentParams:
    """The whole set of one experiment.

    Raises:
        ParameterError: no such experiment.
    """
    if name not in train.experiments:
        known = " or ".join(sorted(train.experiments)) or "none: train.experiments is empty"
        raise ParameterError("no such experiment", expected=known, got=name)
    return changed(train.defaults, train.experiments[name])
