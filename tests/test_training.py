"""The loop: equal runs are equal, a resumed run is the same run, what goes wrong is said."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from tasks import training
from tasks.errors import InputError, ModelError, ParameterError, TrainingError
from tests import small_models

LAYER = "unet/conv_in.weight"


class KilledError(Exception):
    """Stands for a power cut in the middle of a run."""


def run(folder: Path, work: str = "work", stop_after: int | None = None, seed: int = 1, **changes):
    def progress(done: int, total: int, note: str) -> None:
        if stop_after is not None and note.startswith("loss") and done == stop_after:
            raise KilledError

    return training.train(
        "tiny",
        small_models.dataset(),
        small_models.model(),
        small_models.experiment(**changes),
        seed,
        folder / "model",
        folder / work,
        folder / "curves",
        progress,
    )


def assert_equal(left: Path, right: Path) -> None:
    a, b = small_models.weights(left), small_models.weights(right)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_runs_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        run(tmp_path / name)
    assert bytes_of(tmp_path / "a/model") == bytes_of(tmp_path / "b/model")
    assert bytes_of(tmp_path / "a/curves") == bytes_of(tmp_path / "b/curves")


def test_training_changes_unet_and_text_encoder_and_leaves_the_vae(tmp_path):
    run(tmp_path)
    before, after = small_models.weights(small_models.model()), small_models.weights(tmp_path / "model")
    moved = {name.split("/")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"unet", "text_encoder"}


RESUMED = {
    "plain": {},
    "in the middle of an epoch, average kept": {"ema_decay": 0.9, "accumulation": 2},
    "8-bit Adam": {"optimizer": {"name": "adamw_8bit", "weight_decay": 0.01}},
    "adapters": {"lora": {"rank": 2, "alpha": 2}},
    "prior": {"prior": {"prompts": ["music"], "images_per_prompt": 2, "weight": 1.0, "steps": 2, "guidance": 1.0}},
    "emotion, classifier, balance": {
        "conditioning": {"emotion_embedding": True, "adaptive_norm": True},
        "loss": {"auxiliary_emotion": 0.1, "class_balanced": True, "timesteps": "stratified"},
        "sampling": "balanced",
    },
}


@pytest.mark.parametrize("changes", RESUMED.values(), ids=RESUMED.keys())
def test_a_resumed_run_equals_an_undisturbed_one(tmp_path, changes):
    run(tmp_path / "whole", **changes)
    with pytest.raises(KilledError):
        run(tmp_path / "cut", stop_after=3, **changes)
    run(tmp_path / "cut", **changes)
    assert_equal(tmp_path / "whole/model", tmp_path / "cut/model")
    assert bytes_of(tmp_path / "whole/curves") == bytes_of(tmp_path / "cut/curves")


@pytest.mark.parametrize("step", [1, 2, 3])
def test_every_checkpoint_leads_to_the_same_weights(tmp_path, step):
    run(tmp_path / "whole", checkpoints={"every_steps": 1, "keep": 4})
    for path in (tmp_path / "whole/work/checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    shutil.copytree(tmp_path / "whole/work", tmp_path / "again/work")
    run(tmp_path / "again", checkpoints={"every_steps": 1, "keep": 4})
    assert_equal(tmp_path / "whole/model", tmp_path / "again/model")


def test_a_checkpoint_of_other_parameters_is_not_used(tmp_path):
    run(tmp_path / "a", seed=1)
    run(tmp_path / "b", seed=2)
    run(tmp_path / "b", seed=1)
    assert_equal(tmp_path / "a/model", tmp_path / "b/model")


def test_curves_have_a_row_a_step_and_the_validation_by_band_and_emotion(tmp_path):
    run(tmp_path)
    loss = pd.read_csv(tmp_path / "curves/loss.csv")
    fixed = pd.read_csv(tmp_path / "curves/validation.csv")
    assert loss["step"].tolist() == [0, 1, 2, 3, 4]
    assert loss["validation_loss"].notna().tolist() == [True, False, True, False, True]
    assert set(fixed["group"]) == {"total", "time_band", "emotion"}
    by_band = fixed[fixed["group"] == "time_band"].groupby("step")["loss"].mean()
    total = fixed[fixed["group"] == "total"].set_index("step")["loss"]
    assert by_band.to_numpy() == pytest.approx(total.to_numpy(), rel=1e-5)


def test_early_stopping_ends_the_run_and_the_best_weights_are_exported(tmp_path):
    row = run(
        tmp_path,
        steps=12,
        optimizer={"learning_rate": 0.5},
        early_stopping={"patience": 2, "min_delta": 0.0},
        export="best",
        export_both=True,
    )
    assert row["stopped_early"]
    assert row["steps"] < 12
    assert (tmp_path / "model/last/unet").is_dir()
    assert row["best_step"] == 0
    assert_equal(tmp_path / "model", small_models.model())


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(TrainingError, match=r"(?s)not a number.*step-000000.*learning_rate"):
        run(tmp_path, steps=8, optimizer={"learning_rate": 1e30, "max_gradient_norm": 0.0})
    assert list((tmp_path / "work/checkpoints").iterdir())
    assert not (tmp_path / "model").exists()


def test_out_of_memory_says_what_to_lower(tmp_path):
    with (
        pytest.raises(TrainingError, match=r"(?s)out of memory.*halve batch"),
        training.explained_memory(small_models.experiment()),
    ):
        torch.empty(2**60)


def test_a_class_without_pictures_is_named(tmp_path):
    small_models.make_dataset(tmp_path / "dataset", {"sad": 0})
    with pytest.raises(TrainingError, match=r"no pictures of sad"):
        training.train(
            "tiny",
            tmp_path / "dataset",
            small_models.model(),
            small_models.experiment(),
            1,
            *(tmp_path / name for name in ("model", "work", "curves")),
            None,
        )


def test_a_base_that_is_no_stable_diffusion_is_refused(tmp_path):
    (tmp_path / "base").mkdir()
    with pytest.raises((ModelError, InputError), match="no Stable Diffusion"):
        training.train(
            "tiny",
            small_models.dataset(),
            tmp_path / "base",
            small_models.experiment(),
            1,
            *(tmp_path / name for name in ("model", "work", "curves")),
            None,
        )


def test_a_resolution_the_unet_cannot_halve_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"(?s)multiple of 16.*got: 40.*try 32"):
        run(tmp_path, resolution=40)


def test_layers_can_be_chosen(tmp_path):
    run(tmp_path, unet_layers=["attn2"], text_encoder="frozen")
    before, after = small_models.weights(small_models.model()), small_models.weights(tmp_path / "model")
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert moved
    assert all("attn2" in name for name in moved)


def test_trackers_and_previews_are_written_beside_the_artifacts(tmp_path):
    run(
        tmp_path,
        steps=2,
        trackers=["dvclive", "tensorboard"],
        preview={"every_steps": 2, "images_per_emotion": 1, "steps": 2, "guidance": 2.0},
    )
    assert (tmp_path / "work/trackers/dvclive/metrics.json").is_file()
    assert list((tmp_path / "work/trackers/tensorboard").glob("events*"))
    assert (tmp_path / "work/previews/happy_00_step-0000000.png").is_file()


@pytest.mark.slow
def test_two_processes_train_together(tmp_path):
    row = run(tmp_path, processes=2, batch=1)
    assert row["pictures_seen"] == 8
    assert (tmp_path / "model/unet").is_dir()
    assert not torch.equal(*(small_models.weights(one)[LAYER] for one in (tmp_path / "model", small_models.model())))


@pytest.mark.slow
def test_a_failure_in_one_of_several_processes_is_said(tmp_path):
    with pytest.raises(TrainingError, match=r"(?s)2 processes failed.*not a number"):
        run(tmp_path, processes=2, steps=8, optimizer={"learning_rate": 1e30, "max_gradient_norm": 0.0})
