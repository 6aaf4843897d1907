"""The distance from real clips: its formula, its sign, and that noise is far."""

import numpy as np
import pandas as pd
import pytest

from tasks.evaluate import musicality, reference
from tasks.evaluate.intervals import Clusters, Inference
from tasks.evaluate.judge import Predictions
from tasks.evaluate.systems import ARTISTS, CLIPS, System

HOW = Inference(confidence=0.95, n_permutations=199, seed=1)


def system(music: np.ndarray, kind: str) -> System:
    """Clips [clips, 7 measures], six artists in turn where they are real."""
    n = len(music)
    labels = np.array([f"{kind} {number % 6 if kind == ARTISTS else number}" for number in range(n)])
    words, table = np.full(n, "sad"), pd.DataFrame(music, columns=list(musicality.MEASURES))
    predictions = Predictions(words, np.ones((n, 1)), np.zeros(n), np.zeros(n))
    return System("x", labels, words, Clusters(labels, kind), labels, table, table, music, music, predictions)


def test_distance_is_in_standard_deviations_of_the_real_clips_with_its_sign():
    random = np.random.default_rng(1)
    real, made = random.normal(size=(60, 7)), random.normal(size=(40, 7)) * 0.1
    made[:, 0] -= 3
    against = reference.Reference.of(system(real, ARTISTS), 2, 40)
    found = reference.music(system(made, CLIPS), against, HOW)
    expected = (made.mean(axis=0) - real.mean(axis=0)) / real.std(axis=0)
    harmonicity = found["harmonicity_db_from_real"]
    assert harmonicity.value == pytest.approx(expected[0])
    assert harmonicity.low < harmonicity.value < harmonicity.high < -2
    assert found["music_distance"].value == pytest.approx(np.abs(expected).mean())
    assert (harmonicity.n, harmonicity.n_artists) == (40, 6)


def test_a_measure_in_which_real_clips_do_not_differ_is_left_out_with_its_reason():
    real = np.random.default_rng(1).normal(size=(60, 7))
    real[:, 1] = 2.0
    found = reference.music(system(real, CLIPS), reference.Reference.of(system(real, ARTISTS), 2, 40), HOW)
    assert found["notes_per_second_from_real"].value is None
    assert "same notes_per_second" in found["notes_per_second_from_real"].reason
    assert found["music_distance"].value == pytest.approx(0, abs=1e-9)
