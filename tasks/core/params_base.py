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


def key_values(value: Any) -> Any:
    """A parameter as a cache key has it: a block without the knobs that stand at their default.

    A knob that is added later has a default in its Field, the value that does what the code did before. An older
    params.yaml may leave it out, and nothing is computed again.
    """
    return value.model_dump(mode="json", exclude_defaults=True) if isinstance(value, BaseModel) else value


def is_default(model: type[BaseModel], key: str, value: Any) -> bool:
    """Whether `value` is the default of the knob with this dotted key; false for one without a default."""
    name, _, rest = key.partition(".")
    field = model.model_fields.get(name)
    if field is None:
        return False
    if rest:
        return any(is_default(block, rest, value) for block in nested_blocks(field.annotation))
    return not field.is_required() and _plain(field.get_default(call_default_factory=True)) == value


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
