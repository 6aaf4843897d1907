import doctest
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.core.errors import InputError
from tasks.dataset import data_card
from tasks.dataset.dataset import check_artists, check_counts, join, write_dataset
from tasks.dataset.params import DatasetParams
from tasks.label import labels
from tasks.segment.segments import spectrogram_name
from tasks.settings import Params
from tests import annotation_folder as sample

IDS = list(range(2, 32))
SOURCES = {"sources": [{"name": "a.zip", "licence": "CC0 (rendered)", "citation": "nobody", "sha256": "ab" * 32}]}


def picture_row(song: int, segment: int, tile: int = 0, augmentation: str = "") -> dict[str, object]:
    name = spectrogram_name(song, segment, tile, augmentation)
    keys = {"file": name, "song_id": song, "segment": segment, "tile": tile, "augmentation": augmentation}
    return keys | {"max_value": 2.0, "loudness_lufs": -14.0}


def write_pictures(folder: Path, rows: list[dict[str, object]]) -> Path:
    folder.mkdir()
    for row in rows:
        Image.fromarray(np.full((8, 8), int(str(row["song_id"])) % 256, np.uint8)).save(folder / str(row["file"]))
    pd.DataFrame(rows).to_parquet(folder / "manifest.parquet")
    return folder


@pytest.fixture
def inputs(tmp_path: Path, demo_params: Params, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Pictures of 30 songs with four segments, their labels, and where they come from."""
    monkeypatch.chdir(tmp_path)
    raw = sample.write_folder(tmp_path / "raw", sample.songs(IDS), swap_until=1000)
    sample.segments(IDS).to_parquet(tmp_path / "segments.parquet")
    params = demo_params.label.model_copy(update={"scheme": "quadrants"})
    split = params.split.model_copy(update={"salt": None})
    params = params.model_copy(update={"split": split})
    labels.write_labels(raw, tmp_path / "segments.parquet", tmp_path / "labels", params, 1)
    rows = [picture_row(song, segment) for song in IDS for segment in range(4)]
    write_pictures(tmp_path / "spectrograms", rows)
    (tmp_path / "sources.json").write_text(json.dumps(SOURCES))
    return {
        "spectrograms": tmp_path / "spectrograms",
        "labels": tmp_path / "labels",
        "sources": tmp_path / "sources.json",
        "target": tmp_path / "dataset",
    }


@pytest.fixture
def params() -> DatasetParams:
    return DatasetParams(resolution=128, min_images_per_class=1)


def tables(inputs: dict[str, Path]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str]]:
    manifest = pd.read_parquet(inputs["spectrograms"] / "manifest.parquet")
    segments = pd.read_parquet(inputs["labels"] / "segments.parquet")
    return manifest, segments, pd.read_parquet(inputs["labels"] / "songs.parquet"), manifest["file"].tolist()


def test_doctests():
    assert doctest.testmod(data_card).failed == 0


def test_every_picture_is_labelled_once_and_no_artist_twice(inputs, params):
    write_dataset(**inputs, params=params)
    rows = pd.read_parquet(inputs["target"] / "dataset.parquet")
    assert len(rows) == rows["file_name"].nunique() == 120
    assert rows.groupby("artist")["split"].nunique().max() == 1
    assert pd.read_parquet(inputs["target"] / "excluded.parquet").empty
    assert all((inputs["target"] / name).is_file() for name in rows["file_name"])


def test_hugging_face_loads_the_folder(inputs, params, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    write_dataset(**inputs, params=params)
    rows = pd.read_parquet(inputs["target"] / "dataset.parquet")
    for path, options in (("imagefolder", {"data_dir": str(inputs["target"])}), (str(inputs["target"]), {})):
        loaded = load_dataset(path, cache_dir=str(tmp_path / "cache"), **options)
        assert {name: len(split) for name, split in loaded.items()} == rows["split"].value_counts().to_dict()
        first = loaded["test"][0]
        expected = rows[(rows["song_id"] == first["song_id"]) & (rows["segment"] == first["segment"])].iloc[0]
        assert (first["text"], first["emotion"], first["artist"]) == (expected.emotion,) * 2 + (expected.artist,)
        assert first["image"].getpixel((0, 0)) == first["song_id"]


def test_a_second_run_copies_only_what_differs(inputs, params):
    write_dataset(**inputs, params=params)
    files = {path: path.read_bytes() for path in inputs["target"].rglob("*") if path.is_file()}
    pictures = sorted(path for path in files if path.suffix == ".png")
    assert all(files[path] == (inputs["spectrograms"] / path.name).read_bytes() for path in pictures)
    stamps = {path: path.stat().st_mtime_ns for path in pictures}
    pictures[0].write_bytes(b"altered")
    pictures[1].unlink()
    write_dataset(**inputs, params=params)
    assert files == {path: path.read_bytes() for path in inputs["target"].rglob("*") if path.is_file()}
    assert [path for path in pictures if path.stat().st_mtime_ns != stamps[path]] == pictures[:2]


def test_what_no_longer_belongs_is_removed(inputs, params):
    write_dataset(**inputs, params=params)
    manifest = tables(inputs)[0]
    manifest[manifest["song_id"] != 2].to_parquet(inputs["spectrograms"] / "manifest.parquet")
    write_dataset(**inputs, params=params)
    assert not list(inputs["target"].rglob("00002_*.png"))
    excluded = pd.read_parquet(inputs["target"] / "excluded.parquet")
    assert excluded["reason"].tolist() == ["not in the table of spectrograms"] * 4


def test_a_split_may_be_empty(inputs, params):
    songs = pd.read_parquet(inputs["labels"] / "songs.parquet").assign(split="train")
    songs.to_parquet(inputs["labels"] / "songs.parquet")
    write_dataset(**inputs, params=params)
    assert (inputs["target"] / "test/metadata.jsonl").read_text() == ""
    assert len((inputs["target"] / "train/metadata.jsonl").read_text().splitlines()) == 120


def test_each_reason_to_leave_a_picture_out(inputs):
    manifest, segments, songs, present = tables(inputs)
    songs.loc[songs["song_id"] == 3, ["status", "reason"]] = ["excluded", "within the dead zone of a border"]
    songs = songs[songs["song_id"] != 4]
    segments.loc[(segments["song_id"] == 5) & (segments["segment"] == 1), "emotion"] = None
    tested = int(songs.loc[(songs["split"] == "test") & (songs["song_id"] > 7), "song_id"].iloc[0])
    manifest.loc[manifest["file"] == spectrogram_name(6, 0, 0), "segment"] = 2
    extra = pd.DataFrame([picture_row(tested, 0, 0, "pitch+2"), picture_row(7, 0)])
    manifest = pd.concat([manifest, extra], ignore_index=True)
    present = [*present[:-1], spectrogram_name(tested, 0, 0, "pitch+2"), "stray.png"]
    rows, excluded = join(manifest, segments, songs, present)
    assert excluded["reason"].value_counts().to_dict() == {
        "song excluded: within the dead zone of a border": 4,
        "the song is not in the labels": 4,
        "no label of this segment": 1,
        "augmented pictures are for training only": 1,
        "the file name says another song, segment or tile than the table": 1,
        "listed twice": 1,
        "the picture is missing": 1,
        "not in the table of spectrograms": 1,
    }
    assert len(rows) + len(excluded) == len(manifest) + 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2), st.sampled_from(["", "noise40"])), unique=True, min_size=1)
)
def test_pictures_are_in_exactly_one_table(pictures):
    manifest = pd.DataFrame([picture_row(song, segment, 0, change) for song, segment, change in pictures])
    songs = pd.DataFrame({"song_id": range(1, 6), "artist": list("abcde"), "reason": ""})
    songs = songs.assign(split=["train", "train", "test", "validation", "train"], status="ok")
    segments = pd.DataFrame([(song, part, 0.5, 0.5, "happy", "song") for song in range(1, 6) for part in range(2)])
    segments.columns = pd.Index(["song_id", "segment", "valence", "arousal", "emotion", "provenance"])
    try:
        rows, excluded = join(manifest, segments, songs, manifest["file"].tolist())
    except InputError:
        assert not any(song < 6 and part < 2 and (not change or song in (1, 2, 5)) for song, part, change in pictures)
        return
    names = rows["file_name"].str.rpartition("/")[2].tolist() + excluded["file_name"].tolist()
    assert sorted(names) == sorted(manifest["file"])


def test_too_few_training_pictures_of_a_class_stop_the_stage(inputs):
    manifest, segments, songs, present = tables(inputs)
    rows, _ = join(manifest, segments, songs, present)
    few = rows[(rows["split"] != "train") | (rows["emotion"] != "sad")]
    with pytest.raises(InputError, match="sad 0"):
        check_counts(few, songs, DatasetParams(resolution=128, min_images_per_class=1))


def test_an_artist_in_two_splits_is_refused():
    rows = pd.DataFrame({"song_id": [1, 2, 3], "artist": ["Ada", "ada ", ""], "split": ["train", "test", "test"]})
    with pytest.raises(InputError, match=r"1 artist\(s\) in more than one split"):
        check_artists(rows)
    check_artists(rows[1:])


def test_the_card_counts_what_is_there(inputs, params):
    write_dataset(**inputs, params=params)
    text = (inputs["target"] / "README.md").read_text()
    matter = yaml.safe_load(text.split("---")[1])
    assert matter["license"] == "cc0-1.0"
    assert matter["size_categories"] == ["n<1K"]
    assert "120 mel spectrogram pictures" in text
    assert "swapped" in text
    assert "nobody" in text
    rows = pd.read_parquet(inputs["target"] / "dataset.parquet")
    sad = rows[rows["emotion"] == "sad"]["split"].value_counts().reindex(["train", "validation", "test"], fill_value=0)
    assert f"| sad | {' | '.join(map(str, sad))} | {sad.sum()} |" in text
