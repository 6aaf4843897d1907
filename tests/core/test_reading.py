import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.reading import record_in, record_of

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))


@dataclass(frozen=True)
class Note:
    name: str
    count: int
    more: dict[str, Any] | None = None


@given(st.recursive(LEAVES, lambda part: st.lists(part) | st.dictionaries(st.text(st.characters(codec="utf-8")), part)))
def test_values_are_read_as_python_writes_them(value: Any) -> None:
    """A cached row must give the same bytes as the row that was computed: types, order of keys, every float."""
    read = record_of(dict[str, Any], json.dumps({"value": value}))
    assert read is not None
    assert repr(read["value"]) == repr(value)


def test_not_a_number_is_read_too() -> None:
    read = record_of(dict[str, Any], json.dumps({"value": math.nan}))
    assert read is not None
    assert math.isnan(read["value"])


def test_what_a_newer_version_added_is_ignored() -> None:
    assert record_of(Note, '{"name": "a", "count": 1, "future": 2}') == Note("a", 1)


@pytest.mark.parametrize(
    "text",
    ["", '{"name": "a", "cou', "[]", "null", '{"name": "a"}', '{"name": "a", "count": "1"}',
     '{"name": "a", "count": true}', '{"name": 1, "count": 1}', '{"name": "a", "count": 1, "more": []}',
     b"\xff", "[" * 100_000],
)  # fmt: skip
def test_torn_or_of_another_form(text: str | bytes) -> None:
    assert record_of(Note, text) is None


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    assert record_in(path, Note) is None
    path.write_text('{"name": "a", "count": 1}')
    assert record_in(path, Note) == Note("a", 1)
    assert record_in(tmp_path, Note) is None
