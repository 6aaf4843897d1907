import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.core.errors import InputError
from tasks.lineage import records
from tasks.why.changes import line_changes, parameters, parquet_rows
from tasks.why.status import StageStatus, why
from tasks.why.text import explain
from tests import toy

FOLLOW_DATA = {"base", "train@exp1", "train@ours", "generate@exp1", "generate@ours", "evaluate"}
ALL = {"download", "convert", "segment", "label", "spectrogram", "dataset"} | FOLLOW_DATA


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy pipeline, run and committed."""
    root = toy.build(tmp_path_factory.mktemp("why"))
    toy.make(root)
    toy.commit(root, "First run")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))


def running(root: Path) -> dict[str, StageStatus]:
    return {one.stage: one for one in why(root) if one.runs}


def edit(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def delete(root: Path, name: str) -> None:
    (root / name).unlink()


CHANGES: dict[str, tuple[Callable[[Path], None], set[str], set[str]]] = {
    "nothing": (lambda root: None, set(), set()),
    "touch": (lambda root: (root / "incoming/audio/2.mp3").touch(), set(), set()),
    "song": (lambda root: edit(root, "incoming/audio/2.mp3", "song", "Song"), {"download"}, ALL - {"download"}),
    "annotation": (
        lambda root: edit(root, "incoming/annotations/static.csv", "3, 6, 4", "3, 7, 4"),
        {"download"},
        ALL - {"download"},
    ),
    "parameter": (
        lambda root: toy.set_parameter(root, "spectrogram.power", 0.5),
        {"spectrogram"},
        FOLLOW_DATA | {"dataset"},
    ),
    "unused parameter": (lambda root: toy.set_parameter(root, "compute", {"workers": 3}), set(), set()),
    "code": (
        lambda root: edit(root, "tasks/audio/write.py", "LEVEL = 1", "LEVEL = 2"),
        {"convert"},
        ALL - {"download", "convert"},
    ),
    "experiment": (
        lambda root: toy.set_parameter(root, "train.experiments.exp1.steps", 6),
        {"train@exp1"},
        {"generate@exp1", "evaluate"},
    ),
    "new experiment": (
        lambda root: toy.set_parameter(root, "train.experiments.more", {"steps": 1}),
        {"train@more", "generate@more"},
        {"evaluate"},
    ),
    "deleted output": (lambda root: delete(root, "data/wav/3.wav"), {"convert"}, set()),
    "altered output": (lambda root: edit(root, "data/labels/report.json", "detect", "Detect"), {"label"}, set()),
    "seed": (
        lambda root: toy.set_parameter(root, "seed", 2),
        {"label", "base", "train@exp1", "train@ours", "generate@exp1", "generate@ours"},
        {"dataset", "evaluate"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_stages_named_are_those_that_dvc_would_run(root: Path, change: str) -> None:
    make, certain, following = CHANGES[change]
    make(root)
    found = running(root)
    assert {name for name, one in found.items() if one.certain} == certain
    assert {name for name, one in found.items() if not one.certain} == following


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_dvc_then_runs_what_was_said(root: Path, change: str) -> None:
    """Oracle: `dvc repro` itself."""
    CHANGES[change][0](root)
    found = running(root)
    ran = set(re.findall(r"(?:Running stage|Stage) '(\S+?)'(?::| is cached)", toy.repro(root)))
    assert {name for name, one in found.items() if one.certain} <= ran <= found.keys()
    assert not running(root)


def test_names_the_song_whose_source_changed(root: Path) -> None:
    edit(root, "incoming/audio/2.mp3", "song", "Song")
    found = running(root)
    assert found["download"].reasons[0].lines == ("audio/2.mp3 changed",)
    assert found["convert"].songs == found["spectrogram"].songs == (2,)


def test_names_the_song_of_a_changed_annotation(root: Path) -> None:
    edit(root, "incoming/annotations/static.csv", "3, 6, 4", "3, 7, 4")
    assert running(root)["download"].reasons[0].songs == (3,)


def test_names_the_parameter_with_both_values(root: Path) -> None:
    toy.set_parameter(root, "spectrogram.power", 0.5)
    one = running(root)["spectrogram"]
    assert [(reason.what, reason.lines) for reason in one.reasons] == [("spectrogram.power", ("0.25 -> 0.5",))]
    assert (one.songs, one.n_songs) == (None, 3)


@pytest.mark.parametrize("keeper", ["git", "record"])
def test_names_the_source_line(root: Path, keeper: str) -> None:
    if keeper == "record":
        edit(root, "tasks/codec/mel.py", "POWER = 1", "POWER = 3")
        toy.make(root)
        with records.recorded(root, "spectrogram"):
            pass
    edit(root, "tasks/codec/mel.py", "POWER = ", "POWER = 4")
    (reason,) = running(root)["spectrogram"].reasons
    former = {"git": "1", "record": "3"}[keeper]
    assert reason.lines == (f"line 1: - POWER = {former}", f"line 1: + POWER = 4{former}")


def test_names_the_song_of_a_missing_output(root: Path) -> None:
    delete(root, "data/wav/3.wav")
    (reason,) = running(root)["convert"].reasons
    assert (reason.kind, reason.lines, reason.songs) == ("output", ("3.wav removed",), (3,))


def test_an_added_song(root: Path) -> None:
    (root / "incoming/audio/77.mp3").write_text("song 77")
    assert running(root)["convert"].songs == (77,)


def test_says_so_where_the_former_files_are_not_known(root: Path) -> None:
    shutil.rmtree(root / ".dvc/cache")
    edit(root, "incoming/audio/2.mp3", "song", "Song")
    (reason,) = [reason for reason in running(root)["download"].reasons if reason.kind == "data"]
    assert reason.all_songs
    assert "is unknown here" in reason.lines[0]


def test_one_stage_in_detail(root: Path) -> None:
    toy.set_parameter(root, "seed", 2)
    assert {one.stage for one in why(root, "train")} == {"train@exp1", "train@ours"}
    assert [one.stage for one in why(root, "train@ours")] == ["train@ours"]
    with pytest.raises(InputError, match="no such stage"):
        why(root, "trian")


def test_text_and_json(root: Path) -> None:
    assert explain(root, None, False) == "Nothing would run: 12 of 12 stages are up to date."
    toy.set_parameter(root, "spectrogram.power", 0.5)
    text = explain(root, None, False)
    assert "1 of 12 stages would run, 7 more if those change what they make." in text
    assert "spectrogram: all 3 songs\n  parameter spectrogram.power: 0.25 -> 0.5" in text
    values = {one["stage"]: one for one in json.loads(explain(root, None, True))}
    assert values["spectrogram"]["reasons"][0]["what"] == "spectrogram.power"


@pytest.mark.parametrize(("ids", "songs"), [([1, None], [1]), (["a", None], []), ([[1], [2]], [])])
def test_what_is_no_song_id_has_no_rows(tmp_path: Path, ids: list[Any], songs: list[int]) -> None:
    pd.DataFrame({"song_id": ids}).to_parquet(tmp_path / "table.parquet")
    assert list(parquet_rows(tmp_path / "table.parquet")) == songs


def test_line_changes() -> None:
    assert line_changes("a\nb\nc\n", "a\nB\nc\nd\n") == ["line 2: - b", "line 2: + B", "line 4: + d"]


def test_parameter_leaves() -> None:
    found = parameters({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "e": 5}}, "x")
    assert found == [("x.b.c", 2, 4), ("x.b.d", 3, None), ("x.b.e", None, 5)]
