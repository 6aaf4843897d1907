"""Files as they may really be, whoever wrote them: JSON, YAML, Parquet -> **checked values** -> whoever asked.

Torn, of another form, nested without end, blown up by references: each becomes an error that names the file. What
we wrote for ourselves and can do without (`record_of`) is None then: a killed run may have left half of it.
"""

import json
import re
from collections.abc import Hashable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from tasks.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 200_000  # of a YAML text with its references written out; ours have some hundred
LONGEST_YAML = 1 << 22
Kind = TypeVar("Kind")
DEEPEST = 200
NESTING = re.compile(r"[\[\]{}]|^[ \t]*(?:[-?][ \t]+){20,}", re.MULTILINE)
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is


def json_of(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file.

    Raises:
        InputError: missing, not JSON, or not a mapping.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__} in the place of a mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "not a readable JSON file",
            where=path,
            expected="a mapping",
            got=error,
            todo="remove it and run its stage again",
        ) from error
    return value


def record_of(kind: type[Kind], text: str | bytes) -> Kind | None:
    """The record of this kind in a JSON text; None: torn, or of another form. Keys that the kind has not are ignored.

    Args:
        kind: a dataclass, or a generic such as dict[str, int]; an int is no str, a bool no int.
        text: JSON.
    """
    try:
        return adapter(cast(Hashable, kind)).validate_json(text, strict=True)
    except ValidationError:
        return None


def record_in(path: Path, kind: type[Kind]) -> Kind | None:
    """The record in a JSON file as `record_of` reads it; None also where there is no file."""
    try:
        return record_of(kind, path.read_bytes())
    except OSError:
        return None


@lru_cache
def adapter(kind: Any) -> "TypeAdapter[Any]":
    """What reads records of a kind; making one takes longer than reading one."""
    return TypeAdapter(kind)


def yaml_of(text: str, where: object) -> Any:
    """The value in a YAML text; None: it is empty.

    Raises:
        InputError: not YAML, or references that make it endless or huge.
    """
    if len(text) > LONGEST_YAML or is_deep(text):
        raise InputError("too much YAML", where=where, expected=f"{LONGEST_YAML} characters, {DEEPEST} brackets deep")
    try:
        value = yaml.load(text, Loader=Loader)
        n_values = count(value, {}) if "&" in text or len(text) > MOST_VALUES else 0  # a value takes a character
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError("not YAML", where=where, got=" ".join(str(error).split())) from error
    if n_values > MOST_VALUES:
        raise InputError("too much YAML", where=where, expected=f"at most {MOST_VALUES} values", got=n_values)
    return value


def is_deep(text: str) -> bool:
    """Whether more brackets are open at once, or more dashes begin a line, than anyone writes.

    libyaml needs time by the square of the depth, and its reader in C has no other bound than the stack.
    """
    level = 0
    for found in NESTING.finditer(text):
        level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], DEEPEST + 1)
        level = max(level, 0)
        if level > DEEPEST:
            return True
    return False


def count(value: Any, known: dict[int, int]) -> int:
    """Values in a nested value, shared ones as often as they occur; in time that does not grow with that.

    Raises:
        ValueError: it contains itself.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = -1
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(count(part, known) for part in parts)
    if known[id(value)] < 0:
        raise ValueError("a value that contains itself")
    return known[id(value)]


def parquet_of(path: Path, columns: Iterable[str] = ()) -> "pd.DataFrame":
    """The table in a Parquet file, with at least these columns.

    Raises:
        InputError: missing, not Parquet, or without one of the columns.
    """
    import pandas as pd

    todo = "run the stage that writes it again"
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # pyarrow and pandas tell damage in a dozen ways
        raise InputError("not a readable Parquet file", where=path, got=error, todo=todo) from error
    absent = [name for name in columns if name not in table.columns]
    if absent:
        got = ", ".join(map(str, table.columns))
        raise InputError(f"columns are missing: {', '.join(absent)}", where=path, got=got, todo=todo)
    return table
