"""Distances against independent formulas, and their bias on samples of one Gaussian."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import binomtest

from tasks.core.errors import MeasureError
from tasks.evaluate import bootstrap, distances
from tasks.evaluate.bootstrap import Resampling

HOW = Resampling(n_bootstrap=200, n_permutations=200, confidence=0.95, seed=1)


def gaussian(n: int, dimensions: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimensions)) + shift


def frechet_by_sqrtm(one: np.ndarray, other: np.ndarray) -> float:
    """Dowson and Landau 1982, with scipy's square root of the unsymmetric product."""
    covariances = [np.cov(vectors, rowvar=False) for vectors in (one, other)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    means = one.mean(axis=0) - other.mean(axis=0)
    return float(means @ means + np.trace(covariances[0] + covariances[1] - 2 * root))


def kernel_distance_by_loops(one: np.ndarray, other: np.ndarray, bandwidth: float) -> float:
    """The unbiased estimate, term by term (Gretton et al. 2012, equation 3)."""

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.exp(-np.sum((x - y) ** 2) / (2 * bandwidth**2)))

    m, n = len(one), len(other)
    inside = sum(k(one[i], one[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    inside += sum(k(other[i], other[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return 100 * (inside - 2 * sum(k(x, y) for x in one for y in other) / (m * n))


@given(st.integers(0, 1000), st.integers(2, 8))
def test_frechet_distance_equals_the_formula_with_sqrtm(seed, dimensions):
    mixing = gaussian(dimensions, dimensions, seed + 1)
    one, other = gaussian(60, dimensions, seed) @ mixing, gaussian(50, dimensions, seed + 2, 0.5)
    assert distances.frechet_distance(one, other) == pytest.approx(frechet_by_sqrtm(one, other), rel=1e-6, abs=1e-6)


def test_frechet_distance_of_known_gaussians():
    points = np.array([[-1.0, 0], [1, 0], [0, -1], [0, 1]])
    shifted = 2 * points + [3, 4]  # means 5 apart, deviations s and 2 s in each of two dimensions
    deviation = points[:, 0].std(ddof=1)
    assert distances.frechet_distance(points, shifted) == pytest.approx(25 + 2 * deviation**2)


def test_frechet_distance_of_one_gaussian_is_biased_by_one_over_the_number_of_clips():
    few, many = (
        np.mean([distances.frechet_distance(gaussian(n, 16, 2 * i), gaussian(n, 16, 2 * i + 1)) for i in range(10)])
        for n in (100, 400)
    )
    assert few > 1.0  # although both samples are of one source
    assert few == pytest.approx(4 * many, rel=0.15)


def test_fad_infinity_mends_the_bias_of_one_gaussian():
    one, other = gaussian(400, 16, 1), gaussian(400, 16, 2)
    plain = distances.frechet_distance(one, other)
    assert abs(distances.fad_infinity(one, other, HOW, "same").value) < 0.25 * plain


def test_fad_infinity_of_two_gaussians_is_their_true_distance():
    found = distances.fad_infinity(gaussian(600, 8, 1), gaussian(600, 8, 2, 1.0), HOW, "apart")
    assert found.value == pytest.approx(8.0, rel=0.1)  # |shift|^2 in 8 dimensions


def test_fad_interval_holds_its_value_and_never_falls_below_zero():
    one, other = gaussian(40, 4, 1), gaussian(60, 4, 2)
    found = distances.fad(one, other, (np.arange(40), np.arange(60)), HOW, "x")
    assert 0 <= found.low <= found.value <= found.high


@given(st.integers(0, 1000), st.floats(0.3, 5))
def test_kernel_distance_equals_its_definition(seed, bandwidth):
    one, other = gaussian(7, 3, seed), gaussian(9, 3, seed + 1, 0.5)
    expected = kernel_distance_by_loops(one, other, bandwidth)
    assert distances.kernel_distance(one, other, bandwidth) == pytest.approx(expected, abs=1e-9)


def test_kernel_distance_of_one_gaussian_is_unbiased():
    found = [
        distances.kernel_distance(gaussian(30, 32, 2 * i), gaussian(30, 32, 2 * i + 1), bandwidth=8.0)
        for i in range(200)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_kad_bootstrap_is_centred_on_the_value_and_knows_clusters():
    centres = gaussian(20, 8, 1)
    one = np.repeat(centres, 5, axis=0) + 0.1 * gaussian(100, 8, 2)
    other, songs = gaussian(100, 8, 3), np.repeat(np.arange(20), 5)
    clustered, draws = distances.kad(one, other, 4.0, (songs, np.arange(100)), HOW, "clustered")
    single, _ = distances.kad(one, other, 4.0, (np.arange(100), np.arange(100)), HOW, "single")
    assert np.mean(draws) == pytest.approx(clustered.value, abs=0.5 * np.std(draws))
    assert clustered.high - clustered.low > 1.5 * (single.high - single.low)


def test_permutation_p_is_uniform_for_one_source_and_small_for_two():
    found = [distances.kad_p(gaussian(12, 4, 2 * i), gaussian(12, 4, 2 * i + 1), 3.0, HOW, str(i)) for i in range(100)]
    assert binomtest(sum(p <= 0.2 for p in found), 100, 0.2).pvalue > 0.001
    assert distances.kad_p(gaussian(30, 4, 1), gaussian(30, 4, 2, 1.5), 3.0, HOW, "two") == pytest.approx(1 / 201)


def test_splits_of_a_kernel_matrix_equal_the_distance_of_the_parts():
    vectors = gaussian(15, 3, 1)
    pairs = distances.kernel(vectors, vectors, 2.0) * (1 - np.eye(15))
    left = np.arange(15) < 6
    found = distances._split_distances(pairs, left[None].astype(float))[0]
    assert 100 * found == pytest.approx(distances.kernel_distance(vectors[left], vectors[~left], 2.0))


def test_divergence_of_known_distributions():
    one, other = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    assert distances.divergence(one, one) == pytest.approx(0)
    assert distances.divergence(one, other) == pytest.approx(0.5 * np.log(25 / 9), rel=0.01)


def test_a_copied_training_clip_is_nearer_than_any_other_song():
    training, songs = gaussian(60, 6, 1), np.repeat(np.arange(20), 3)
    training[1] = training[0]  # the same song may repeat itself
    apart = distances.distance_to_other_songs(training, songs)
    index, distance = distances.nearest(np.stack([training[7] + 1e-3, training[7] + 9]), training)
    assert apart.min() > 0
    assert index[0] == 7
    assert distance[0] < apart.min() < distance[1]


def test_diversity_of_equal_clips_is_zero_and_grows_with_their_spread():
    songs = np.arange(20)
    assert distances.mean_distance(np.ones((20, 3)), songs, HOW, "same")[0] == 0
    narrow, wide = (distances.mean_distance(scale * gaussian(20, 3, 1), songs, HOW, "x")[0] for scale in (1, 2))
    assert wide == pytest.approx(2 * narrow)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (gaussian(1, 3, 1), gaussian(5, 3, 2), "at least 2"),
        (gaussian(5, 4, 1), gaussian(5, 3, 2), "3 dimensions"),
        (np.full((5, 3), np.nan), gaussian(5, 3, 2), "no numbers"),
    ],
)
def test_what_cannot_be_compared_is_refused(one, other, told):
    for distance in (distances.frechet_distance, lambda x, y: distances.kernel_distance(x, y, 1.0)):
        with pytest.raises(MeasureError, match=told):
            distance(one, other)


def test_too_few_reference_clips_for_the_dimensions_are_refused_with_the_number_needed():
    with pytest.raises(MeasureError, match="at least 9"):
        distances.Space.fitted(gaussian(8, 20, 1), 8)


def test_paired_differences_are_tested_by_flipping_signs():
    seeds = np.arange(40)
    assert bootstrap.sign_flip_p(np.ones(40), seeds, HOW) == pytest.approx(1 / 201)
    assert bootstrap.sign_flip_p(np.tile([1.0, -1.0], 20), seeds, HOW) == 1.0


@pytest.mark.parametrize("hits", [0, 40])
def test_a_share_on_which_all_clips_agree_has_the_exact_interval_not_none(hits):
    found = HOW.share(hits / 40, np.full(200, hits / 40), np.arange(40))
    exact = binomtest(hits, 40).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    matched = HOW.share(hits / 40, np.full(200, hits / 40), np.repeat(np.arange(4), 10))
    assert matched.high - matched.low > 5 * (found.high - found.low)


@given(st.integers(0, 500))
def test_weighted_statistics_with_weights_of_one_are_the_plain_ones(seed):
    one, other = gaussian(20, 2, seed).T
    classes = np.array(["a", "b"] * 10)
    weights = bootstrap.ones(one)
    assert bootstrap.weighted_correlation(one, other, weights)[0] == pytest.approx(np.corrcoef(one, other)[0, 1])
    plain = (one[classes == "a"].mean() + one[classes == "b"].mean()) / 2
    assert bootstrap.weighted_class_mean(one, classes, weights)[0] == pytest.approx(plain)


def test_shuffled_prompts_are_right_by_chance():
    asked = np.repeat(list("abcde"), 40)
    assert bootstrap.shuffled_means(asked, asked, HOW).mean() == pytest.approx(0.2, abs=0.01)
