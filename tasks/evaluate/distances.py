"""Distances between sets of clips: embeddings -> **measures** -> reports/metrics.json.

All take vectors [clips, dimensions] and know nothing of files. What each means, and the trap it has:
- Frechet Audio Distance (Kilgour et al. 2019): between two Gaussians; grows when samples are small, so it is
  taken in few dimensions, with the same number of clips in every system and a floor of real against real beside.
- FAD-infinity (Chong and Forsyth 2020; Gui et al. 2024): the same, extrapolated to endless artists and clips.
- Kernel Audio Distance (Chung et al. 2025): unbiased squared maximum mean discrepancy, about 0 for equal sources.
Clips of one artist resemble each other, so intervals leave out whole artists (tasks.evaluate.intervals).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import MeasureError
from tasks.evaluate.intervals import MIN_CLUSTERS, Array, Clusters, Inference, LeaveOneOut, Value, ones, pair_mean
from tasks.evaluate.permutation import equal_sources_p

KAD_SCALE = 100.0  # as published, so that figures are of the size of 1


def check_vectors(one: Array, other: Array, n_needed: int, what: str) -> None:
    """Refuse what cannot be compared.

    Raises:
        MeasureError: not [clips, dimensions], dimensions that differ, values that are no numbers, or fewer than
            `n_needed` clips on a side.
    """
    for vectors in (one, other):
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise MeasureError(
                f"embeddings unfit for {what}",
                expected="finite numbers [clips, dimensions]",
                got=f"shape {vectors.shape}, {int((~np.isfinite(vectors)).sum())} that are no numbers",
            )
    if one.shape[1] != other.shape[1]:
        raise MeasureError(
            f"embeddings of different size cannot be compared by {what}",
            expected=f"{other.shape[1]} dimensions on both sides",
            got=f"{one.shape[1]} and {other.shape[1]}",
            todo="embed both sets with the same model",
        )
    require_clips(min(len(one), len(other)), n_needed, what)


def require_clips(n_clips: int, n_needed: int, what: str) -> None:
    """Raises MeasureError when there are fewer clips than a measure needs."""
    if n_clips < n_needed:
        raise MeasureError(
            f"too few clips for {what}",
            expected=f"at least {n_needed}",
            got=n_clips,
            todo="generate more (generate.clips_per_prompt), hold out more songs (label.split.test), or lower "
            "evaluate.min_clips and evaluate.pca_dimensions, and say so with the result",
        )


@dataclass(frozen=True)
class Space:
    """Where distances are taken: features scaled, then turned to their principal axes, by a reference set."""

    centre: Array
    scale: Array
    axes: Array  # [dimensions, kept]

    @classmethod
    def fitted(cls, reference: Array, n_dimensions: int | None = None) -> "Space":
        """The space of a reference [clips, dimensions]; `n_dimensions` None keeps all, unturned.

        Raises:
            MeasureError: not more clips than dimensions, which would leave empty axes.
        """
        centre, spread = reference.mean(axis=0), reference.std(axis=0)
        scale = np.where(spread > 1e-9 * (1 + np.abs(centre)), spread, 1.0)
        if n_dimensions is None:
            return cls(centre, scale, np.eye(reference.shape[1]))
        kept = min(n_dimensions, reference.shape[1])
        require_clips(len(reference), kept + 1, f"{kept} principal dimensions")
        _, axes = np.linalg.eigh(np.cov((reference - centre) / scale, rowvar=False))
        return cls(centre, scale, axes[:, ::-1][:, :kept])

    def __call__(self, vectors: Array) -> Array:
        """Vectors [clips, kept]."""
        return (vectors - self.centre) / self.scale @ self.axes


def frechet_distance(one: Array, other: Array) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of two sets of vectors, at least 2 each."""
    check_vectors(one, other, 2, "the Frechet distance")
    moments = [(v.mean(axis=0)[None], np.atleast_2d(np.cov(v, rowvar=False))[None]) for v in (one, other)]
    return float(frechet_from_moments(*moments[0], *moments[1])[0])


def frechet_from_moments(mean: Array, covariance: Array, other_mean: Array, other_covariance: Array) -> Array:
    """Frechet distances [draws] of Gaussians: means [draws, d], covariances [draws, d, d].

    tr (S1 S2)^(1/2) is the sum of the roots of the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))[:, None, :]) @ vectors.swapaxes(1, 2)
    mixed = np.linalg.eigvalsh(root @ other_covariance @ root)
    traces = np.trace(covariance, axis1=1, axis2=2) + np.trace(other_covariance, axis1=1, axis2=2)
    apart = ((mean - other_mean) ** 2).sum(axis=1)
    return np.maximum(apart + traces - 2 * np.sqrt(np.maximum(mixed, 0)).sum(axis=1), 0.0)


def weighted_moments(vectors: Array, weights: Array) -> tuple[Array, Array]:
    """Means [draws, d] and unbiased covariances [draws, d, d] under whole-number weights [draws, clips]."""
    n_dimensions = vectors.shape[1]
    total = weights.sum(axis=1)
    mean = weights @ vectors / total[:, None]
    products = (vectors[:, :, None] * vectors[:, None, :]).reshape(len(vectors), -1)
    second = (weights @ products).reshape(-1, n_dimensions, n_dimensions) / total[:, None, None]
    covariance = second - mean[:, :, None] * mean[:, None, :]
    return mean, covariance * (total / np.maximum(total - 1, 1))[:, None, None]


def fad(one: Array, other: Array, clusters: tuple[Clusters, Clusters], how: Inference) -> tuple[Value, Value]:
    """Frechet Audio Distance and FAD-infinity, each with the interval over the clusters of both sides.

    The bias of the distance falls as 1/n. FAD-infinity extrapolates it to 0 by what leaving out one cluster of n
    changes (Quenouille 1956), instead of by a line through random shares of the clips: a share of an artist's clips
    still has the artist's bias, and a random draw adds noise. May be slightly negative for equal sources.
    """
    without = LeaveOneOut(*clusters)
    centre = other.mean(axis=0)
    observed = frechet_distance(one, other)
    moments = [weighted_moments(v - centre, w) for v, w in zip((one, other), without.weights, strict=True)]
    replicates = frechet_from_moments(*moments[0], *moments[1])
    plain = how.value(observed, replicates, without, len(one))
    low = None if plain.low is None else max(plain.low, 0.0)
    bias = without.bias(observed, replicates)
    return replace(plain, low=low), how.value(observed - bias, replicates - bias, without, len(one))


def squared_distances(one: Array, other: Array) -> Array:
    """Squared Euclidean distances [clips of one, clips of other]."""
    product = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    return np.maximum(product, 0.0)


def median_distance(vectors: Array) -> float:
    """Median distance between two different vectors: the kernel's bandwidth; 1 when all are equal."""
    above = np.triu_indices(len(vectors), 1)
    median = float(np.median(np.sqrt(squared_distances(vectors, vectors)[above]))) if len(vectors) > 1 else 0.0
    return median if median > 0 else 1.0


def kernel(one: Array, other: Array, bandwidth: float) -> Array:
    """Gaussian kernel [clips of one, clips of other]: exp(-d^2 / (2 bandwidth^2))."""
    return np.exp(-squared_distances(one, other) / (2 * bandwidth**2))


def kernel_distance(one: Array, other: Array, bandwidth: float) -> float:
    """100 times the unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3); may be negative."""
    check_vectors(one, other, 2, "the kernel distance")
    names = np.arange(len(one) + len(other)).astype(str)
    alone = (Clusters(names[: len(one)], "clips"), Clusters(names[len(one) :], "clips"))
    return float(_Pairs(one, other, bandwidth, alone).distance(ones(one), ones(other))[0])


def kad(one: Array, other: Array, bandwidth: float, clusters: tuple[Clusters, Clusters], how: Inference) -> Value:
    """Kernel Audio Distance with its interval over clusters.

    Pairs of clips of one cluster are left out, as a clip's pair with itself always is: they are more alike than two
    clips drawn anew. Where every clip is a cluster of its own, this is `kernel_distance`.

    Raises:
        MeasureError: what cannot be compared, or one cluster only on a side.
    """
    check_vectors(one, other, 2, "the kernel distance")
    require_clips(min(side.count for side in clusters), 2, "the kernel distance (different artists or clips)")
    between = _Pairs(one, other, bandwidth, clusters)
    without = LeaveOneOut(*clusters)
    observed = between.distance(ones(one), ones(other))[0]
    return how.value(observed, between.distance(*without.weights), without, len(one))


class _Pairs:
    """Kernels within and across two sets, and which pairs are of different clusters."""

    def __init__(self, one: Array, other: Array, bandwidth: float, clusters: tuple[Clusters, Clusters]) -> None:
        left, right = (side.labels for side in clusters)
        self.within = [
            (kernel(v, v, bandwidth), labels[:, None] != labels[None]) for v, labels in ((one, left), (other, right))
        ]
        self.across = (kernel(one, other, bandwidth), left[:, None] != right[None])

    def distance(self, left: Array, right: Array) -> Array:
        """Kernel distances [draws] under weights [draws, clips] of both sides."""
        inside = sum(pair_mean(*pairs, w, w) for pairs, w in zip(self.within, (left, right), strict=True))
        return KAD_SCALE * (inside - 2 * pair_mean(*self.across, left, right))


def kad_p(
    one: Array, other: Array, bandwidth: float, clusters: tuple[Clusters, Clusters], how: Inference, name: str
) -> float | None:
    """p that both sets come from one source (see tasks.evaluate.permutation); None with too few clusters."""
    if LeaveOneOut(*clusters).fewest < MIN_CLUSTERS:
        return None
    both = np.concatenate([one, other])
    return equal_sources_p(kernel(both, both, bandwidth), clusters, how, name)


def divergence(reference: Array, generated: Array) -> Array:
    """Kullback-Leibler divergence (nats) of distributions [..., classes], generated from reference.

    A thousandth of the uniform distribution is mixed into both, so that a class nobody predicted stays finite.
    """
    n_classes = reference.shape[-1]
    real, made = (0.999 * share + 0.001 / n_classes for share in (reference, generated))
    return (real * np.log(real / made)).sum(axis=-1)


def mean_distance(vectors: Array, songs: NDArray[Any], weights: Array) -> Array:
    """Mean distance [draws] between clips of different songs (diversity) under weights [draws, clips].

    NaN where one song is left. Raises:
        MeasureError: one song only.
    """
    require_clips(len(np.unique(songs)), 2, "diversity (different songs or seeds)")
    distance = np.sqrt(squared_distances(vectors, vectors))
    return pair_mean(distance, songs[:, None] != songs[None], weights, weights)
