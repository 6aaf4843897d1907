"""What every block of params.yaml is made of; **params** and **experiments** build on it."""

import difflib
import typing
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Block(BaseModel):
    """A frozen block of params.yaml that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all keys of a block, nested blocks included."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        names.append(prefix + name)
        for block in nested_blocks(field.annotation):
            names += known_keys(block, f"{prefix}{name}.")
    return names


def nested_blocks(annotation: Any) -> list[type[BaseModel]]:
    """The blocks inside a field's type (`X`, `X | None`)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [block for part in typing.get_args(annotation) for block in nested_blocks(part)]


def did_you_mean(key: str, model: type[BaseModel]) -> str:
    """`; did you mean KEY?` with the known key nearest to an unknown one; empty when none is near."""
    near = difflib.get_close_matches(key, known_keys(model), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
