"""Pictures with one emotion each: spectrograms + labels -> **dataset** -> train, evaluate.

The folder is a Hugging Face imagefolder (a folder a split, metadata.jsonl beside the pictures) with the same
rows in dataset.parquet, and in excluded.parquet every picture that is not in it, with the reason.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.core import layout
from tasks.core.errors import InputError
from tasks.core.files import write_parquet, write_text
from tasks.core.reading import json_of, parquet_of
from tasks.core.storage import replacing
from tasks.dataset.data_card import card
from tasks.dataset.params import DatasetParams
from tasks.execution.cache import Cache, prune
from tasks.label.annotations import artist_key
from tasks.label.splits import SPLITS
from tasks.segment.segments import parse_name

KEYS = ["file_name", "song_id", "segment", "tile", "augmentation"]
LABELS = ["emotion", "valence", "arousal", "artist", "split", "provenance"]
COLUMNS = [*KEYS, *LABELS, "max_value", "loudness_lufs"]


def write_dataset(spectrograms: Path, labels: Path, sources: Path, target: Path, params: DatasetParams) -> None:
    """`target` holds the pictures by split, their rows, the excluded ones and the data card.

    Pictures are copies of those of `spectrograms`, made anew only where they differ (DVC would take hard links
    apart, and hash and copy all of them). What is in `target` and no longer belongs is removed.

    Raises:
        InputError: as `join`, `check_artists` and `check_counts`.
    """
    manifest = parquet_of(
        spectrograms / layout.SPECTROGRAM_MANIFEST.name, [*KEYS[1:], "file", "max_value", "loudness_lufs"]
    )
    songs = parquet_of(labels / layout.SONG_LABELS.name, ["song_id", "emotion", "artist", "split", "status", "reason"])
    segments = parquet_of(
        labels / layout.SEGMENT_LABELS.name, [*KEYS[1:3], "emotion", "valence", "arousal", "provenance"]
    )
    present = sorted(path.name for path in spectrograms.glob("*.png"))
    rows, excluded = join(manifest, segments, songs, present)
    check_artists(rows)
    check_counts(rows, songs, params)
    cache = Cache()
    written = [_place(spectrograms / Path(name).name, target / name, cache) for name in rows["file_name"]]
    for split in SPLITS:
        written.append(_write_metadata(target / split / "metadata.jsonl", rows[rows["split"] == split]))
    write_parquet(target / layout.DATASET_TABLE.name, rows)
    write_parquet(target / layout.EXCLUDED.name, excluded)
    report = json_of(labels / layout.LABEL_REPORT.name)
    origin = json_of(sources).get("sources", []) if sources.is_file() else []
    try:
        text = card(rows, excluded, report, origin)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        got, todo = f"{type(error).__name__}: {error}", "run `emoriff label` and `emoriff download` again"
        raise InputError("its records have another form", where=f"{labels}, {sources}", got=got, todo=todo) from error
    write_text(target / "README.md", text)
    prune(
        target, [*written, *(target / name for name in (layout.DATASET_TABLE.name, layout.EXCLUDED.name, "README.md"))]
    )


def join(
    manifest: pd.DataFrame, segments: pd.DataFrame, songs: pd.DataFrame, present: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the dataset and the excluded rows; each picture of `manifest` or `present` is in one of them.

    Args:
        manifest: pictures as the spectrogram stage lists them.
        segments, songs: as in data/labels.
        present: names of the picture files that there are.

    Raises:
        InputError: no picture is left.
    """
    table = manifest.merge(segments, on=["song_id", "segment"], how="left")
    table = table.merge(songs[["song_id", "artist", "split", "status", "reason"]], on="song_id", how="left")
    table["artist"] = table["artist"].fillna("")
    table["reason"] = [_reason(row) for row in _with_presence(table, set(present)).to_dict("records")]
    table = table.sort_values(["song_id", "segment", "tile", "augmentation"], kind="stable")
    used = table["reason"] == ""
    if not used.any():
        raise InputError(
            "no picture has a label",
            where=f"{layout.SPECTROGRAMS} and {layout.LABELS}",
            expected="pictures of songs that have labels",
            got="; ".join(f"{n} x {reason}" for reason, n in table["reason"].value_counts().items()) or "no pictures",
            todo="run `emoriff label` and `emoriff spectrogram` again",
        )
    rows = table[used].copy()
    rows["file_name"] = rows["split"] + "/" + rows["file"]
    excluded = table[~used].rename(columns={"file": "file_name"})
    strays = _strays(sorted(set(present) - set(manifest["file"])))
    columns = [*COLUMNS, "reason"]
    return (
        rows[COLUMNS].reset_index(drop=True),
        pd.concat([excluded[columns], strays[columns].astype(excluded[columns].dtypes)], ignore_index=True),
    )


def _with_presence(table: pd.DataFrame, present: set[str]) -> pd.DataFrame:
    """The table with what `_reason` asks: is the file there, is it listed twice."""
    return table.assign(is_present=table["file"].isin(present), is_repeated=table["file"].duplicated())


def _reason(row: dict[str, Any]) -> str:
    """Why a picture is not in the dataset; empty if it is."""
    if row["is_repeated"]:
        return "listed twice"
    if not row["is_present"]:
        return "the picture is missing"
    if name_differs(row):
        return "the file name says another song, segment or tile than the table"
    if not isinstance(row["status"], str):
        return "the song is not in the labels"
    if row["status"] != "ok":
        return f"song excluded: {row['reason']}"
    if not isinstance(row["emotion"], str):
        return "no label of this segment"
    if row["augmentation"] and row["split"] != "train":
        return "augmented pictures are for training only"
    return ""


def name_differs(row: dict[str, Any]) -> bool:
    """Whether a picture's file name and its row in the table disagree on what it is."""
    try:
        name = parse_name(row["file"])
    except InputError:
        return True
    said = (name.song_id, name.segment, name.tile, name.augmentation)
    return said != (row["song_id"], row["segment"], row["tile"], row["augmentation"])


def _strays(names: list[str]) -> pd.DataFrame:
    """Rows of pictures that the table does not list."""
    rows = []
    for name in names:
        row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"file_name": name, "song_id": -1, "segment": -1, "tile": -1}
        rows.append(row | {"augmentation": "", "artist": "", "reason": "not in the table of spectrograms"})
    return pd.DataFrame(rows, columns=[*COLUMNS, "reason"])


def check_artists(rows: pd.DataFrame) -> None:
    """Refuse a table in which an artist is in two splits.

    Raises:
        InputError: names the first of them.
    """
    keys = rows["artist"].map(artist_key).where(rows["artist"] != "", "song " + rows["song_id"].astype(str))
    n_splits = rows.groupby(keys)["split"].nunique()
    shared = sorted(n_splits.index[n_splits > 1])
    if shared:
        raise InputError(
            f"{len(shared)} artist(s) in more than one split",
            where=layout.SONG_LABELS,
            expected="all songs of an artist in one split, or the test is not one",
            got=", ".join(shared[:5]),
            todo="run `emoriff label` again",
        )


def check_counts(rows: pd.DataFrame, songs: pd.DataFrame, params: DatasetParams) -> None:
    """Refuse a table with too few training pictures of a class that occurs among the labelled songs.

    Raises:
        InputError: names the classes.
    """
    classes = sorted(set(songs.loc[songs["status"] == "ok", "emotion"].dropna()) | set(rows["emotion"]))
    counts = rows[rows["split"] == "train"]["emotion"].value_counts().reindex(classes, fill_value=0)
    few = counts[counts < params.min_images_per_class]
    if len(few):
        raise InputError(
            "too few training pictures of a class",
            where=layout.DATASET,
            expected=f"at least {params.min_images_per_class} of each (dataset.min_images_per_class)",
            got=", ".join(f"{name} {n}" for name, n in few.items()),
            todo="add songs of that class, take another label.split.salt or label.scheme, or lower the minimum",
        )


def _place(source: Path, target: Path, cache: Cache) -> Path:
    """`target` has the bytes of `source`; one that has them already stays as it is."""
    if not (target.is_file() and cache.md5(target) == cache.md5(source)):
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    return target


def _write_metadata(target: Path, rows: pd.DataFrame) -> Path:
    """One JSON object per line, as the imagefolder loader wants it; `text` is the bare word of the emotion."""
    names = [Path(name).name for name in rows["file_name"]]  # a split may be empty
    records = rows.assign(file_name=names, text=rows["emotion"])
    records = records.astype(object).where(records.notna(), None)
    lines = [json.dumps(record, sort_keys=True) + "\n" for record in records.to_dict("records")]
    write_text(target, "".join(lines))
    return target
