"""The whole pipeline, end to end and small: what runs, what does not, and what comes out."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.graph import with_code
from tests.repository import ROOT, Repository

pytestmark = pytest.mark.xdist_group("pipeline")
UP_TO_DATE = "Data and pipelines are up to date."


def ran(output: str) -> list[str]:
    """The stages that DVC ran, in order."""
    return [line.split("'")[1] for line in output.split("\n") if line.startswith("Running stage '")]


def computed(output: str, stage: str) -> int:
    """How many items of a stage were computed, by its summary line."""
    line = next(line for line in output.split("\n") if line.startswith(f"{stage}: ") and " in " in line)
    counts = {
        name: int(count)
        for count, name in (part.split(" ", 1) for part in line.split(": ")[1].split(" in ")[0].split(", "))
    }
    total = next(iter(counts.values()))
    return total - counts.get("from cache", 0)


def test_dvc_yaml_lists_the_code_that_each_stage_imports() -> None:
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in graph.items():
        deps = stage.get("do", stage)["deps"]
        assert deps == with_code(name, deps, ROOT), f"run `python -m flows.graph` ({name})"


def test_from_download_to_report(reproduced: Repository) -> None:
    metrics = json.loads((reproduced.folder / "reports/metrics.json").read_text())
    assert set(metrics["experiments"]) == {"base", "exp1", "exp2", "exp3", "ours"}
    assert "index.html" in reproduced.printed
    assert (reproduced.folder / "reports/index.html").stat().st_size > 10_000


def test_a_second_run_runs_nothing(reproduced: Repository) -> None:
    assert UP_TO_DATE in reproduced.dvc("repro")


def test_touch_changes_nothing(reproduced: Repository) -> None:
    for path in [*reproduced.folder.glob("data/wav/*"), *reproduced.folder.glob("tasks/*.py")]:
        path.touch()
    assert UP_TO_DATE in reproduced.dvc("repro")


def test_a_deleted_artifact_comes_back_without_computing(reproduced: Repository) -> None:
    wav = next(iter(sorted((reproduced.folder / "data/wav").glob("*.wav"))))
    before = wav.read_bytes()
    wav.unlink()
    output = reproduced.emoriff("repro")
    assert wav.read_bytes() == before
    assert ran(output) == ["convert"]
    assert computed(output, "convert") == 0


def test_an_altered_artifact_is_noticed_and_made_again(reproduced: Repository) -> None:
    picture = next(iter(sorted((reproduced.folder / "data/spectrograms").glob("*.png"))))
    before = picture.read_bytes()
    picture.write_bytes(b"altered")
    reproduced.emoriff("repro")
    assert picture.read_bytes() == before


def test_one_changed_annotation_touches_no_audio(reproduced: Repository) -> None:
    raw = reproduced.folder / "data/raw/annotations"
    kept = {path: path.read_text() for path in raw.glob("static*.csv")}
    path, text = next(iter(sorted(kept.items())))
    lines = text.split("\n")
    cells = lines[1].split(",")
    lines[1] = ",".join([cells[0], "1.2", *cells[2:]])
    path.write_text("\n".join(lines))
    output = reproduced.dvc("repro", "--single-item", "convert", "label", "spectrogram")
    assert ran(output) == ["label"]
    path.write_text(text)
    reproduced.dvc("repro", "--single-item", "label")


def test_changed_spectrogram_parameters_run_nothing_before_and_come_back_uncomputed(reproduced: Repository) -> None:
    kept = (reproduced.folder / "params.yaml").read_text()
    before = (reproduced.folder / "data/spectrograms/manifest.parquet").read_bytes()
    reproduced.change({"spectrogram": {"power": 0.5}})
    output = reproduced.dvc("repro", "spectrogram")
    assert ran(output) == ["spectrogram"]
    assert computed(output, "spectrogram") == 12
    (reproduced.folder / "params.yaml").write_text(kept)
    output = reproduced.emoriff("repro")
    assert computed(output, "spectrogram") == 0
    assert set(ran(output)) == {"spectrogram"}
    assert (reproduced.folder / "data/spectrograms/manifest.parquet").read_bytes() == before


def test_an_added_experiment_trains_alone(reproduced: Repository) -> None:
    kept = (reproduced.folder / "params.yaml").read_text()
    reproduced.change({"train": {"experiments": {"another": {"steps": 1, "batch": 1}}}})
    stages = [line for line in reproduced.dvc("repro", "--dry").split("\n") if line.startswith("Running stage 'train")]
    (reproduced.folder / "params.yaml").write_text(kept)
    assert stages == ["Running stage 'train@another':"]


def test_a_folder_of_ones_own(reproduced: Repository, real_data: Path, tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    shutil.copytree(real_data / "deam" / "MEMD_audio", songs)
    table = pd.DataFrame({"song_id": [2, 3, 4, 5, 7], "valence": [3.0, 3.5, 6, 6, 7], "arousal": [3, 3, 6, 3.0, 7]})
    table.to_csv(songs / "labels.csv", index=False)
    repository = Repository(tmp_path / "repository")
    repository.emoriff("use", "folder", str(songs))
    repository.emoriff("repro", "dataset")
    assert len(pd.read_parquet(repository.folder / "data/dataset/dataset.parquet")) == 50
