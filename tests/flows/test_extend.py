"""docs/howto/extend.md, followed literally by a script in a fresh copy of the project."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.rehearsal import tone
from tests.repository import ROOT, Repository, run

PAGE = (ROOT / "docs" / "howto" / "extend.md").read_text()
WHOLE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
PART = re.compile(r"<!-- add to: (\S+), before: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def converted(tmp_path: Path) -> Repository:
    """A repository of two tones whose first stages have run."""
    songs = tmp_path / "songs"
    songs.mkdir()
    for number in (1, 2):
        tone(songs / f"{number}.mp3", 200 * number)
    (songs / "labels.csv").write_text("song_id,valence,arousal\n1,7,3\n2,3,7\n")
    place = Repository(tmp_path / "repository")
    own = {"audio": "../songs", "labels": "../songs/labels.csv", "scale_min": 1, "scale_max": 9}
    place.change({"download": {"sources": [], "corpus": None, "watch": "../songs", "folder": own}})
    place.emoriff("repro", "convert")
    place.commit("converted")
    return place


def follow(folder: Path) -> list[str]:
    """Do what the page says by hand; the files touched."""
    for name, text in WHOLE.findall(PAGE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name, before, text in PART.findall(PAGE):
        whole = (folder / name).read_text()
        assert f"\n{before}" in whole
        (folder / name).write_text(whole.replace(f"\n{before}", f"\n{text}{before}", 1))
    return [name for name, *_ in [*WHOLE.findall(PAGE), *PART.findall(PAGE)]]


def statuses(place: Repository) -> dict[str, dict[str, bool]]:
    told = place.emoriff("why", "--json")
    return {one["stage"]: one for one in json.loads(told[told.index("[") :])}


def test_a_stage_is_added_by_six_files_and_nothing_else_runs(converted: Repository) -> None:
    before = {stage for stage, one in statuses(converted).items() if one["runs"]}
    touched = follow(converted.folder)
    assert len(touched) <= 6
    assert [words.split()[0] for words in COMMANDS] == ["python", "emoriff", "emoriff"]
    run("python", *COMMANDS[0].split()[1:], folder=converted.folder)
    after = {stage for stage, one in statuses(converted).items() if one["runs"]}
    assert after - before == {"tempo"}
    assert "tasks/tempo" in yaml.safe_load((converted.folder / "dvc.yaml").read_text())["stages"]["tempo"]["deps"]
    converted.emoriff("repro", "tempo")
    table = pd.read_parquet(converted.folder / "data/tempo/tempo.parquet")
    assert list(table.song_id) == [1, 2]
    assert "tempo.start_bpm" in converted.emoriff("params")
    assert "tempo" in converted.emoriff("lineage", "data/tempo/tempo.parquet")
    assert not statuses(converted)["tempo"]["runs"]
