"""Annotation files as they really are: CSV files -> **ratings, curves, artists** -> swap check, labels.

DEAM's archives (Aljanaki, Yang, Soleymani 2017) come with spaces after the commas and one inside a column
name, with padded cells, tabs inside quotes, ragged rows and, in copies, other line ends and outer folders. So
files are found by name and header at any depth, columns by their name without case and spaces, and nothing by
position. What cannot be used becomes a row of `refused`: file, line, song, reason.
"""

import io
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.core.csv_tables import canonical, clean, header, number, read_text, rows_of, separator_of, song_id_of
from tasks.core.errors import InputError
from tasks.core.files import sha256

AXES = ("valence", "arousal")
RATING_COLUMNS = ["song_id", "valence", "arousal", "valence_std", "arousal_std"]
REFUSED_COLUMNS = ["file", "line", "song_id", "reason"]
SAMPLE = re.compile(r"sample_([0-9]{1,9})ms")  # a per-second column: the time of its sample in ms
NOT_AVERAGED = ("worker", "rater", "swapped")  # columns of single raters' files, and of our own label map
NO_ARTIST = ("", "n/a", "na", "none", "null", "nan", "unknown", "unknown artist")


@dataclass(frozen=True)
class Annotations:
    """All that a folder says of its songs, checked; every table is sorted by song_id.

    Attributes:
        ratings: song_id, valence, arousal and their standard deviations (NaN: none), on the file's scale.
        curves: "valence" and "arousal" -> table [songs, times] on -1..1, index song_id, columns seconds.
        artists: song_id -> artist, as spelt in the metadata.
        refused: one row for each row, cell or file that was not used, with the reason.
        files: kind -> paths below the folder ("ratings", "valence", "arousal", "artists").
    """

    ratings: pd.DataFrame
    curves: dict[str, pd.DataFrame]
    artists: dict[int, str]
    refused: pd.DataFrame
    files: dict[str, list[str]]


def read_folder(folder: Path, scale_min: float, scale_max: float, max_refused_share: float) -> Annotations:
    """The annotations of a folder, whatever its layout.

    Raises:
        InputError: no file of song ratings; one that lacks a column; more than `max_refused_share` of its
            songs refused, because the rest would then mislead.
    """
    found, refused = find_files(folder)
    ratings = read_ratings(folder, found["ratings"], scale_min, scale_max, refused)
    _refuse_most(ratings, refused, max_refused_share, folder, (scale_min, scale_max))
    curves = {axis: read_curves(folder, found[axis], refused) for axis in AXES}
    artists = read_artists(folder, found["artists"], refused)
    files = {kind: [path.relative_to(folder).as_posix() for path in paths] for kind, paths in found.items()}
    return Annotations(ratings, curves, artists, _refused_table(refused), files)


def find_files(folder: Path) -> tuple[dict[str, list[Path]], list[dict[str, object]]]:
    """Kind -> CSV files of that kind at any depth, and a row for each that looks like one and is not.

    A file that occurs twice with the same bytes (a copy in an outer folder) is read once. Files of single
    raters, of standard deviations and of anything else are passed over.

    Raises:
        InputError: the folder is missing or holds no file of song ratings.
    """
    found: dict[str, list[Path]] = {kind: [] for kind in ("ratings", *AXES, "artists")}
    refused: list[dict[str, object]] = []
    seen: set[tuple[str, ...]] = set()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() != ".csv" or path.name.startswith(".") or not path.is_file():
            continue
        kinds = kinds_of(path)
        content = (*kinds, sha256(path)) if kinds else ()
        if kinds and content in seen:
            refused.append(_refusal(folder, path, None, None, "a copy of a file that was read"))
            continue
        seen.add(content)
        for kind in kinds:
            found[kind].append(path)
        if not kinds and path.stem.lower().startswith("metadata"):
            refused.append(_refusal(folder, path, None, None, "no columns of song and artist"))
    if not found["ratings"]:
        raise InputError(
            "no annotations",
            where=folder,
            expected="a CSV with the columns song_id, valence_mean (or valence), arousal_mean (or arousal)",
            got="no such file at any depth",
            todo="unpack DEAM_Annotations.zip there, or give the folder that holds it",
        )
    return found, refused


def kinds_of(path: Path) -> list[str]:
    """What a CSV file holds, from its name and header: of "ratings", "valence", "arousal", "artists".

    Raises:
        InputError: it is named as averaged song ratings but has no such columns.
    """
    columns = header(path)
    words = re.split(r"[^a-z0-9]+", path.stem.lower())
    if "song_id" in columns and any(SAMPLE.fullmatch(column) for column in columns):
        axes = [axis for axis in AXES if axis in words]
        return axes if len(axes) == 1 and "std" not in words else []
    rated = {"song_id", *AXES} <= set(columns) and not any(column.startswith(NOT_AVERAGED) for column in columns)
    if not rated and path.stem.lower().startswith("static_annotations_averaged"):
        raise InputError(
            "averaged annotations without the columns",
            where=path,
            expected="song_id, valence_mean, arousal_mean",
            got=", ".join(columns) or "an empty file",
            todo="take the file from DEAM_Annotations.zip again",
        )
    kinds = ["ratings"] if rated else []
    return kinds + (["artists"] if {"song_id", "artist"} <= set(columns) else [])


def read_ratings(
    folder: Path, paths: list[Path], scale_min: float, scale_max: float, refused: list[dict[str, object]]
) -> pd.DataFrame:
    """Ratings of the songs, one row per song; what is no rating goes to `refused`.

    The same rating twice is kept once; two different ratings of one song are both refused, because nothing
    says which is right.
    """
    rows: dict[int, dict[str, float | None]] = {}
    conflicts: set[int] = set()
    for path in paths:
        for line, cells in rows_of(path, ("song_id", *AXES)):
            row, reason = _rating(cells, scale_min, scale_max)
            song_id = song_id_of(cells["song_id"])
            if row is not None and song_id is not None and song_id in rows:
                same = _equal(rows[song_id], row)
                reason = "the same rating again" if same else "another rating of the same song: neither is used"
                conflicts |= set() if same else {song_id}
            elif row is not None and song_id is not None:
                rows[song_id] = row
            if reason:
                refused.append(_refusal(folder, path, line, song_id, reason))
    kept = [rows[song_id] for song_id in sorted(rows) if song_id not in conflicts]
    table = pd.DataFrame(kept, columns=RATING_COLUMNS)
    return table.astype({column: "int64" if column == "song_id" else "float64" for column in RATING_COLUMNS})


def _rating(cells: dict[str, str], low: float, high: float) -> tuple[dict[str, float | None] | None, str]:
    """A rating from the cells of a row, or nothing and the reason."""
    song_id = song_id_of(cells["song_id"])
    if song_id is None:
        return None, f"no song id: {cells['song_id']!r}"
    values = {axis: number(cells[axis]) for axis in AXES}
    for axis, value in values.items():
        if value is None:
            return None, f"{axis}: no number: {cells[axis]!r}"
        if not low <= value <= high:
            return None, f"{axis} {value:g} outside the scale {low:g}..{high:g}"
    spread = {f"{axis}_std": number(cells.get(f"{axis}_std", "")) for axis in AXES}
    return {"song_id": song_id} | values | spread, ""


def _equal(one: dict[str, float | None], other: dict[str, float | None]) -> bool:
    return all(one[axis] == other[axis] for axis in AXES)


def _refuse_most(
    ratings: pd.DataFrame,
    refused: list[dict[str, object]],
    max_share: float,
    folder: Path,
    scale: tuple[float, float],
) -> None:
    """Stop where the usable ratings are too few to stand for the file."""
    lost = [row for row in refused if row["line"] is not None and "again" not in str(row["reason"])]
    share = len(lost) / max(1, len(lost) + len(ratings))
    if len(ratings) and share <= max_share:
        return
    first = "; ".join(f"{row['file']} line {row['line']}: {row['reason']}" for row in lost[:3])
    raise InputError(
        f"{len(lost)} of {len(lost) + len(ratings)} annotations cannot be used",
        where=folder,
        expected=f"at most {max_share:.0%} refused, values on {scale[0]:g}..{scale[1]:g}",
        got=first or "no rows",
        todo="correct the file, or set label.scale_min, label.scale_max or label.max_refused_share",
    )


def read_curves(folder: Path, paths: list[Path], refused: list[dict[str, object]]) -> pd.DataFrame:
    """Per-second values of one axis: table [songs, times] on -1..1, NaN where a song has none.

    A song whose curve holds no number, text or values outside -1..1 is refused, as is one with two
    different curves.
    """
    tables = [_curves(folder, path, refused) for path in paths]
    if not tables:
        return pd.DataFrame(index=pd.Index([], dtype="int64", name="song_id"))
    table = pd.concat(tables).sort_index(kind="stable")
    table = table[sorted(table.columns)]
    repeated = table.index[table.index.duplicated()]
    conflicts = {song for song in repeated if len(table.loc[[song]].drop_duplicates()) > 1}
    for song in sorted(conflicts):
        refused.append(_refusal(folder, paths[-1], None, int(song), "two different curves: neither is used"))
    return table[~table.index.duplicated() & ~table.index.isin(conflicts)]


def _curves(folder: Path, path: Path, refused: list[dict[str, object]]) -> pd.DataFrame:
    text = read_text(path)
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator_of(text), skipinitialspace=True, index_col=False)
        table.columns = pd.Index([canonical(str(column)) for column in table.columns])
        table = table.loc[:, ~table.columns.duplicated()]
        table["song_id"]
    except (ValueError, LookupError, OverflowError) as error:  # pandas' own errors are some of these
        raise InputError("not a table of per-second annotations", where=path, got=error) from error
    ids = [song_id_of(str(cell)) for cell in table["song_id"]]
    samples = {column: match for column in table.columns if (match := SAMPLE.fullmatch(column))}
    present = table[list(samples)]
    values = present.apply(pd.to_numeric, errors="coerce")
    unusable = {
        "no number in the curve": (present.notna() & values.isna()).any(axis=1),
        "curve outside -1..1": (values.abs() > 1).any(axis=1),
        "curve without values": values.isna().all(axis=1),
        "no song id": pd.Series([song is None for song in ids]),
    }
    for reason, rows in unusable.items():
        for row in np.flatnonzero(rows):
            refused.append(_refusal(folder, path, int(row) + 2, ids[row], reason))
    usable = ~pd.DataFrame(unusable).any(axis=1)
    values.columns = pd.Index([int(match[1]) / 1000 for match in samples.values()], dtype="float64")
    values = values.loc[:, ~values.columns.duplicated()]
    values.index = pd.Index([-1 if song is None else song for song in ids], dtype="int64", name="song_id")
    return values[usable.to_numpy()]


def read_artists(folder: Path, paths: list[Path], refused: list[dict[str, object]]) -> dict[int, str]:
    """Artist by song; songs without one are left out. A second, different artist of a song is refused."""
    artists: dict[int, str] = {}
    for path in paths:
        for line, cells in rows_of(path, ("song_id", "artist")):
            song_id, artist = song_id_of(cells["song_id"]), cells["artist"]
            if song_id is None or artist.lower() in NO_ARTIST:
                continue
            if artist_key(artists.setdefault(song_id, artist)) != artist_key(artist):
                refused.append(_refusal(folder, path, line, song_id, f"another artist: {artist!r}"))
    return dict(sorted(artists.items()))


def artist_key(artist: str) -> str:
    """What two spellings of one artist share: no case, no doubled spaces, one form of each accent."""
    return unicodedata.normalize("NFKC", clean(artist)).casefold()


def _refusal(folder: Path, path: Path, line: int | None, song_id: int | None, reason: str) -> dict[str, object]:
    name = path.relative_to(folder).as_posix()
    return {"file": name, "line": line, "song_id": song_id, "reason": reason}


def _refused_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=REFUSED_COLUMNS)
    return table.astype({"line": "Int64", "song_id": "Int64", "file": str, "reason": str})
