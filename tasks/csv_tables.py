"""CSV text as people write it: file -> **rows by column name** -> annotations.

Any line ends, a byte order mark or Latin 1, semicolons, padded cells, tabs and quotes inside cells, ragged rows.
"""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import InputError

MAX_HEADER_BYTES = 2**16
MAX_ID = 10**9


def header(path: Path) -> list[str]:
    """Canonical column names of a CSV file; only its first line is read."""
    with path.open("rb") as file:
        first = _decoded(file.readline(MAX_HEADER_BYTES))
    return next(_records(first), (0, []))[1]


def canonical(name: str) -> str:
    """A column name without case, quotes and spaces; DEAM's spellings of one thing under one name.

    >>> [canonical(name) for name in (" valence_ max_mean", "Id", "Song title", "arousal_mean")]
    ['valence_max_mean', 'song_id', 'songtitle', 'arousal']
    """
    plain = "".join(name.split()).strip("\"'").lower()
    same = {"id": "song_id", "songid": "song_id", "valence_mean": "valence", "arousal_mean": "arousal"}
    return same.get(plain, plain)


def clean(cell: str) -> str:
    """A cell without tabs, quotes, no-break spaces and doubled spaces around and inside.

    >>> clean('\\tKevin  MacLeod\\t ')
    'Kevin MacLeod'
    """
    return " ".join(cell.strip().strip('"').split())


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


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column name; cells that a short row lacks are empty.

    Raises:
        InputError: the text is no CSV.
    """
    records = _records(read_text(path))
    try:
        columns = next(records)[1]
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
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
