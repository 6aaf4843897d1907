"""How sure a measure is: bootstrap over clusters and permutation tests, used by **measures** and **evaluation**.

Clips of one song, or generated from one seed, resemble each other: a bootstrap over clips would claim more
than they can show. So whole clusters are drawn. One draw is a row of weights (how often each cluster came),
and every statistic here is written for weights, so that a thousand draws are one matrix product.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.files import seed_from

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """A measure with its interval, the number of clips it rests on and, if tested, p and against what.

    `reason` says why there is no figure, where real clips are too few for one.
    """

    value: float
    low: float
    high: float
    n: int
    p: float | None = None
    against: str | None = None
    reason: str | None = None

    @classmethod
    def missing(cls, n: int, reason: str) -> "Value":
        """A measure that cannot be taken from what there is, and why."""
        return cls(np.nan, np.nan, np.nan, n, reason=reason)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: six significant digits; `p` and `against` only where one was tested; null with its reason."""
        if self.reason is not None:
            return {"value": None, "low": None, "high": None, "n": self.n, "reason": self.reason}
        found: dict[str, Any] = {
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": self.n,
        }
        if self.p is not None:
            found |= {"p": rounded(self.p), "against": self.against}
        return found


def rounded(number: float) -> float:
    """The number to six significant digits, so that the last bits of another processor do not show."""
    return float(f"{number:.6g}") + 0.0


@dataclass(frozen=True)
class Resampling:
    """How often to draw, how wide the interval is (0..1), and the seed of the stage."""

    n_bootstrap: int
    n_permutations: int
    confidence: float
    seed: int

    def generator(self, *purpose: object) -> np.random.Generator:
        """Random numbers of their own for each purpose, whatever else was drawn before."""
        return np.random.default_rng(seed_from(self.seed, "evaluate", *purpose))

    def weights(self, clusters: NDArray[Any], *purpose: object) -> Array:
        """Bootstrap weights [n_bootstrap, n_clusters] of the sorted distinct `clusters`."""
        n_clusters = len(np.unique(clusters))
        drawn = self.generator("bootstrap", *purpose).multinomial(
            n_clusters, np.full(n_clusters, 1 / n_clusters), size=self.n_bootstrap
        )
        return drawn.astype(np.float64)

    def clip_weights(self, clusters: NDArray[Any], *purpose: object) -> Array:
        """Bootstrap weights [n_bootstrap, n_clips]: every clip has its cluster's."""
        return self.weights(clusters, *purpose)[:, cluster_index(clusters)]

    def interval(self, draws: Array) -> tuple[float, float]:
        """Percentile interval of the finite draws."""
        finite = draws[np.isfinite(draws)]
        tail = 50 * (1 - self.confidence)
        low, high = np.percentile(finite, (tail, 100 - tail)) if len(finite) else (np.nan, np.nan)
        return float(low), float(high)

    def value(self, observed: float, draws: Array, n: int, centred: bool = False) -> Value:
        """The observed measure with the interval of its draws.

        `centred` shifts the draws so that their median is the observed value: for distances that grow when a
        sample repeats clips, as every bootstrap sample does. The interval always contains the value.
        """
        low, high = self.interval(draws - np.nanmedian(draws) + observed if centred else draws)
        return Value(observed, min(low, observed), max(high, observed), n)

    def share(self, observed: float, draws: Array, clusters: NDArray[Any]) -> Value:
        """A share (0..1) of clips, one of `clusters` each, with the interval of its draws.

        Where all clips agree, so do all draws, which would claim certainty. Then it is the exact binomial bound
        (Clopper and Pearson 1934), each cluster counting as one trial.
        """
        found = self.value(observed, draws, len(clusters))
        if found.low < found.high:
            return found
        reach = ((1 - self.confidence) / 2) ** (1 / len(np.unique(clusters)))
        return Value(observed, observed * reach, 1 - (1 - observed) * reach, found.n)


def cluster_index(clusters: NDArray[Any]) -> NDArray[np.intp]:
    """For each clip, the place of its cluster among the sorted distinct ones."""
    return np.unique(clusters, return_inverse=True)[1].reshape(-1)


def weighted_mean(values: Array, weights: Array) -> Array:
    """Mean [draws] of `values` [clips] under `weights` [draws, clips]; NaN where nothing was drawn."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return weights @ values / weights.sum(axis=1)


def weighted_class_mean(values: Array, classes: NDArray[Any], weights: Array) -> Array:
    """Mean [draws] over the classes of each class's weighted mean: balanced accuracy when values are hits."""
    means = [weighted_mean(values[classes == name], weights[:, classes == name]) for name in np.unique(classes)]
    return np.nanmean(np.stack(means), axis=0)


def weighted_correlation(one: Array, other: Array, weights: Array) -> Array:
    """Pearson's r [draws] under weights; 0 where one side does not vary."""
    share = weights / weights.sum(axis=1, keepdims=True)
    one = one[None] - (share @ one)[:, None]
    other = other[None] - (share @ other)[:, None]
    covariance = (share * one * other).sum(axis=1)
    scale = np.sqrt((share * one**2).sum(axis=1) * (share * other**2).sum(axis=1))
    return np.where(scale > 1e-12, covariance / np.maximum(scale, 1e-12), 0.0)


def ones(values: NDArray[Any]) -> Array:
    """The weights [1, clips] of the sample itself."""
    return np.ones((1, len(values)))


def sums_by_cluster(matrix: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    """Sums [row clusters, column clusters] of a matrix of pairs [row clips, column clips]."""
    left = np.eye(rows.max() + 1)[rows]
    right = np.eye(columns.max() + 1)[columns]
    return left.T @ matrix @ right


def within_mean(matrix: Array, clusters: NDArray[Any], weights: Array) -> Array:
    """Mean [draws] of a symmetric matrix over pairs of different clips, under cluster weights.

    A cluster drawn twice stands for two clusters: its clips are never paired with their own copies, which
    would count a clip as its own neighbour. Hence pairs inside a cluster weigh w, not w squared.
    """
    index = cluster_index(clusters)
    pairs = 1.0 - np.eye(len(index))
    totals, counts = (_inside(sums_by_cluster(values, index, index), weights) for values in (matrix * pairs, pairs))
    return totals / np.where(counts > 0, counts, np.nan)  # a draw of a single clip has no pair


def _inside(sums: Array, weights: Array) -> Array:
    own = np.diag(sums)
    return ((weights @ (sums - np.diag(own))) * weights).sum(axis=1) + weights @ own


def across_mean(
    matrix: Array, rows: NDArray[Any], columns: NDArray[Any], row_weights: Array, column_weights: Array
) -> Array:
    """Mean [draws] of a matrix over all pairs of a row clip and a column clip, under cluster weights."""
    row, column = cluster_index(rows), cluster_index(columns)
    total = ((row_weights @ sums_by_cluster(matrix, row, column)) * column_weights).sum(axis=1)
    count = (row_weights @ np.bincount(row)) * (column_weights @ np.bincount(column))
    return total / count


def sign_flip_p(differences: Array, clusters: NDArray[Any], resampling: Resampling, *purpose: object) -> float:
    """Two-sided p that paired differences [clips] have a mean of 0: the sign of whole clusters is flipped."""
    sums = np.bincount(cluster_index(clusters), weights=differences)
    generator = resampling.generator("sign-flip", *purpose)
    signs = generator.choice((-1.0, 1.0), size=(resampling.n_permutations, len(sums)))
    return permutation_p(abs(sums.sum()), np.abs(signs @ sums))


def permutation_p(observed: float, permuted: Array) -> float:
    """Share of permutations at least as extreme, the observed one counted (Phipson and Smyth 2010): never 0."""
    extreme = int(np.sum(permuted >= observed - 1e-9 * max(1.0, abs(observed))))
    return (1 + extreme) / (1 + len(permuted))


def shuffled_means(asked: NDArray[Any], predicted: NDArray[Any], resampling: Resampling, *purpose: object) -> Array:
    """Accuracies [n_permutations] when the prompts are dealt out anew: what ignoring the prompt would give."""
    generator = resampling.generator("shuffle", *purpose)
    order = np.argsort(generator.random((resampling.n_permutations, len(asked))), axis=1)
    return (asked[order] == predicted[None]).mean(axis=1)
