"""Distances between sets of clips: embeddings -> **measures** -> reports/metrics.json.

All take vectors [clips, dimensions] and know nothing of files. What each means, and the trap it has:
- Frechet Audio Distance (Kilgour et al. 2019): between two Gaussians; grows when samples are small, so it is
  taken in few dimensions, with the same number of clips in every system and a floor of real against real beside.
- FAD-infinity (Chong and Forsyth 2020; Gui et al. 2024): the same, extrapolated to endless clips.
- Kernel Audio Distance (Chung et al. 2025): unbiased squared maximum mean discrepancy, about 0 for equal sources.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import MeasureError
from tasks.evaluate.bootstrap import Resampling, Value, across_mean, cluster_index, permutation_p, within_mean

Array = NDArray[np.float64]

KAD_SCALE = 100.0  # as published, so that figures are of the size of 1
FAD_SHARES = np.linspace(0.5, 1.0, 11)
FAD_DRAWS = 20


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


def fad(
    generated: Array, reference: Array, clusters: tuple[NDArray[Any], NDArray[Any]], how: Resampling, name: str
) -> Value:
    """Frechet Audio Distance with a centred bootstrap interval over the clusters of both sides."""
    observed = frechet_distance(generated, reference)
    moments = [
        weighted_moments(vectors - reference.mean(axis=0), how.clip_weights(groups, "fad", side, name))
        for side, vectors, groups in zip(("left", "right"), (generated, reference), clusters, strict=True)
    ]
    draws = frechet_from_moments(*moments[0], *moments[1])
    found = how.value(observed, draws, len(generated), centred=True)
    return Value(found.value, max(found.low, 0.0), found.high, found.n)


def fad_infinity(generated: Array, reference: Array, how: Resampling, name: str) -> Value:
    """The Frechet distance extrapolated to endless clips on both sides.

    The bias falls as 1/n: shares of 0.5 to 1 of both sets are drawn without replacement (with replacement the
    bias would not fall), a line is fitted to the distance against 1/share, and its value at 0 is taken. The
    interval is that of the line's fits to redrawn points. May be slightly negative for equal sources.
    """
    generator = how.generator("fad_infinity", name)
    distances = np.array(
        [
            [_subsample_distance(generated, reference, share, generator) for _ in range(FAD_DRAWS)]
            for share in FAD_SHARES
        ]
    )
    design = np.stack([1 / FAD_SHARES, np.ones_like(FAD_SHARES)], axis=1)
    solve = np.linalg.pinv(design)[1]
    chosen = generator.integers(0, FAD_DRAWS, size=(how.n_bootstrap, len(FAD_SHARES), FAD_DRAWS))
    redrawn = np.take_along_axis(distances[None], chosen, axis=2).mean(axis=2)
    return how.value(float(solve @ distances.mean(axis=1)), redrawn @ solve, len(generated))


def _subsample_distance(one: Array, other: Array, share: float, generator: np.random.Generator) -> float:
    parts = [v[generator.choice(len(v), max(2, round(share * len(v))), replace=False)] for v in (one, other)]
    return frechet_distance(*parts)


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
    single = (np.arange(len(one)), np.arange(len(other)))
    weights = (np.ones((1, len(one))), np.ones((1, len(other))))
    return float(kernel_distance_draws(one, other, bandwidth, single, weights)[0])


def kernel_distance_draws(
    one: Array,
    other: Array,
    bandwidth: float,
    clusters: tuple[NDArray[Any], NDArray[Any]],
    weights: tuple[Array, Array],
) -> Array:
    """Kernel distances [draws] under cluster weights of both sides."""
    inside = [
        within_mean(kernel(vectors, vectors, bandwidth), groups, drawn)
        for vectors, groups, drawn in zip((one, other), clusters, weights, strict=True)
    ]
    between = across_mean(kernel(one, other, bandwidth), *clusters, *weights)
    return KAD_SCALE * (inside[0] + inside[1] - 2 * between)


def kad(
    generated: Array,
    reference: Array,
    bandwidth: float,
    clusters: tuple[NDArray[Any], NDArray[Any]],
    how: Resampling,
    name: str,
) -> tuple[Value, Array]:
    """Kernel Audio Distance with its bootstrap interval over clusters, and the draws themselves."""
    weights = (how.weights(clusters[0], "kad", "left", name), how.weights(clusters[1], "kad", "right", name))
    draws = kernel_distance_draws(generated, reference, bandwidth, clusters, weights)
    observed = kernel_distance(generated, reference, bandwidth)
    return how.value(observed, draws, len(generated)), draws


def kad_p(generated: Array, reference: Array, bandwidth: float, how: Resampling, name: str) -> float:
    """p that both sets come from one source: clips change sides at random (Gretton et al. 2012).

    Clips of one song count as independent here, so a small p says more of these clips than of all songs.
    """
    both = np.concatenate([generated, reference])
    pairs = kernel(both, both, bandwidth)
    np.fill_diagonal(pairs, 0.0)
    generator = how.generator("kad permutation", name)
    order = np.argsort(generator.random((how.n_permutations, len(both))), axis=1)
    sides = np.concatenate([np.arange(len(both))[None], order]) < len(generated)
    distances = _split_distances(pairs, sides.astype(np.float64))
    return permutation_p(float(distances[0]), distances[1:])


def _split_distances(pairs: Array, left: Array) -> Array:
    """Unbiased squared discrepancies [splits]; `left` [splits, clips] is 1 for one side, `pairs` has diagonal 0."""
    right = 1 - left
    n_left, n_right = left.sum(axis=1), right.sum(axis=1)
    towards_left = left @ pairs
    own = (towards_left * left).sum(axis=1)
    across = (towards_left * right).sum(axis=1)
    other = pairs.sum() - own - 2 * across
    return own / (n_left * (n_left - 1)) + other / (n_right * (n_right - 1)) - 2 * across / (n_left * n_right)


def divergence(reference: Array, generated: Array) -> Array:
    """Kullback-Leibler divergence (nats) of distributions [..., classes], generated from reference.

    A thousandth of the uniform distribution is mixed into both, so that a class nobody predicted stays finite.
    """
    n_classes = reference.shape[-1]
    real, made = (0.999 * share + 0.001 / n_classes for share in (reference, generated))
    return (real * np.log(real / made)).sum(axis=-1)


def mean_distance(vectors: Array, clusters: NDArray[Any], how: Resampling, name: str) -> tuple[float, Array]:
    """Mean distance between clips of different clusters (diversity), and its bootstrap draws.

    Raises:
        MeasureError: fewer than two clusters.
    """
    index = cluster_index(clusters)
    require_clips(int(index.max()) + 1, 2, "diversity (different songs or seeds)")
    distance = np.sqrt(squared_distances(vectors, vectors))
    different = (index[:, None] != index[None]).astype(np.float64)
    weights = np.concatenate([np.ones((1, index.max() + 1)), how.weights(clusters, "diversity", name)])
    with np.errstate(invalid="ignore"):
        means = within_mean(distance * different, clusters, weights) / within_mean(different, clusters, weights)
    return float(means[0]), means[1:]


def nearest(vectors: Array, training: Array) -> tuple[NDArray[np.intp], Array]:
    """For each clip the index of the nearest training clip and the distance to it."""
    distance = np.sqrt(squared_distances(vectors, training))
    index = distance.argmin(axis=1)
    return index, distance[np.arange(len(vectors)), index]


def distance_to_other_songs(training: Array, songs: NDArray[Any]) -> Array:
    """For each training clip the distance to the nearest clip of another song.

    Raises:
        MeasureError: one song only.
    """
    require_clips(len(set(songs)), 2, "a search for copies (training songs)")
    between = np.sqrt(squared_distances(training, training))
    between[songs[:, None] == songs[None]] = np.inf
    nearest_other: Array = between.min(axis=1)
    return nearest_other
