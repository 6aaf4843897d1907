"""The whole pipeline, end to end and small: what runs, what does not, and what comes out."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from docs.schemas import TABLES
from flows.engine.graph import with_code
from tests.rehearsal import Rehearsal, prepare
from tests.repository import EXPERIMENTS, ROOT, Repository

UP_TO_DATE = "Data and pipelines are up to date."


def ran(output: str) -> list[str]:
    """The stages that DVC ran, in order."""
    return [line.split("'")[1] for line in output.split("\n") if line.startswith("Running stage '")]


def computed(output: str, stage: str) -> int:
    """How many items of a stage were computed, by its summary line (generate_base calls itself generate@base)."""
    label = stage.replace("_", "@")
    line = next(line for line in output.split("\n") if line.startswith(f"{label}: ") and " in " in line)
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
        assert deps == with_code(name, deps), f"run `python -m flows.engine.graph` ({name})"


def test_from_download_to_report(reproduced: Repository) -> None:
    metrics = json.loads((reproduced.folder / "reports/metrics.json").read_text())
    assert set(metrics["experiments"]) == {"base", *EXPERIMENTS}
    assert "index.html" in reproduced.printed
    assert (reproduced.folder / "reports/index.html").stat().st_size > 10_000


@pytest.mark.parametrize("table", [table for table in TABLES if table.columns], ids=lambda table: table.path)
def test_columns_are_as_described(table: Any, reproduced: Repository) -> None:
    path = reproduced.folder / table.path.replace("NAME", "ours")
    found = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    posteriors = [name for name in found if name.startswith("posterior_")]
    described = [name for name in table.columns if not name.startswith("posterior_") or name in posteriors]
    assert list(found) == described


def test_a_second_run_runs_nothing(reproduced: Repository) -> None:
    assert UP_TO_DATE in reproduced.dvc("repro")


def test_a_deleted_artifact_comes_back_without_computing(reproduced: Repository) -> None:
    wav = next(iter(sorted((reproduced.folder / "data/wav").glob("*.wav"))))
    before = wav.read_bytes()
    wav.unlink()
    output = reproduced.emoriff("repro")
    assert wav.read_bytes() == before
    assert ran(output) == ["convert"]
    assert computed(output, "convert") == 0


@pytest.mark.slow
def test_changed_spectrogram_parameters_run_nothing_before_and_come_back_uncomputed(reproduced: Repository) -> None:
    kept = (reproduced.folder / "params.yaml").read_text()
    before = (reproduced.folder / "data/spectrograms/manifest.parquet").read_bytes()
    n_songs = len(pd.read_parquet(reproduced.folder / "data/wav/manifest.parquet"))
    reproduced.change({"spectrogram": {"power": 0.5}})
    output = reproduced.dvc("repro", "spectrogram")
    assert ran(output) == ["spectrogram"]
    assert computed(output, "spectrogram") == n_songs
    (reproduced.folder / "params.yaml").write_text(kept)
    output = reproduced.emoriff("repro")
    assert ran(output) == ["spectrogram"]
    assert computed(output, "spectrogram") == 0
    assert (reproduced.folder / "data/spectrograms/manifest.parquet").read_bytes() == before


def reword(path: Path, text: str) -> str:
    """Another comment and docstring, in storage.py another way to the disk."""
    again = text.replace('"""', '"""In other words: ', 1) if text.startswith('"""') else text
    again = again.replace("os.replace(", "os.rename(") if path.name == "storage.py" else again
    return f"{again}\n# a comment\n"


def test_code_that_decides_nothing_computes_nothing(reproduced: Repository) -> None:
    """Every package and every flow edited, and a knob added with its default: all stages run, all from the cache."""
    sources = [path for top in ("tasks", "flows") for path in sorted((reproduced.folder / top).rglob("*.py"))]
    others = [reproduced.folder / name for name in ("params.yaml", "dvc.lock")]
    before = {path: path.read_text() for path in [*sources, *others]}
    outs = {path: path.read_bytes() for path in reproduced.folder.glob("models/*/unet/*.safetensors")}
    for path in sources:
        path.write_text(reword(path, before[path]))
    knob = reproduced.folder / "tasks/convert/params.py"
    knob.write_text(knob.read_text().replace("    min_seconds", "    dither: bool = False\n    min_seconds", 1))
    reproduced.change({"convert": {"dither": False}})
    assert "Nothing would be computed" in reproduced.emoriff("why")
    output = reproduced.emoriff("repro")
    stages = ran(output)
    assert {"convert", "base", "train@ours", "generate@exp1", "evaluate", "report"} <= set(stages)
    assert {stage: computed(output, stage) for stage in stages} == dict.fromkeys(stages, 0)
    assert outs
    assert outs == {path: path.read_bytes() for path in outs}
    for path, text in before.items():
        path.write_text(text)


@pytest.mark.slow
def test_an_added_experiment_trains_alone(reproduced: Repository) -> None:
    kept = [(reproduced.folder / name, (reproduced.folder / name).read_text()) for name in ("params.yaml", "dvc.lock")]
    reproduced.change({"train": {"experiments": {"another": {"steps": 1, "batch": 1}}}})
    output = reproduced.emoriff("repro", "generate@another")
    for path, text in kept:
        path.write_text(text)
    assert ran(output) == ["train@another", "generate@another"]
    assert (reproduced.folder / "models/another/model_index.json").is_file()
    for name in ("models", "data/generated", "reports/train"):
        shutil.rmtree(reproduced.folder / name / "another")


def test_a_folder_of_ones_own(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs = tmp_path / "songs"
    shutil.copytree(real_data / "deam" / "MEMD_audio", songs)
    table = pd.DataFrame({"song_id": [2, 3, 4, 5, 7], "valence": [3.0, 3.5, 2, 4, 3], "arousal": [3, 3, 2, 3.0, 4]})
    table.to_csv(songs / "labels.csv", index=False)
    repository = Repository(tmp_path / "repository")
    prepare(repository)
    repository.emoriff("use", "folder", str(songs))
    ran, computed = Rehearsal(repository.folder, monkeypatch).repro("dataset")
    assert sorted(ran) == sorted(["download", "convert", "segment", "label", "spectrogram", "dataset"])
    assert computed == {"convert": [2, 3, 4, 5, 7], "spectrogram": [2, 3, 4, 5, 7]}
    pictures = pd.read_parquet(repository.folder / "data/dataset/dataset.parquet")
    assert len(pictures) == len(pd.read_parquet(repository.folder / "data/spectrograms/manifest.parquet"))
    assert set(pictures.song_id) == {2, 3, 4, 5, 7}
