"""Distances against independent formulas, and their bias on samples of one Gaussian."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from tasks.core.errors import MeasureError
from tasks.evaluate import distances, intervals, permutation
from tasks.evaluate.intervals import Clusters, Inference

HOW = Inference(confidence=0.95, n_permutations=200, seed=1)


def named(numbers: object, kind: str = "clips") -> Clusters:
    return Clusters(np.array([f"{kind} {number}" for number in numbers]), kind)


def alone(one: np.ndarray, other: np.ndarray) -> tuple[Clusters, Clusters]:
    """Every clip is independent."""
    return named(range(len(one)), "clips"), named(range(len(other)), "artists")


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
    assert abs(distances.fad(one, other, alone(one, other), HOW)[1].value) < 0.25 * plain


def test_fad_infinity_of_two_gaussians_is_their_true_distance():
    one, other = gaussian(600, 8, 1), gaussian(600, 8, 2, 1.0)
    _, found = distances.fad(one, other, alone(one, other), HOW)
    assert found.value == pytest.approx(8.0, rel=0.1)  # |shift|^2 in 8 dimensions


def test_fad_interval_holds_its_value_and_never_falls_below_zero():
    one, other = gaussian(40, 4, 1), gaussian(60, 4, 2)
    found, _ = distances.fad(one, other, alone(one, other), HOW)
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


def test_kad_leaves_out_pairs_of_one_artist_and_is_the_published_one_where_all_clips_stand_alone():
    one, other = gaussian(8, 3, 1), gaussian(9, 3, 2)
    artists = named([0, 0, 0, 1, 1, 1, 2, 2, 2], "artists")
    plain = distances.kad(one, other, 2.0, alone(one, other), HOW)
    assert plain.value == pytest.approx(kernel_distance_by_loops(one, other, 2.0))
    across = np.mean(
        [np.exp(-np.sum((other[i] - other[j]) ** 2) / 8) for i in range(9) for j in range(9) if i // 3 != j // 3]
    )
    within = np.mean([np.exp(-np.sum((other[i] - other[j]) ** 2) / 8) for i in range(9) for j in range(9) if i != j])
    clustered = distances.kad(one, other, 2.0, (alone(one, other)[0], artists), HOW)
    assert clustered.value - plain.value == pytest.approx(100 * (across - within))


def test_kad_of_artists_has_a_wider_interval_than_of_as_many_strangers():
    centres = gaussian(10, 8, 1)
    one, other = gaussian(100, 8, 3), np.repeat(centres, 10, axis=0) + 0.3 * gaussian(100, 8, 2)
    left, right = alone(one, other)
    single = distances.kad(one, other, 4.0, (left, right), HOW)
    clustered = distances.kad(one, other, 4.0, (left, named(np.repeat(np.arange(10), 10), "artists")), HOW)
    assert clustered.high - clustered.low > 1.5 * (single.high - single.low)


def test_too_few_artists_have_no_interval_and_no_p_but_a_reason():
    one, other = gaussian(30, 4, 1), gaussian(40, 4, 2)
    four = (alone(one, other)[0], named(np.repeat(np.arange(4), 10), "artists"))
    found = [distances.kad(one, other, 2.0, four, HOW), *distances.fad(one, other, four, HOW)]
    assert [(value.low, value.high) for value in found] == [(None, None)] * 3
    assert all("4 independent artists" in value.reason for value in found)
    assert distances.kad_p(one, other, 2.0, four, HOW, "x") is None


def test_kad_p_is_small_for_two_sources_and_does_not_depend_on_the_order_of_clips():
    one, other = gaussian(30, 4, 1), gaussian(30, 4, 2, 1.5)
    left, right = alone(one, other)
    assert distances.kad_p(one, other, 3.0, (left, right), HOW, "two") == pytest.approx(1 / 201)
    near = gaussian(30, 4, 3, 0.3)
    order = np.random.default_rng(1).permutation(30)
    found = [distances.kad_p(one, near[o], 3.0, (left, right.where(o)), HOW, "x") for o in (np.arange(30), order)]
    assert found[0] == pytest.approx(found[1])


def test_divergence_of_known_distributions():
    one, other = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    assert distances.divergence(one, one) == pytest.approx(0)
    assert distances.divergence(one, other) == pytest.approx(0.5 * np.log(25 / 9), rel=0.01)


def test_diversity_of_equal_clips_is_zero_and_grows_with_their_spread():
    songs, one = np.arange(20), np.ones((1, 20))
    assert distances.mean_distance(np.ones((20, 3)), songs, one)[0] == 0
    narrow, wide = (distances.mean_distance(scale * gaussian(20, 3, 1), songs, one)[0] for scale in (1, 2))
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
    seeds = named(range(40))
    assert permutation.sign_flip_p(np.ones(40), seeds, HOW) == pytest.approx(1 / 201)
    assert permutation.sign_flip_p(np.tile([1.0, -1.0], 20), seeds, HOW) == 1.0


@given(st.integers(0, 500))
def test_weighted_statistics_with_weights_of_one_are_the_plain_ones(seed):
    one, other = gaussian(20, 2, seed).T
    classes = np.array(["a", "b"] * 10)
    weights = intervals.ones(one)
    assert intervals.weighted_correlation(one, other, weights)[0] == pytest.approx(np.corrcoef(one, other)[0, 1])
    plain = (one[classes == "a"].mean() + one[classes == "b"].mean()) / 2
    assert intervals.weighted_class_mean(one, classes, weights)[0] == pytest.approx(plain)


def test_shuffled_prompts_are_right_by_chance():
    asked = np.repeat(list("abcde"), 40)
    assert permutation.shuffled_means(asked, asked, HOW).mean() == pytest.approx(0.2, abs=0.01)
