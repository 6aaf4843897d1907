"""What the versioned tables know of a song: manifests -> **rows of a song** -> lineage.

Read with pyarrow and only the columns needed, because an answer must not wait for pandas.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import InputError
from tasks.core.layout import (
    DATASET_TABLE,
    FACTS,
    GENERATED,
    LABEL_REPORT,
    MODELS,
    SEGMENT_TABLE,
    SONG_LABELS,
    SPECTROGRAM_MANIFEST,
    WAV_MANIFEST,
    model,
)
from tasks.core.reading import json_of

if TYPE_CHECKING:
    import pyarrow as pa

COUNTS = {"n_segments": SEGMENT_TABLE, "n_spectrograms": SPECTROGRAM_MANIFEST, "n_pictures": DATASET_TABLE}
FILE_COLUMNS = ("file_name", "file")  # of a table that has a row for every file beside it


def table(root: Path, name: Path, columns: list[str] | None = None) -> "pa.Table | None":
    """The columns of a table that are there (None: all); None when the file is missing."""
    from pyarrow.parquet import ParquetFile  # read_table would load pyarrow.dataset, and that pandas

    path = root / name
    if not path.is_file():
        return None
    try:
        file = ParquetFile(path)
        there = set(file.schema_arrow.names)
        return file.read(columns=None if columns is None else [column for column in columns if column in there])
    except Exception as error:  # pyarrow reports damage in a dozen ways
        todo = "run the stage that writes it again"
        raise InputError("not a readable Parquet file", where=path, got=error, todo=todo) from error


def rows(root: Path, name: Path, columns: list[str]) -> list[dict[str, Any]]:
    """The rows of a table; [] when the file is missing."""
    found = table(root, name, columns)
    return [] if found is None else found.to_pylist()


def rows_where(root: Path, name: Path, column: str, value: Any) -> list[dict[str, Any]]:
    """The rows of a table where `column` is `value`; [] when the file is missing."""
    keys = table(root, name, [column])
    if keys is None or column not in keys.column_names:
        return []
    wanted = [number for number, one in enumerate(keys[column].to_pylist()) if one == value]
    found = table(root, name) if wanted else None
    return [row for number in wanted if found for row in found.slice(number, 1).to_pylist()]  # `take` loads pandas


def songs_by_split(root: Path) -> dict[str, list[int]]:
    """Song ids of data/dataset as it is now, by split."""
    found: dict[str, set[int]] = {}
    for row in rows(root, DATASET_TABLE, ["song_id", "split"]):
        found.setdefault(row["split"], set()).add(row["song_id"])
    return {split: sorted(found[split]) for split in sorted(found)}


def counts(root: Path, name: Path) -> Counter[int]:
    """Rows of each song in a table."""
    found = table(root, name, ["song_id"])
    return Counter() if found is None else Counter(found["song_id"].to_pylist())


def facts_of(root: Path, songs: list[int]) -> list[dict[str, Any]]:
    """For each song: its source and WAV with hashes, its label and correction, how many segments and pictures."""
    audio = [
        "song_id",
        "source_file",
        "source_sha256",
        "file",
        "sha256",
        "decoder",
        "decoder_version",
        "status",
        "reason",
    ]
    label = ["song_id", "valence", "arousal", "emotion", "artist", "split", "swapped"]
    wanted = set(songs)
    found: dict[int, dict[str, Any]] = {song: {"song_id": song} for song in songs}
    for row in rows(root, WAV_MANIFEST, audio):
        if row["song_id"] in wanted:
            source = {"file": row.pop("source_file", None), "sha256": row.pop("source_sha256", None)}
            found[row["song_id"]] |= {"source": source, "wav": {key: row[key] for key in audio if key in row}}
            found[row["song_id"]]["wav"].pop("song_id")
    for row in rows(root, SONG_LABELS, label):
        if row["song_id"] in wanted:
            found[row["song_id"]]["label"] = {key: value for key, value in row.items() if key != "song_id"}
    for key, name in COUNTS.items():
        counted = counts(root, name)
        for song in songs:
            found[song][key] = counted[song]
    return [found[song] for song in songs]


def row_of_file(root: Path, path: str) -> dict[str, Any]:
    """What its sidecar, the facts of its model or a table beside it says of one file; {} where none does."""
    place = Path(path)
    if place.parent.parent == GENERATED:
        sidecar = (root / place).with_suffix(".json")
        return json_of(sidecar) if sidecar.is_file() else {}
    if MODELS in place.parents:
        facts = root / model(place.relative_to(MODELS).parts[0]) / FACTS
        return json_of(facts) if facts.is_file() else {}
    return row_in_tables(root, place)


def row_in_tables(root: Path, file: Path) -> dict[str, Any]:
    """The row of a file in a table of a folder above it, which names files relative to itself; {} where none is."""
    for folder in file.parents:
        for name in sorted((root / folder).glob("*.parquet")):
            for column in FILE_COLUMNS:
                found = rows_where(root, folder / name.name, column, file.relative_to(folder).as_posix())
                if found:
                    return dict(found[0])
    return {}


def windows(root: Path, song: int) -> list[dict[str, Any]]:
    """The segments of a song, in order."""
    return sorted(rows_where(root, SEGMENT_TABLE, "song_id", song), key=lambda row: row["segment"])


def corrections(root: Path) -> dict[str, Any]:
    """What label's report says about corrections: the rule, how many songs, the check of each part."""
    path = root / LABEL_REPORT
    if not path.is_file():
        return {}
    report = json_of(path)
    keys = ("correction", "corrected_songs", "parts", "files", "refused")
    return {key: report[key] for key in keys if key in report}
