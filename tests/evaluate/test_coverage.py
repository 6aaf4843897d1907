"""Do intervals hold their confidence, and tests their level? Simulated artists with a truth that is known.

Artists have a style of their own, which gives a share of the variance to them; some clips of each are drawn. An
interval of .95 must hold the truth in .90 to .98 of the worlds, a test at .05 reject a true null in .03 to .07.
"""

import numpy as np
import pytest

from tasks.evaluate import distances
from tasks.evaluate.intervals import Clusters, Inference, LeaveOneOut, weighted_mean

HOW = Inference(confidence=0.95, n_permutations=199, seed=1)


def artists_of(n_artists: int, n_clips: int) -> Clusters:
    return Clusters(np.repeat([f"artist {number:02d}" for number in range(n_artists)], n_clips), "artists")


def strangers(n_clips: int) -> Clusters:
    return Clusters(np.array([f"clip {number:03d}" for number in range(n_clips)]), "clips")


def music(random: np.random.Generator, n_artists: int, n_clips: int, dimensions: int, within: float) -> np.ndarray:
    """Clips [artists * clips, dimensions] of variance 1, of which artists have the share `within`."""
    styles = np.sqrt(within) * random.normal(size=(n_artists, dimensions))
    return np.repeat(styles, n_clips, axis=0) + np.sqrt(1 - within) * random.normal(
        size=(n_artists * n_clips, dimensions)
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_artists", [5, 12, 20])
@pytest.mark.parametrize(("accuracy", "within"), [(0.5, 0.1), (0.5, 0.3), (0.75, 0.1), (0.75, 0.3), (0.9, 0.1)])
def test_the_interval_of_accuracy_on_real_clips_holds(n_artists, accuracy, within):
    random, held, worlds = np.random.default_rng(n_artists), 0, 600
    artists, strength = artists_of(n_artists, 18), (1 - within) / within
    without = LeaveOneOut(artists)
    for _ in range(worlds):
        ability = random.beta(accuracy * strength, (1 - accuracy) * strength, n_artists)
        hits = (random.random(18 * n_artists) < np.repeat(ability, 18)).astype(float)
        found = HOW.share(hits.mean(), weighted_mean(hits, without.weights[0]), without, len(hits))
        held += found.low <= accuracy <= found.high
    assert 0.90 <= held / worlds <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_artists", "dimensions", "within"), [(8, 10, 0.3), (12, 20, 0.5), (16, 10, 0.6), (20, 4, 0.3)]
)
def test_kad_rejects_equal_sources_as_often_as_it_says(n_artists, dimensions, within):
    random, rejected, worlds = np.random.default_rng(n_artists), 0, 1000
    sides = (strangers(100), artists_of(n_artists, 8))
    for world in range(worlds):
        made, real = random.normal(size=(100, dimensions)), music(random, n_artists, 8, dimensions, within)
        p = distances.kad_p(made, real, distances.median_distance(real), sides, HOW, str(world))
        rejected += p <= 0.05
    assert 0.03 <= rejected / worlds <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_artists", "dimensions", "within", "shift"),
    [(8, 4, 0.5, 1.0), (12, 4, 0.3, 0.5), (12, 8, 0.6, 0.0), (16, 16, 0.4, 0.5), (20, 24, 0.4, 1.0)],
)
def test_the_interval_of_fad_infinity_holds(n_artists, dimensions, within, shift):
    random, held, worlds = np.random.default_rng(n_artists), 0, 300
    scale, sides = np.linspace(0.6, 1.4, dimensions), (strangers(150), artists_of(n_artists, 10))
    truth = dimensions * shift**2 + ((scale - 1) ** 2).sum()  # of two Gaussians with diagonal covariances
    for _ in range(worlds):
        made = shift + scale * random.normal(size=(150, dimensions))
        _, found = distances.fad(made, music(random, n_artists, 10, dimensions, within), sides, HOW)
        held += found.low <= truth <= found.high
    assert 0.90 <= held / worlds <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(("n_artists", "within", "shift"), [(8, 0.3, 0.5), (12, 0.4, 0.5), (20, 0.6, 1.0)])
def test_the_interval_of_kad_holds(n_artists, within, shift):
    random, held, worlds, dimensions = np.random.default_rng(n_artists), 0, 400, 10
    bandwidth = np.sqrt(2 * dimensions)
    sides = (strangers(100), artists_of(n_artists, 8))
    equal = (bandwidth**2 / (bandwidth**2 + 2)) ** (dimensions / 2)  # mean kernel of two draws of one Gaussian
    truth = 200 * equal * (1 - np.exp(-dimensions * shift**2 / (2 * (bandwidth**2 + 2))))
    for _ in range(worlds):
        made, real = shift + random.normal(size=(100, dimensions)), music(random, n_artists, 8, dimensions, within)
        found = distances.kad(made, real, bandwidth, sides, HOW)
        held += found.low <= truth <= found.high
    assert 0.90 <= held / worlds <= 0.98
