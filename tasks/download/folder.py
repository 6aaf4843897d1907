"""A user's own audio with a table of labels: folder + CSV -> **data/raw as DEAM's archives give it**.

The table becomes a static annotation file of DEAM's simple shape on DEAM's scale 1..9 (Aljanaki, Yang,
Soleymani 2017), so that everything behind reads one kind of file.
"""

import csv
import io
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import layout
from tasks.core.csv_tables import header, number, rows_of, safe, song_id_of
from tasks.core.errors import InputError
from tasks.core.files import write_text
from tasks.core.storage import replacing
from tasks.download.params import FolderParams

ENDINGS = "mp3 wav flac ogg oga opus m4a mp4 aac wma aif aiff au caf w64 mka webm"
AXES = ("valence", "arousal")
LICENCE = "the user's own files: see to it that you may use them"
LOWEST, HIGHEST = 1.0, 9.0  # DEAM's scale
AUDIO = re.compile(rf"\.({ENDINGS.replace(' ', '|')})", re.IGNORECASE)
SONG_ID = re.compile(r"\d{1,9}")
Row = tuple[int, dict[str, str]]  # line, column -> cell


@dataclass(frozen=True)
class Label:
    """One row of the user's table, on DEAM's scale."""

    song_id: int
    valence: float
    arousal: float
    artist: str


def take_folder(params: FolderParams, target: Path) -> tuple[dict[str, Any], list[Path]]:
    """Copies audio, annotations and metadata into `target` (data/raw); its sources.json row, and the files.

    Songs without a label and labels without audio are kept and listed in the row; audio files that are not
    named by a song id are listed and left out.

    Raises:
        InputError: no folder, no audio or no audio named by a song id; a table that cannot be read, lacks a
            column, names a song twice, or holds a value that is no number or off the scale; no song that
            has both audio and label.
    """
    audio, unnamed = find_audio(Path(params.audio))
    labels = read_labels(Path(params.labels), params.scale_min, params.scale_max)
    _check_pairs(params, audio, labels)
    taken = [
        _copy(path, target / layout.AUDIO.name / f"{song_id}{path.suffix.lower()}") for song_id, path in audio.items()
    ]
    taken += _write_tables(labels, target)
    row = {
        "name": "folder",
        "licence": LICENCE,
        "citation": "",
        "files": {"annotations": 1, "audio": len(audio), "metadata": 1},
        "audio_without_label": sorted(set(audio) - set(labels)),
        "audio_without_song_id": unnamed,
        "label_without_audio": sorted(set(labels) - set(audio)),
    }
    return row, taken


def find_audio(folder: Path) -> tuple[dict[int, Path], list[str]]:
    """Song id -> audio file at any depth, by id; and the names of audio files without a song id.

    Raises:
        InputError: no folder, no audio, or an id that occurs twice.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where=folder, expected="a folder with audio files", got="nothing there")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and AUDIO.fullmatch(path.suffix)]
    found: dict[int, Path] = {}
    unnamed = []
    for path in paths:
        if path.name.startswith(".") or not SONG_ID.fullmatch(path.stem):
            unnamed.append(path.relative_to(folder).as_posix())
        else:
            _add_once(found, int(path.stem), path)
    if not found:
        raise InputError(
            "no audio in the folder" if not paths else "no audio file is named by its song id",
            where=folder,
            expected=f"files named <song_id>.mp3 (or another of {ENDINGS})",
            got=", ".join(unnamed[:5]) or ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "no files",
            todo="name the files by the numbers in the table's column song_id: 17.mp3",
        )
    return dict(sorted(found.items())), unnamed


def _add_once(found: dict[int, Path], song_id: int, path: Path) -> None:
    if song_id in found:
        raise InputError(
            f"song {song_id} has two audio files",
            where=path.parent,
            expected="one file for each song id",
            got=f"{found[song_id].name} and {path.name}",
            todo="remove one of them",
        )
    found[song_id] = path


def read_labels(table: Path, scale_min: float, scale_max: float) -> dict[int, Label]:
    """Song id -> label on DEAM's scale. Columns are known by name, whatever their order, case and spaces.

    Raises:
        InputError: as for `take_folder`; all bad rows of a kind are named in one message.
    """
    _check_columns(table)
    rows = list(rows_of(table, ("song_id", *AXES)))
    _check_rows(table, rows, scale_min, scale_max)
    scale = (HIGHEST - LOWEST) / (scale_max - scale_min)
    found: dict[int, Label] = {}
    for _, row in rows:
        song_id = song_id_of(row["song_id"])
        valence, arousal = (LOWEST + (float(row[axis]) - scale_min) * scale for axis in AXES)
        assert song_id is not None  # checked above
        found[song_id] = Label(song_id, valence, arousal, row.get("artist", ""))
    return dict(sorted(found.items()))


def _check_columns(table: Path) -> None:
    try:
        columns = header(table)
    except OSError as error:
        raise InputError(
            "the table of labels cannot be read",
            where=table,
            expected="a CSV file",
            got=error.strerror,
            todo="see download.folder.labels in params.yaml",
        ) from error
    missing = [name for name in ("song_id", *AXES) if name not in columns]
    if missing:
        raise InputError(
            f"the table lacks {', '.join(missing)}",
            where=table,
            expected=", ".join(("song_id", *AXES)) + " and optionally artist",
            got=", ".join(columns) or "an empty file",
            todo="rename the columns in the first line",
        )


def _check_rows(table: Path, rows: list[Row], low: float, high: float) -> None:
    if not rows:
        raise InputError("the table has no rows", where=table, expected="a row for each song", got="a header")
    if not low < high:
        raise InputError(
            "the scale is empty", where="download.folder", expected="scale_min < scale_max", got=(low, high)
        )
    _refuse(table, [row for row in rows if song_id_of(row[1]["song_id"]) is None], "a song_id that is no whole number")
    for axis in AXES:
        _refuse(table, [row for row in rows if number(row[1][axis]) is None], f"{axis} that is no number")
        off = [row for row in rows if not low <= float(row[1][axis]) <= high]
        _refuse(table, off, f"{axis} outside the scale {low:g}..{high:g} (download.folder.scale_min, scale_max)")
    first: dict[int | None, int] = {}
    for line, row in rows:
        first.setdefault(song_id_of(row["song_id"]), line)
    twice = [(line, row) for line, row in rows if first[song_id_of(row["song_id"])] != line]
    _refuse(table, twice, "a song_id for the second time")


def _refuse(table: Path, bad: list[Row], what: str) -> None:
    if bad:
        shown = "; ".join(f"line {line}: {','.join(row.values())}" for line, row in bad[:5])
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise InputError(f"{len(bad)} row(s) with {what}", where=table, got=shown + more, todo="mend those rows")


def _check_pairs(params: FolderParams, audio: dict[int, Path], labels: dict[int, Label]) -> None:
    if not set(audio) & set(labels):
        raise InputError(
            "no song has both audio and a label",
            where=f"{params.audio} and {params.labels}",
            expected="audio files named by the ids of the column song_id",
            got=f"audio {_some(audio)}; labels {_some(labels)}",
        )


def _some(ids: Iterable[int]) -> str:
    shown = sorted(ids)
    return ", ".join(map(str, shown[:5])) + (", ..." if len(shown) > 5 else "")


def _copy(source: Path, target: Path) -> Path:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
    return target


def _write_tables(labels: dict[int, Label], target: Path) -> list[Path]:
    """DEAM's static annotation file (the standard deviations are not known) and a metadata file."""
    ratings = [[label.song_id, _decimal(label.valence), "", _decimal(label.arousal), ""] for label in labels.values()]
    header = ["song_id", "valence_mean", "valence_std", "arousal_mean", "arousal_std"]
    annotations = target / layout.ANNOTATIONS.name / "static_annotations_folder.csv"
    metadata = target / layout.METADATA.name / "metadata_folder.csv"
    write_text(annotations, _csv([header, *ratings]))
    artists = [[label.song_id, label.artist] for label in labels.values()]
    write_text(metadata, _csv([["song_id", "artist"], *artists]))
    return [annotations, metadata]


def _decimal(value: float) -> str:
    """Twelve digits: a rating on a border (5 of 1..9) stays on it after a change of scale and back."""
    return f"{value:.12g}"


def _csv(rows: list[list[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([safe(cell) for cell in row] for row in rows)
    return buffer.getvalue()
