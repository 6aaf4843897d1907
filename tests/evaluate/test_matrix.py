"""Which real class is nearest to each generated one: the share, its exact test, and that it agrees with KAD."""

import numpy as np
import pandas as pd

from tasks.evaluate import matrix
from tasks.evaluate.intervals import Clusters, Inference
from tasks.evaluate.judge import Predictions
from tasks.evaluate.reference import Reference
from tasks.evaluate.systems import ARTISTS, CLIPS, System

HOW = Inference(confidence=0.95, n_permutations=999, seed=1)
EMOTIONS = ["calm", "happy", "sad", "tense"]


def system(shift: float, kind: str, seed: int, n_each: int = 12) -> System:
    """Clips of four emotions in the corners of a plane, `shift` from its middle, with noise of variance 1."""
    random = np.random.default_rng(seed)
    emotions = np.repeat(EMOTIONS, n_each)
    corners = np.repeat(np.array([[1.0, 1, 0, 0], [1, -1, 0, 0], [-1, 1, 0, 0], [-1, -1, 0, 0]]), n_each, axis=0)
    vectors = shift * corners + random.normal(size=corners.shape)
    labels = np.array([f"{kind} {number % 6 if kind == ARTISTS else number}" for number in range(len(emotions))])
    predictions = Predictions(emotions, np.full((len(emotions), 4), 0.25), emotions != "", emotions != "")
    features = pd.DataFrame(index=range(len(emotions)))
    return System(
        "ours", labels, emotions, Clusters(labels, kind), labels, features, features, vectors, vectors, predictions
    )


def reference() -> Reference:
    return Reference.of(system(2.0, ARTISTS, 1), n_dimensions=2, n_clips=48)


def test_a_system_that_follows_the_prompt_has_no_interval_but_an_exact_test():
    found = matrix.own_class_nearest(system(2.0, CLIPS, 2), reference(), EMOTIONS, EMOTIONS, HOW)
    assert (found.value, found.low, found.high, found.n_artists) == (1, None, None, 6)
    assert "too few for an interval" in found.reason
    assert 0.001 < found.p < 0.02  # four of four by chance: between (1/4)^4 and 1/24
    assert found.against == matrix.DEALT_ANEW


def test_a_system_that_ignores_the_prompt_is_not_significant():
    p = [
        matrix.own_class_nearest(system(0.0, CLIPS, seed), reference(), EMOTIONS, EMOTIONS, HOW).p
        for seed in range(2, 22)
    ]
    assert sum(value <= 0.05 for value in p) <= 3
    assert np.mean(p) > 0.3


def test_the_nearest_class_is_that_of_the_smallest_kad():
    made, real = system(0.4, CLIPS, 5), reference()
    table, found = matrix.kernel_matrix(made, real, EMOTIONS, 10, 2, HOW)
    kad = table.pivot(index="generated", columns="real", values="kad")
    assert found.value == np.mean(kad.idxmin(axis=1) == kad.index)


def test_a_class_by_one_artist_has_no_distance_but_a_reason():
    table, _ = matrix.kernel_matrix(
        system(2.0, CLIPS, 2), Reference.of(system(2.0, ARTISTS, 1).where(np.arange(48) % 48 > 0), 2, 48), EMOTIONS, 12,
        2, HOW,
    )  # fmt: skip
    missing = table[table["real"] == "calm"]
    assert missing["kad"].isna().all()
    assert set(missing["reason"]) == {"11 real clips of calm by 6 artists; at least 12 by 2 needed"}
