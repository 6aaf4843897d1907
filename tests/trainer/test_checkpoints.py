"""Checkpoints: a resumed run is the same run, and what a checkpoint is valid for."""

import shutil
from pathlib import Path

import pytest
import torch
from pydantic import Field

from tasks.execution import closure
from tasks.trainer import checkpoints, data, emotion_classifier
from tasks.trainer.params import ExperimentParams
from tests import small_models
from tests.trainer.runs import KilledError, assert_equal, bytes_of, run, saved_by


@pytest.fixture(autouse=True)
def _short_auxiliary_training(monkeypatch):
    monkeypatch.setattr(emotion_classifier, "STEPS", 3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """The folder of a run with nothing changed; all four checkpoints are kept."""
    folder = tmp_path_factory.mktemp("plain")
    run(folder, checkpoints={"every_steps": 1, "keep": 4})
    return folder


RESUMED = {
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
def test_every_checkpoint_leads_to_the_same_weights(plain, tmp_path, step):
    saved = saved_by(plain)
    assert [path.name[-1] for path in saved] == ["1", "2", "3", "4"]
    shutil.copytree(saved[step - 1], tmp_path / saved[step - 1].relative_to(plain))
    run(tmp_path, checkpoints={"every_steps": 1, "keep": 4})
    assert_equal(plain / "model", tmp_path / "model")
    assert bytes_of(plain / "curves") == bytes_of(tmp_path / "curves")


def test_a_checkpoint_is_valid_for_its_inputs_parameters_and_code_only(monkeypatch):
    base, params = {"unet/a.safetensors": "1"}, small_models.experiment()
    parts = [
        data.inputs_of(base, [], params, 1),
        data.inputs_of({**base, "scheduler/scheduler_config.json": "2"}, [], params, 1),
        data.inputs_of(base, [], small_models.experiment(batch=3), 1),
        data.inputs_of(base, [], small_models.experiment(validation={"every_steps": 3}), 1),  # rows of the curves
        data.inputs_of(base, [], small_models.experiment(export="best"), 1),  # the best would be missing
        data.inputs_of(base, [], params, 2),
    ]
    monkeypatch.setattr(data, "code", lambda: "edited")
    parts.append(data.inputs_of(base, [], params, 1))
    assert len({checkpoints.fingerprint(one) for one in parts}) == 7


PREVIEW = {"every_steps": 9, "images_per_emotion": 1, "steps": 1, "guidance": 1.0}


WITHOUT_EFFECT = {
    "licence": {"data_licence": "another"},
    "trackers": {"trackers": ["tensorboard"]},
    "preview": {"preview": PREVIEW},
    "checkpoints": {"checkpoints": {"every_steps": 3, "keep": 2}},
    "copies there are none of": {"augmented": True},
    "more images than there are": {"max_images_per_emotion": 100},
}


@pytest.mark.parametrize("changes", WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT.keys())
def test_a_killed_run_goes_on_after_a_change_that_moves_no_weight(plain, tmp_path, changes):
    steps = []
    with pytest.raises(KilledError):
        run(tmp_path, stop_after=3)
    run(tmp_path, seen=steps, **changes)
    assert steps == [3, 4]  # checkpoints are of steps 1 and 2
    assert_equal(plain / "model", tmp_path / "model")
    assert bytes_of(plain / "curves") == bytes_of(tmp_path / "curves")


def test_the_best_weights_are_at_hand_whichever_are_exported(tmp_path):
    with pytest.raises(KilledError):
        run(tmp_path / "cut", stop_after=3, export="best")
    for folder in ("cut", "whole"):
        run(tmp_path / folder, export="last", export_both=True)
    assert_equal(tmp_path / "cut/model", tmp_path / "whole/model")
    assert_equal(tmp_path / "cut/model/best", tmp_path / "whole/model/best")


def test_a_knob_that_is_added_later_leaves_checkpoints_valid():
    class Later(ExperimentParams):
        added: bool = Field(default=False, description="does what the code did before")

    params = small_models.experiment()
    later = Later.model_validate(params.model_dump())
    same, other = (data.inputs_of({}, [], one, 1) for one in (later, later.model_copy(update={"added": True})))
    assert same == data.inputs_of({}, [], params, 1)
    assert checkpoints.changes(same, other) == ["parameters.added None -> True"]


def test_what_writes_the_result_is_no_input(monkeypatch):
    texts = {name: closure.file_of(name).read_text() for name in closure.deciding("tasks.trainer.loop")}
    assert set(data.WRITERS) < set(texts)
    digests = []
    for edited in (None, "tasks.trainer.export", "tasks.models.model_card", "tasks.trainer.losses"):
        known = {texts[name]: f"{name} edited" if name == edited else name for name in texts}
        monkeypatch.setattr(closure, "source_digest", lambda text, where, known=known: known[text])
        closure.code_digest.cache_clear()
        digests.append(data.code())
    closure.code_digest.cache_clear()
    assert digests[0] == digests[1] == digests[2] != digests[3]


def test_an_old_checkpoint_stays_until_the_new_run_has_its_own_and_what_changed_is_said(tmp_path, caplog):
    with pytest.raises(KilledError):
        run(tmp_path, stop_after=3)
    [old] = saved_by(tmp_path)
    with pytest.raises(KilledError):
        run(tmp_path, stop_after=1, batch=3, seed=2)  # killed before it saved anything
    assert saved_by(tmp_path) == [old]
    assert "parameters.batch 2 -> 3; seed 1 -> 2" in caplog.text
    assert str(old) in caplog.text
    with pytest.raises(KilledError):
        run(tmp_path, stop_after=2, batch=3, seed=2)
    [new] = saved_by(tmp_path)
    assert new.parent != old.parent
    assert not old.parents[1].exists()


def test_damaged_checkpoints_are_removed_and_those_of_other_inputs_left_alone(tmp_path):
    for step, fingerprint in ((1, "ours"), (2, "ours"), (3, "another")):
        checkpoints.save(tmp_path, step, {"a": torch.full((2,), float(step))}, {"fingerprint": fingerprint}, 3)
    (tmp_path / "step-0000002/state.safetensors").write_bytes(b"half")
    tensors, _ = checkpoints.latest(tmp_path, "ours")
    assert tensors["a"].tolist() == [1, 1]
    assert [path.name for path in checkpoints.list_checkpoints(tmp_path)] == ["step-0000001", "step-0000003"]
