"""Only what changed: a table of changes against the stages and songs that must run, with DVC and the real flows."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tasks.lineage.cache_repair import remove_corrupt
from tasks.why.status import why
from tests.rehearsal import REAL, Rehearsal, build, tone
from tests.repository import overlaid

LEARNING = ["base", "train@ours", "generate_base", "generate@ours", "evaluate", "report"]
AFTER_SPECTROGRAM = ["spectrogram", "dataset", *LEARNING]
SONGS = list(range(1, 11))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs and repository after a first run of everything."""
    folder = tmp_path_factory.mktemp("changes")
    repository = build(folder)
    with pytest.MonkeyPatch.context() as patch:
        ran, computed = Rehearsal(repository.folder, patch).repro()
    assert sorted(ran) == sorted(["download", "convert", "segment", "label", *AFTER_SPECTROGRAM])
    assert computed == {"convert": SONGS, "spectrogram": SONGS}
    repository.commit("first run")
    return folder


@pytest.fixture
def done(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """A copy of it to change."""
    shutil.copytree(first, tmp_path / "copy", symlinks=True)
    return Rehearsal(tmp_path / "copy" / "repository", monkeypatch)


def parameter(changes: dict[str, object]) -> Callable[[Rehearsal], None]:
    """Lay changes over params.yaml."""

    def change(done: Rehearsal) -> None:
        path = done.folder / "params.yaml"
        path.write_text(yaml.safe_dump(overlaid(yaml.safe_load(path.read_text()), changes), sort_keys=False))

    return change


def edit(done: Rehearsal, name: str, old: str, new: str) -> None:
    path = done.folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def touch(done: Rehearsal) -> None:
    for path in [*done.songs.iterdir(), *done.folder.glob("data/**/*"), *done.folder.glob("tasks/*.py")]:
        os.utime(path)


def fresh_copy(path: Path, text: bytes) -> None:
    """Other bytes under the same name, as a program that does not write in place does."""
    path.unlink()
    path.write_bytes(text)


CHANGES: dict[str, tuple[Callable[[Rehearsal], None], list[str], dict[str, list[int]]]] = {
    "nothing": (lambda done: None, [], {}),
    "touch": (touch, [], {}),
    "one MP3": (
        lambda done: tone(done.songs / "3.mp3", 900),
        ["download", "convert", "segment", *AFTER_SPECTROGRAM],
        {"convert": [3], "spectrogram": [3]},
    ),
    "one annotation": (
        lambda done: edit(done, "../songs/labels.csv", "3,7,6,c", "3,7.5,6,c"),
        ["download", "label", "dataset", *LEARNING],
        {},
    ),
    "a spectrogram parameter": (
        parameter({"spectrogram": {"power": 0.5}}),
        AFTER_SPECTROGRAM,
        {"spectrogram": SONGS},
    ),
    "a parameter that changes no result": (parameter({"compute": {"workers": 2, "buckets": 7}}), [], {}),
    "an added experiment": (
        parameter({"train": {"experiments": {"more": {"steps": 1}}}}),
        ["train@more", "generate@more", "evaluate", "report"],
        {},
    ),
    "a deleted song's WAV": (lambda done: (done.folder / "data/wav/3.wav").unlink(), ["convert"], {}),
    "an altered picture": (
        lambda done: fresh_copy(next(iter(sorted(done.folder.glob("data/spectrograms/*.png")))), b"altered"),
        ["spectrogram"],
        {},
    ),
    "a deleted folder": (lambda done: shutil.rmtree(done.folder / "data/labels"), [], {}),
    "a deleted data set": (lambda done: shutil.rmtree(done.folder / "data/dataset"), ["dataset"], {}),
    "a deleted model": (lambda done: shutil.rmtree(done.folder / "models/ours"), [], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_exactly_what_a_change_touches_runs(done: Rehearsal, name: str) -> None:
    change, stages, songs = CHANGES[name]
    files = kept(done.folder)
    change(done)
    told = {one.stage: one for one in why(Path()) if one.runs}
    ran, computed = done.repro()
    assert (sorted(ran), computed) == (sorted(stages), songs)
    assert set(ran) <= told.keys()
    assert all(set(told[stage].songs or SONGS) >= set(songs[stage]) for stage in songs)  # none is left untold
    if len(stages) < 2:
        assert kept(done.folder) == files
    assert done.repro() == ([], {})


def kept(folder: Path) -> dict[str, bytes]:
    """Every artifact with its bytes."""
    paths = [path for top in ("data", "models", "reports") for path in (folder / top).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


EDITS = {
    "a docstring": ("tasks/convert/convert.py", '"""Songs as WAV files', '"""All songs as WAV files', {}, []),
    "a comment in a shared library": ("tasks/core/files.py", "import fnmatch", "import fnmatch  # patterns", {}, []),
    "how bytes reach the disk": ("tasks/core/storage.py", "os.replace(", "os.rename(", {}, []),
    "an error's words": ("tasks/label/labels.py", "InputError(\n", "InputError(\n            \"odd: \"\n", {}, []),
    "the flow around the tasks": ("flows/segment.py", "n_segments = len(", "n_segments = 1 * len(", {}, []),
    "a constant": ("tasks/label/splits.py", "N_SALTS = 100", "N_SALTS = 99", {}, ["label", "dataset"]),
    "the audio": ("tasks/audio/write.py", "FULL_SCALE = 32767", "FULL_SCALE = 32766", {"convert": SONGS}, []),
    "the codec": ("tasks/codec/forward.py", "BLOCK_FRAMES = 16", "BLOCK_FRAMES = 8", {"spectrogram": SONGS}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_the_code_computes_what_it_decides(done: Rehearsal, name: str) -> None:
    """DVC runs every stage of the package; the items say what had to be computed, and `why` says it before."""
    path, old, new, songs, made = EDITS[name]
    edit(done, path, old, new)
    told = {one.stage for one in why(Path()) if one.computes and one.stage in REAL}
    certain = {one.stage for one in why(Path()) if one.computes and one.certain and one.stage in REAL}
    ran, computed = done.repro()
    assert ran
    assert (computed, done.made) == (songs, made)
    assert certain == {*songs, *made}
    assert told >= certain
    assert done.repro() == ([], {})


def test_an_old_parameter_value_computes_nothing(done: Rehearsal) -> None:
    before = kept(done.folder)
    parameter({"spectrogram": {"power": 0.5}})(done)
    done.repro()
    parameter({"spectrogram": {"power": 0.25}})(done)
    ran, computed = done.repro()
    assert {"spectrogram", "dataset"} <= set(ran)  # they put the pictures back, DVC the rest
    assert not {"base", "train@ours", "evaluate"} & set(ran)
    assert (computed, done.made) == ({}, [])
    assert kept(done.folder) == before


def test_inputs_a_b_a_leave_as_output(done: Rehearsal) -> None:
    before, song = kept(done.folder), (done.songs / "3.mp3").read_bytes()
    tone(done.songs / "3.mp3", 900)
    done.repro()
    assert kept(done.folder)["data/wav/3.wav"] != before["data/wav/3.wav"]
    (done.songs / "3.mp3").write_bytes(song)
    assert done.repro()[1] == {}
    assert kept(done.folder) == before


def test_a_song_added_and_withdrawn_leaves_nothing_behind(done: Rehearsal) -> None:
    before, labels = kept(done.folder), done.songs / "labels.csv"
    text = labels.read_text()
    tone(done.songs / "11.mp3", 900)
    labels.write_text(text + "11,3,3,a\n")
    done.repro()
    assert "data/raw/audio/11.mp3" in kept(done.folder)
    labels.write_text(text)
    (done.songs / "11.mp3").unlink()
    done.repro()
    assert (done.computed, done.made) == ({}, [])
    assert kept(done.folder) == before


def test_a_withdrawn_song_leaves_nothing_behind(done: Rehearsal) -> None:
    (done.songs / "3.mp3").unlink()
    assert done.repro()[1] == {}
    assert not [name for name in kept(done.folder) if Path(name).name.startswith(("3.", "00003_"))]
    assert 3 not in set(pd.read_parquet(done.folder / "data/dataset/dataset.parquet").song_id)


def corrupt(done: Rehearsal, file: Path) -> None:
    """Other bytes in DVC's cache under the hash of `file`, with DVC's sign that they may be trusted (read-only)."""
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    stored = done.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"corrupt")
    stored.chmod(0o444)


def test_a_corrupt_entry_of_dvcs_cache_is_made_again(done: Rehearsal, caplog: pytest.LogCaptureFixture) -> None:
    wav = done.folder / "data/wav/3.wav"
    before = wav.read_bytes()
    corrupt(done, wav)
    wav.unlink()
    assert done.repro() == (["convert"], {"convert": [3]})
    assert "corrupt cache entry" in caplog.text
    assert wav.read_bytes() == before
    wav.unlink()
    assert done.repro() == (["convert"], {})  # the entry was mended too


def test_a_corrupt_model_in_dvcs_cache_is_made_again(done: Rehearsal) -> None:
    model = done.folder / "models/ours/file.txt"
    before = model.read_bytes()
    corrupt(done, model)
    shutil.rmtree(model.parent)
    done.repro()
    assert model.read_bytes() == b"corrupt"  # DVC trusts its entry
    assert remove_corrupt(Path()) == ["models/ours/file.txt"]
    assert done.repro() == (["train@ours"], {})
    assert model.read_bytes() == before
    assert remove_corrupt(Path()) == []
