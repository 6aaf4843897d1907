"""How sure a measure is: what is independent is left out in turn -> **interval** -> measures.

Clips of one artist resemble each other, and artists are what is held out. So what is independent is an artist on the
real side and a clip (a noise of its own) on the generated side. One of these clusters is left out at a time (the
delete-one-cluster jackknife), and the interval is Student's t with as many degrees of freedom as the clusters allow
(Welch 1947, Satterthwaite 1946). With 5 to 20 artists the percentiles of a bootstrap are too narrow; these intervals
hold, which tests/evaluate/test_coverage.py shows by simulation. Every statistic is written for weights, so that
leaving each cluster out is one matrix product. With fewer than MIN_CLUSTERS there is no interval, but a reason.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.files import seed_from

Array = NDArray[np.float64]

MIN_CLUSTERS = 5
FEWEST = f"an interval needs at least {MIN_CLUSTERS}"


@dataclass(frozen=True)
class Clusters:
    """What each clip belongs to (`labels` [clips]); clips of one label depend on each other. `kind`: in the plural."""

    labels: NDArray[np.str_]
    kind: str

    def where(self, chosen: NDArray[Any]) -> "Clusters":
        """Those of these clips (mask or indices)."""
        return Clusters(self.labels[chosen], self.kind)

    @property
    def count(self) -> int:
        """How many different ones."""
        return len(np.unique(self.labels))


@dataclass(frozen=True)
class Value:
    """A measure with its interval and the numbers of clips and of artists it rests on.

    `n_artists` is None where no real clip is in it. `low` and `high` are None where there is no interval, `value` is
    None where there is no figure; `reason` says why. If tested: `p`, and `against` what.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_artists: int | None = None
    p: float | None = None
    against: str | None = None
    reason: str | None = None

    @classmethod
    def missing(cls, n: int, reason: str) -> "Value":
        """A measure that cannot be taken from what there is, and why."""
        return cls(None, None, None, n, reason=reason)

    @property
    def number(self) -> float:
        """The figure, NaN where there is none."""
        return np.nan if self.value is None else self.value

    def by(self, n_artists: int | None) -> "Value":
        """The same with the number of artists behind it."""
        return replace(self, n_artists=n_artists)

    def tested(self, p: float | None, against: str) -> "Value":
        """The same with the p-value of a test."""
        return self if p is None else replace(self, p=p, against=against)

    def scaled(self, factor: float) -> "Value":
        """The same in another unit; a test does not carry over."""
        low, value, high = (None if x is None else factor * x for x in (self.low, self.value, self.high))
        return Value(value, low, high, self.n, self.n_artists, reason=self.reason)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: six significant digits; `p`, `against` and `reason` only where there is one."""
        found: dict[str, Any] = {name: rounded(getattr(self, name)) for name in ("value", "low", "high")}
        found |= {"n": self.n, "n_artists": self.n_artists}
        if self.p is not None:
            found |= {"p": rounded(self.p), "against": self.against}
        return found if self.reason is None else found | {"reason": self.reason}


def rounded(number: float | None) -> float | None:
    """The number to six significant digits, so that the last bits of another processor do not show."""
    return None if number is None else float(f"{number:.6g}") + 0.0


class LeaveOneOut:
    """Every cluster of one or more sets of clips left out in turn.

    `weights` has an array [clusters, clips] for each set: 0 for clips of the cluster that is left out, else 1. A label
    in several sets is one cluster, which is left out of all of them at once. Sets are sampled independently of each
    other, so clusters are counted by the sets they are in (`strata`).
    """

    def __init__(self, *sides: Clusters) -> None:
        names = np.unique(np.concatenate([side.labels for side in sides]))
        self.weights = tuple((names[:, None] != side.labels[None]).astype(np.float64) for side in sides)
        inside = np.stack([(of == 0).any(axis=1) for of in self.weights], axis=1)
        patterns, index = np.unique(inside, axis=0, return_inverse=True)
        self.strata = [np.flatnonzero(index.reshape(-1) == stratum) for stratum in range(len(patterns))]
        kinds = [sides[int(np.argmax(pattern))].kind for pattern in patterns]
        self.fewest, self.kind = min((len(rows), kind) for rows, kind in zip(self.strata, kinds, strict=True))
        self.n_clusters = len(names)

    def spread(self, replicates: Array) -> tuple[float, float]:
        """Variance of a statistic and its degrees of freedom; `replicates` [clusters]: its values without each."""
        parts = [replicates[rows] for rows in self.strata]
        variances = np.array([(len(part) - 1) * part.var() for part in parts])
        freedom = np.array([len(part) - 1.0 for part in parts])
        total = float(variances.sum())
        if total <= 1e-20:
            return 0.0, float(freedom.min())
        return total, float(total**2 / (variances**2 / freedom).sum())

    def bias(self, observed: float, replicates: Array) -> float:
        """What the statistic owes to the numbers of clusters being finite, to first order (Quenouille 1956)."""
        return float(sum((len(rows) - 1) * (replicates[rows].mean() - observed) for rows in self.strata))

    def reason(self, replicates: Array) -> str | None:
        """Why there is no interval; None where there is one."""
        if self.fewest < MIN_CLUSTERS:
            return f"{self.fewest} independent {self.kind}: {FEWEST}"
        if not np.isfinite(replicates).all():
            return f"without one of the {self.kind} there is nothing to measure"
        return None


@dataclass(frozen=True)
class Inference:
    """How wide intervals are (0..1), how often to permute, and the seed of the stage."""

    confidence: float
    n_permutations: int
    seed: int

    def generator(self, *purpose: object) -> np.random.Generator:
        """Random numbers of their own for each purpose, whatever else was drawn before."""
        return np.random.default_rng(seed_from(self.seed, "evaluate", *purpose))

    def quantile(self, freedom: float) -> float:
        """Student's t that an interval reaches to each side."""
        from scipy.stats import t

        return float(t.ppf((1 + self.confidence) / 2, freedom))

    def value(
        self, observed: float, replicates: Array, clusters: LeaveOneOut, n: int, n_artists: int | None = None
    ) -> Value:
        """The observed measure with the interval that its values without each cluster give."""
        if reason := clusters.reason(replicates):
            return Value(float(observed), None, None, n, n_artists, reason=reason)
        variance, freedom = clusters.spread(replicates)
        if variance == 0:
            return Value(float(observed), None, None, n, n_artists, reason=f"all {clusters.kind} give the same value")
        reach = self.quantile(freedom) * np.sqrt(variance)
        return Value(float(observed), float(observed - reach), float(observed + reach), n, n_artists)

    def correlation(
        self, observed: float, replicates: Array, clusters: LeaveOneOut, n: int, n_artists: int | None = None
    ) -> Value:
        """A correlation with its interval, taken on Fisher's z, where it is nearly normal."""
        z, z_without = (np.arctanh(np.clip(r, -1 + 1e-9, 1 - 1e-9)) for r in (observed, replicates))
        found = self.value(float(z), z_without, clusters, n, n_artists)
        low, high = (None if end is None else float(np.tanh(end)) for end in (found.low, found.high))
        return replace(found, value=float(observed), low=low, high=high)

    def share(
        self, observed: float, replicates: Array, clusters: LeaveOneOut, n: int, n_artists: int | None = None
    ) -> Value:
        """A share (0..1) of clips with the exact binomial bounds of as many independent clips as its variance is worth.

        Korn and Graubard (1998): clips of one artist are worth fewer, and few clusters say little of how many fewer.
        Where all clusters agree, each counts as one trial.
        """
        if reason := clusters.reason(replicates):
            return Value(float(observed), None, None, n, n_artists, reason=reason)
        variance, freedom = clusters.spread(replicates)
        worth = float(clusters.n_clusters)
        if 0 < observed < 1 and variance > 0:
            few = (self.quantile(n - 1) / self.quantile(freedom)) ** 2
            worth = max(1.0, min(float(n), few * observed * (1 - observed) / variance))
        low, high = self.binomial(observed * worth, worth)
        return Value(float(observed), min(low, observed), max(high, observed), n, n_artists)

    def binomial(self, hits: float, trials: float) -> tuple[float, float]:
        """Exact bounds of a share (Clopper and Pearson 1934); numbers need not be whole."""
        from scipy.stats import beta

        tail = (1 - self.confidence) / 2
        low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
        high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
        return low, high

    def share_difference(self, differences: Array, clusters: LeaveOneOut, n: int) -> Value:
        """The mean of paired differences of hits (-1, 0, 1); where all are equal, the bound of a share nobody saw."""
        (weights,) = clusters.weights
        found = self.value(differences.mean(), weighted_mean(differences, weights), clusters, n)
        if found.low is not None or np.ptp(differences) > 0 or clusters.fewest < MIN_CLUSTERS:
            return found
        reach = 1 - ((1 - self.confidence) / 2) ** (1 / clusters.n_clusters)
        low, high = max(-1.0, found.number - reach), min(1.0, found.number + reach)
        return replace(found, low=low, high=high, reason=None)


def ones(values: NDArray[Any]) -> Array:
    """The weights [1, clips] of the sample itself."""
    return np.ones((1, len(values)))


def weighted_mean(values: Array, weights: Array) -> Array:
    """Mean [draws] of `values` [clips] under `weights` [draws, clips]; NaN where nothing is left."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return weights @ values / weights.sum(axis=1)


def weighted_class_mean(values: Array, classes: NDArray[Any], weights: Array) -> Array:
    """Mean [draws] over the classes of each class's weighted mean: balanced accuracy when values are hits.

    A class that an absent cluster alone had is left out of the mean.
    """
    means = np.stack(
        [weighted_mean(values[classes == name], weights[:, classes == name]) for name in np.unique(classes)]
    )
    present = np.isfinite(means)
    return np.where(present, means, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)


def weighted_correlation(one: Array, other: Array, weights: Array) -> Array:
    """Pearson's r [draws] under weights; 0 where one side does not vary."""
    share = weights / weights.sum(axis=1, keepdims=True)
    one = one[None] - (share @ one)[:, None]
    other = other[None] - (share @ other)[:, None]
    covariance = (share * one * other).sum(axis=1)
    scale = np.sqrt((share * one**2).sum(axis=1) * (share * other**2).sum(axis=1))
    return np.where(scale > 1e-12, covariance / np.maximum(scale, 1e-12), 0.0)


def pair_mean(matrix: Array, allowed: NDArray[np.bool_], rows: Array, columns: Array) -> Array:
    """Mean [draws] of a matrix over the allowed pairs of a row and a column clip; NaN where no pair is left."""
    mask = allowed.astype(np.float64)
    total = ((rows @ (matrix * mask)) * columns).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / ((rows @ mask) * columns).sum(axis=1)
