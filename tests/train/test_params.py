"""Knobs: the thesis's table to the letter, overlays block by block, impossible sets refused."""

import pytest
from pydantic import ValidationError

from tasks.core.errors import ParameterError
from tasks.settings import load
from tasks.train.params import experiment_of
from tasks.trainer.params import changed, overlay
from tests.small_models import ROOT, experiment

# The thesis's three experiments as its author tabulated them.
THESIS = {
    #        resolution, batch, accumulation, rate, schedule, warm-up, steps, precision, weight decay
    "exp1": (256, 1, 2, 5e-6, "constant", 0, 1000, "fp16", 0.0),
    "exp2": (512, 2, 4, 3e-6, "constant", 100, 2000, "fp16", 0.0),
    "exp3": (512, 4, 4, 5e-6, "cosine", 200, 2000, "none", 0.01),  # fp32 throughout
}


@pytest.fixture(scope="module")
def thesis():
    return load(ROOT / "profiles" / "thesis.yaml")


@pytest.fixture(scope="module")
def demo():
    return load(ROOT / "profiles" / "demo.yaml")


def row(one):
    rule = one.optimizer
    return (
        one.resolution,
        one.batch,
        one.accumulation,
        rule.learning_rate,
        rule.schedule,
        rule.warmup_steps,
        one.steps,
        one.precision,
        rule.weight_decay,
    )


@pytest.mark.parametrize("name", THESIS)
def test_the_thesis_profile_has_the_thesis_table(thesis, name):
    one = experiment_of(thesis.train, name)
    assert row(one) == THESIS[name]
    assert one.prompts == ["A music spectrogram"]
    assert one.text_encoder == "train"
    assert one.optimizer.name == "adamw_8bit"
    assert one.gradient_checkpointing


def test_the_thesis_profile_starts_from_riffusion_at_a_pinned_commit(thesis):
    assert thesis.base.repository == "riffusion/riffusion-model-v1"
    assert len(thesis.base.revision) == 40
    assert thesis.base.demo is None


@pytest.mark.parametrize("name", THESIS)
def test_the_demo_is_the_same_table_scaled(demo, name):
    """Pixels / 4, steps and warm-up / 20, learning rate x 100; all else as it was."""
    resolution, batch, accumulation, rate, schedule, warmup, steps, precision, decay = THESIS[name]
    scaled = (resolution // 4, batch, accumulation, rate * 100, schedule, warmup // 20, steps // 20, precision, decay)
    assert row(experiment_of(demo.train, name)) == pytest.approx(scaled)


def test_ours_teaches_bare_emotion_words_and_the_base_never_saw_them(demo):
    ours, base = experiment_of(demo.train, "ours"), demo.base.demo.training
    assert ours.prompts == ["{emotion}"]
    assert ours.emotions == ["happy", "energetic", "tense", "sad", "calm"]
    words = " ".join(base.prompts).lower().split()
    assert not set(words) & set(ours.emotions)


def test_overlay_merges_blocks_and_replaces_lists():
    base = {"a": {"x": 1, "y": 2}, "list": [1, 2], "none": None}
    assert overlay(base, {"a": {"y": 3}, "list": [4], "none": {"z": 1}}) == {
        "a": {"x": 1, "y": 3},
        "list": [4],
        "none": {"z": 1},
    }


def test_an_unknown_experiment_is_answered_with_the_known(demo):
    with pytest.raises(ParameterError, match=r"exp1 or exp2 or exp3 or ours"):
        experiment_of(demo.train, "exp4")


IMPOSSIBLE = {
    "prompt": {"prompts": ["a {mood} song"]},
    "twice": {"emotions": ["sad", "sad"]},
    "0/0": {"loss": {"snr_gamma": 5.0, "zero_terminal_snr": True, "prediction": "epsilon"}},
    "norm without embedding": {"conditioning": {"adaptive_norm": True}},
    "resolution": {"resolution": 100},
    "unknown key": {"optimizer": {"momentum": 0.9}},
    "range": {"optimizer": {"learning_rate": -1.0}},
}


@pytest.mark.parametrize("changes", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_impossible_sets_are_refused(changes):
    with pytest.raises(ValidationError):
        changed(experiment(), changes)


def test_a_wrong_key_in_an_overlay_is_found_when_the_file_is_read(tmp_path):
    text = (ROOT / "profiles" / "demo.yaml").read_text().replace("    exp1:\n", "    exp1:\n      batsh: 2\n")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParameterError, match=r"experiments\.exp1\.batsh"):
        load(tmp_path / "params.yaml")
