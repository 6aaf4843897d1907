"""Intervals against formulas of their own: Student's t, Welch's test, exact binomial bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.evaluate.intervals import Clusters, Inference, LeaveOneOut, Value, weighted_mean

HOW = Inference(confidence=0.95, n_permutations=200, seed=1)


def clusters(numbers: object, kind: str) -> Clusters:
    return Clusters(np.array([f"{kind} {number}" for number in numbers]), kind)


@given(st.integers(0, 1000), st.integers(5, 30))
def test_the_interval_of_a_mean_is_students_t(seed, n):
    values = np.random.default_rng(seed).normal(size=n)
    without = LeaveOneOut(clusters(range(n), "clips"))
    found = HOW.value(values.mean(), weighted_mean(values, without.weights[0]), without, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@given(st.integers(0, 1000))
def test_the_interval_of_a_difference_of_means_is_welchs(seed):
    random = np.random.default_rng(seed)
    one, other = random.normal(size=7), 3 * random.normal(size=20)
    without = LeaveOneOut(clusters(range(7), "artists"), clusters(range(20), "clips"))
    left, right = (weighted_mean(v, w) for v, w in zip((one, other), without.weights, strict=True))
    found = HOW.value(one.mean() - other.mean(), left - right, without, 20)
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_an_artist_on_both_sides_is_left_out_of_both_so_that_a_paired_difference_is_paired():
    random = np.random.default_rng(1)
    one = random.normal(size=12)
    other = one + 0.1 * random.normal(size=12)
    artists = clusters(range(12), "artists")
    without = LeaveOneOut(artists, artists)
    left, right = (weighted_mean(v, w) for v, w in zip((one, other), without.weights, strict=True))
    found = HOW.value(one.mean() - other.mean(), left - right, without, 12)
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_clips_of_one_artist_count_as_one():
    of_artists = np.random.default_rng(1).normal(size=8)
    without = LeaveOneOut(clusters(np.repeat(range(8), 10), "artists"))
    found = HOW.value(of_artists.mean(), weighted_mean(np.repeat(of_artists, 10), without.weights[0]), without, 80, 8)
    expected = stats.ttest_1samp(of_artists, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def share(hits: np.ndarray, of: Clusters) -> Value:
    without = LeaveOneOut(of)
    return HOW.share(hits.mean(), weighted_mean(hits, without.weights[0]), without, len(hits), of.count)


@pytest.mark.parametrize("hits", [0.0, 1.0])
def test_a_share_on_which_all_clips_agree_has_the_exact_bound_of_as_many_artists(hits):
    found = share(np.full(40, hits), clusters(range(40), "clips"))
    exact = stats.binomtest(round(40 * hits), 40).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    by_artist = share(np.full(40, hits), clusters(np.repeat(range(5), 8), "artists"))
    assert by_artist.high - by_artist.low == pytest.approx(1 - 0.025 ** (1 / 5))


def test_a_share_of_independent_clips_has_nearly_the_exact_bound():
    hits = (np.arange(200) < 150).astype(float)
    found = share(hits, clusters(range(200), "clips"))
    exact = stats.binomtest(150, 200).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.002)


def test_without_one_artist_nothing_may_be_left_to_measure():
    values, artists = np.ones(12), clusters(np.repeat(range(6), 2), "artists")
    without = LeaveOneOut(artists)
    found = HOW.value(1.0, np.where(np.arange(6) == 2, np.nan, 1.0), without, len(values))
    assert (found.low, found.high) == (None, None)
    assert "nothing to measure" in found.reason


def test_four_artists_have_a_figure_but_no_interval_and_json_says_why():
    found = share(np.array([1.0, 0.0] * 20), clusters(np.repeat(range(4), 10), "artists")).as_dict()
    assert found == {
        "value": 0.5,
        "low": None,
        "high": None,
        "n": 40,
        "n_artists": 4,
        "reason": "4 independent artists: an interval needs at least 5",
    }


def test_the_extrapolation_takes_off_a_bias_that_falls_as_one_over_n():
    values = np.random.default_rng(1).normal(size=20)
    without = LeaveOneOut(clusters(range(20), "clips"))
    weights = without.weights[0]
    plug_in = weighted_mean(values**2, weights) - weighted_mean(values, weights) ** 2  # too small by 1/n
    assert values.var() - without.bias(values.var(), plug_in) == pytest.approx(values.var(ddof=1))


def test_clips_that_all_give_the_same_value_have_no_interval_of_width_0():
    without = LeaveOneOut(clusters(range(40), "clips"))
    found = HOW.value(0.0, np.zeros(40), without, 40)
    assert (found.value, found.low, found.high, found.reason) == (0, None, None, "all clips give the same value")


def test_equal_differences_have_the_bound_of_a_change_nobody_saw():
    without = LeaveOneOut(clusters(range(40), "clips"))
    found = HOW.share_difference(np.zeros(40), without, 40)
    assert (found.value, found.low, found.high) == pytest.approx((0, -(1 - 0.025 ** (1 / 40)), 1 - 0.025 ** (1 / 40)))
