"""The loop: equal runs are equal, a resumed run is the same run, what goes wrong is said."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from tasks.core.errors import InputError, ModelError, ParameterError, TrainingError
from tasks.trainer import checkpoints, emotion_classifier, loop, optimizers, processes, trackers
from tests import small_models
from tests.trainer.runs import assert_equal, bytes_of, run, saved_by

LAYER = "unet/conv_in.weight"


@pytest.fixture(autouse=True)
def _short_auxiliary_training(monkeypatch):
    monkeypatch.setattr(emotion_classifier, "STEPS", 3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """The folder of a run with nothing changed; all four checkpoints are kept."""
    folder = tmp_path_factory.mktemp("plain")
    run(folder, checkpoints={"every_steps": 1, "keep": 4})
    return folder


def test_equal_runs_give_equal_bytes(plain, tmp_path):
    run(tmp_path, checkpoints={"every_steps": 1, "keep": 4})
    assert bytes_of(plain / "model") == bytes_of(tmp_path / "model")
    assert bytes_of(plain / "curves") == bytes_of(tmp_path / "curves")


def test_training_changes_unet_and_text_encoder_and_leaves_the_vae(plain):
    before, after = small_models.weights(small_models.model()), small_models.weights(plain / "model")
    moved = {name.split("/")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"unet", "text_encoder"}


def test_the_logged_loss_is_that_of_all_micro_batches(tmp_path):
    params = small_models.experiment(accumulation=2, steps=1, checkpoints={"every_steps": 9})
    parts = (small_models.dataset(), small_models.model(), params, 1, tmp_path / "a/work", lambda *_: None)
    prepared = loop.prepare(*parts)
    expected = [loop.batch_loss(prepared, prepared.data.batch(0, micro, 0)).item() for micro in (0, 1)]
    loop.fit(prepared, lambda *_: None)
    assert prepared.state.losses[0][1] == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_curves_have_a_row_a_step_and_the_validation_by_band_and_emotion(plain):
    loss = pd.read_csv(plain / "curves/loss.csv")
    fixed = pd.read_csv(plain / "curves/validation.csv")
    assert loss["step"].tolist() == [0, 1, 2, 3, 4]
    assert loss["validation_loss"].notna().tolist() == [True, False, True, False, True]
    assert set(fixed["group"]) == {"total", "time_band", "emotion"}
    by_band = fixed[fixed["group"] == "time_band"].groupby("step")["loss"].mean()
    total = fixed[fixed["group"] == "total"].set_index("step")["loss"]
    assert by_band.to_numpy() == pytest.approx(total.to_numpy(), rel=1e-5)


def test_early_stopping_ends_the_run_and_the_best_weights_are_exported(tmp_path):
    changes = {
        "steps": 12,
        "optimizer": {"learning_rate": 0.5},
        "early_stopping": {"patience": 2, "min_delta": 0.0},
        "export": "best",
        "export_both": True,
    }
    row = run(tmp_path, **changes)
    assert row["stopped_early"]
    assert row["steps"] < 12
    assert (tmp_path / "model/last/unet").is_dir()
    assert row["best_step"] == 0
    assert_equal(tmp_path / "model", small_models.model())
    curves = bytes_of(tmp_path / "curves")
    run(tmp_path, **changes)  # killed while the model was written, and started again
    assert bytes_of(tmp_path / "curves") == curves


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    # The warm-up's first update is nothing, the second ruins the weights: what step 2 left is not kept.
    blown = {"learning_rate": 1e30, "max_gradient_norm": 0.0, "warmup_steps": 8}
    with pytest.raises(TrainingError, match=r"(?s)not a number.*step 3, images train.*step-0000001.*learning_rate"):
        run(tmp_path, steps=8, optimizer=blown, validation={"every_steps": 8})
    [saved] = saved_by(tmp_path)
    tensors, facts = checkpoints.read(saved)
    assert saved.name == "step-0000001"
    assert facts["state"]["step"] == 1
    assert torch.equal(tensors[f"weight.{LAYER.replace('/', '.')}"], small_models.weights(small_models.model())[LAYER])
    assert not (tmp_path / "model").exists()


def test_a_validation_loss_that_is_no_number_stops_too(tmp_path):
    with pytest.raises(TrainingError, match=r"(?s)not a number.*validation after step 2"):
        run(tmp_path, optimizer={"learning_rate": 1e30, "max_gradient_norm": 0.0, "warmup_steps": 4})


def test_out_of_memory_says_what_to_lower(tmp_path):
    with (
        pytest.raises(TrainingError, match=r"(?s)out of memory.*halve batch"),
        loop.explained_memory(small_models.experiment()),
    ):
        torch.empty(2**60)


def test_a_class_without_images_is_named(tmp_path):
    small_models.make_dataset(tmp_path / "dataset", {"sad": 0})
    with pytest.raises(TrainingError, match=r"no images of sad"):
        loop.train(
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
        loop.train(
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
    changes = {
        "steps": 2,
        "trackers": ["dvclive", "tensorboard"],
        "preview": {"every_steps": 2, "images_per_emotion": 1, "steps": 2, "guidance": 2.0},
    }
    for _ in range(2):  # a resumed run's trackers have the whole curves too
        run(tmp_path, **changes)
        [folder] = (tmp_path / "work/runs").iterdir()
        plots = folder / "trackers/dvclive/plots/metrics"
        assert pd.read_csv(plots / "loss.tsv", sep="\t")["step"].tolist() == [1, 2]
        assert pd.read_csv(plots / "validation/emotion/sad.tsv", sep="\t")["step"].tolist() == [0, 2]
    assert list((folder / "trackers/tensorboard").glob("events*"))
    pictures = {path.name for path in (folder / "previews").iterdir()}
    assert pictures == {f"{name}_00_step-000000{step}.png" for name in small_models.EMOTIONS for step in (0, 2)}


def test_a_process_without_trackers_leaves_the_others_alone(tmp_path):
    (tmp_path / "dvclive").mkdir()
    trackers.Trackers([], tmp_path)
    assert (tmp_path / "dvclive").is_dir()


def test_what_could_not_be_done_as_asked_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(optimizers, "eight_bit_trouble", lambda _device: "no kernel")
    run(tmp_path, steps=1, precision="fp16", optimizer={"name": "adamw_8bit"})
    notes = json.loads((tmp_path / "curves/training.json").read_text())["notes"]
    assert notes == [
        "precision none (fp16 cannot be trained on a CPU)",
        "optimizer adamw (adamw_8bit cannot run here: no kernel)",
    ]
    assert "no kernel" in (tmp_path / "model/README.md").read_text()


def test_the_model_card_says_how_of_what_and_under_which_licence(plain):
    card = (plain / "model/README.md").read_text()
    said = ("4 steps of 2 pictures", "sad (4 pictures)", "32 pixels", "adamw, constant", "base: a test")
    assert [text for text in said if text not in card] == []
    assert small_models.experiment().data_licence in card
    assert "validation loss before, after" in card


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    with pytest.raises(ParameterError, match=r"(?s)processes does not fit.*one GPU for each.*got: 2"):
        processes.accelerator(small_models.experiment(device="auto", processes=2))


def test_another_number_of_processes_than_was_started_is_refused():
    with pytest.raises(ParameterError, match=r"(?s)expected: 1, as were started.*got: 2"):
        processes.accelerator(small_models.experiment(processes=2))


# Each knob, and how far it moves the weights from the plain run's: more than nothing, or (checkpointing) nothing.
KNOBS = {
    "accumulation": {"accumulation": 2},
    "balanced sampling": {"sampling": "balanced"},
    "captions": {"prompts": ["{emotion}", "music"]},
    "no dropout": {"conditioning": {"dropout": 0.0}},
    "bf16": {"precision": "bf16"},
    "weight decay": {"optimizer": {"weight_decay": 0.5}},
    "clipping": {"optimizer": {"max_gradient_norm": 1e-9}},
    "schedule": {"optimizer": {"schedule": "cosine"}},
    "warm-up": {"optimizer": {"warmup_steps": 2}},
    "text encoder's rate": {"optimizer": {"text_learning_rate": 1e-5}},
    "frozen text encoder": {"text_encoder": "frozen"},
    "layers": {"unet_layers": ["up_blocks"]},
    "min-SNR": {"loss": {"snr_gamma": 1.0}},
    "offset noise": {"loss": {"offset_noise": 0.5}},
    "epsilon": {"loss": {"prediction": "epsilon", "zero_terminal_snr": False}},
    "no zero terminal SNR": {"loss": {"zero_terminal_snr": False}},
    "stratified": {"loss": {"timesteps": "stratified"}},
    "classifier": {"loss": {"auxiliary_emotion": 1.0}},
    "embedding": {"conditioning": {"emotion_embedding": True}},
    "average": {"ema_decay": 0.5},
    "LoRA": {"lora": {"rank": 2, "alpha": 2}},
    "fewer images": {"max_images_per_emotion": 1},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("changes", KNOBS.values(), ids=KNOBS.keys())
def test_every_knob_changes_what_is_learnt(plain, tmp_path, changes):
    run(tmp_path, **changes)
    before, after = small_models.weights(plain / "model"), small_models.weights(tmp_path / "model")
    assert [name for name in before if not torch.equal(before[name], after[name])]


@pytest.mark.slow
def test_class_balanced_loss_changes_what_is_learnt_of_unequal_classes(tmp_path):
    few = small_models.make_dataset(tmp_path / "dataset", {"sad": 1})
    for name, balanced in (("a", False), ("b", True)):
        places = (tmp_path / name / part for part in ("model", "work", "curves"))
        params = small_models.experiment(loss={"class_balanced": balanced})
        loop.train("tiny", few, small_models.model(), params, 1, *places, None)
    weights = [small_models.weights(tmp_path / name / "model")[LAYER] for name in ("a", "b")]
    assert not torch.equal(*weights)


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing_but_memory_and_time(plain, tmp_path):
    run(tmp_path, gradient_checkpointing=True)
    before, after = small_models.weights(plain / "model"), small_models.weights(tmp_path / "model")
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-5)


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
