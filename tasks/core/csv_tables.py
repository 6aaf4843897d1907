"""CSV text as people write it: file -> **rows by column name** -> annotations.

Any line ends, a byte order mark or Latin 1, semicolons, padded cells, tabs and quotes inside cells, ragged rows.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MAX_HEADER_BYTES = 2**16
MAX_ID = 10**9
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so


def header(path: Path) -> list[str]:
    """Canonical column names of a CSV file; only its first line is read."""
    with path.open("rb") as file:
        first = _decoded(file.readline(MAX_HEADER_BYTES))
    try:
        return next(_records(first), (0, []))[1]
    except csv.Error:
        return []


def canonical(name: str) -> str:
    """A column name without case, quotes and spaces; DEAM's spellings of one thing under one name.

    >>> [canonical(name) for name in (" valence_ max_mean", "Id", "Song title", "arousal_mean")]
    ['valence_max_mean', 'song_id', 'songtitle', 'arousal']
    """
    plain = "".join(name.split()).strip("\"'").lower()
    same = {"id": "song_id", "songid": "song_id", "valence_mean": "valence", "arousal_mean": "arousal"}
    return same.get(plain, plain)


def clean(cell: str) -> str:
    """A cell without tabs, quotes, no-break spaces and doubled spaces around and inside, and as before `safe`.

    >>> clean('\\tKevin  MacLeod\\t ')
    'Kevin MacLeod'
    """
    plain = " ".join(cell.strip().strip('"').split())
    return plain[1:] if plain.startswith("'") and plain[1:].startswith(FORMULA) else plain


def safe(cell: Any) -> Any:
    """A cell for a CSV that we write: text that a spreadsheet would take for a formula gets a quote in front.

    >>> [safe(cell) for cell in ("=HYPERLINK(1)", "-0.5", "-x", "calm", -3)]
    ["'=HYPERLINK(1)", '-0.5', "'-x", 'calm', -3]
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) and number(cell) is None else cell


def safe_table(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with every text and every column name `safe`."""
    texts = [name for name in table.columns if table[name].dtype.kind not in "biuf"]
    return table.assign(**{name: table[name].map(safe) for name in texts}).rename(columns=safe)


def read_text(path: Path) -> str:
    """Text of a file in UTF-8 (with or without mark) or, if it is none, in Latin 1, which always decodes."""
    return _decoded(path.read_bytes())


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def separator_of(text: str) -> str:
    """Comma or semicolon, whichever the first line has more of."""
    return max(",;", key=text.split("\n", 1)[0].count)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells: first the canonical column names, then each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text), skipinitialspace=True)
    for index, cells in enumerate(reader):
        if index == 0:
            yield reader.line_num, [canonical(cell) for cell in cells]
        elif any(cell.strip() for cell in cells):
            yield reader.line_num, [clean(cell) for cell in cells]


def rows_of(path: Path, needed: Iterable[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column name; cells that a short row lacks are empty.

    Raises:
        InputError: the text is no CSV, or lacks a needed column.
    """
    records = _records(read_text(path))
    try:
        columns = next(records, (0, []))[1]
        missing = [name for name in needed if name not in columns]
        if missing:
            got = ", ".join(columns) or "an empty file"
            raise InputError("columns are missing", where=path, expected=", ".join(missing), got=got)
        for line, cells in records:
            cells = cells + [""] * (len(columns) - len(cells))
            yield line, dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        raise InputError("not CSV", where=path, got=error, todo="look for a quote that is never closed") from error


def song_id_of(cell: str) -> int | None:
    """The id in a cell ("7", "7.0"), or nothing.

    >>> [song_id_of(cell) for cell in ("7", "7.0", "7.5", "-1", "x")]
    [7, 7, None, None, None]
    """
    value = number(cell)
    return int(value) if value is not None and 0 <= value < MAX_ID and value == int(value) else None


def number(cell: str) -> float | None:
    """The finite number in a cell, or nothing."""
    try:
        value = float(cell.replace("_", "x"))  # Python's own spelling of 1000 as 1_000 is no number here
    except ValueError:
        return None
    return value if math.isfinite(value) else None
