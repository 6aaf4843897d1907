"""Is there a difference at all? Tests that deal out anew what would be exchangeable if there were none -> **p**.

Whole clusters change sign together: clips of one artist are one observation (see tasks.evaluate.intervals).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.intervals import Array, Clusters, Inference


def permutation_p(observed: float, permuted: Array) -> float:
    """Share of permutations at least as extreme, the observed one counted (Phipson and Smyth 2010): never 0."""
    extreme = int(np.sum(permuted >= observed - 1e-9 * max(1.0, abs(observed))))
    return (1 + extreme) / (1 + len(permuted))


def sign_flip_p(differences: Array, clusters: Clusters, how: Inference, *purpose: object) -> float:
    """Two-sided p that paired differences [clips] have a mean of 0: the sign of whole clusters is flipped."""
    index = np.unique(clusters.labels, return_inverse=True)[1].reshape(-1)
    sums = np.bincount(index, weights=differences)
    signs = how.generator("sign-flip", *purpose).choice((-1.0, 1.0), size=(how.n_permutations, len(sums)))
    return permutation_p(abs(sums.sum()), np.abs(signs @ sums))


def equal_sources_p(pairs: Array, sides: tuple[Clusters, Clusters], how: Inference, *purpose: object) -> float:
    """p that two sets of clips come from one source, from the kernel `pairs` [clips, clips] of both in turn.

    A cluster contributes the sum of its clips to the difference of the two means in the kernel's space. If the
    sources are equal, these sums lie around 0 once each set's own mean is taken off, and the sign of each is a coin
    toss. So the signs of whole clusters are tossed, and the squared length of the difference is compared (the wild
    cluster bootstrap; Cameron, Gelbach and Miller 2008). Exchanging clusters between the sets would be no test here,
    because an artist's clips and a single clip do not vary alike.
    """
    labels = np.concatenate([side.labels for side in sides])
    members = (labels[:, None] == np.unique(labels)[None]).astype(np.float64)
    left = np.arange(len(labels)) < len(sides[0].labels)
    near, there = (_contributions(members * side[:, None]) for side in (left, ~left))
    difference, tossed = near - there, _around_zero(near) - _around_zero(there)
    sums = tossed.T @ pairs @ tossed
    signs = how.generator("equal sources", *purpose).choice((-1.0, 1.0), size=(how.n_permutations, len(sums)))
    total = difference.sum(axis=1)
    return permutation_p(float(total @ pairs @ total), ((signs @ sums) * signs).sum(axis=1))


def _contributions(members: Array) -> Array:
    """Weights [clips, clusters] with which the clips of each cluster make up the mean of a set."""
    return members / members.sum()


def _around_zero(contributions: Array) -> Array:
    """Each cluster's contribution less its share of the mean, as wide as if the true mean were taken off."""
    n_clusters = int((contributions.sum(axis=0) > 0).sum())
    mean = contributions.sum(axis=1)
    deviations = contributions - mean[:, None] * contributions.sum(axis=0)[None]
    return deviations * np.sqrt(n_clusters / max(n_clusters - 1, 1))


def shuffled_means(asked: NDArray[Any], predicted: NDArray[Any], how: Inference, *purpose: object) -> Array:
    """Accuracies [n_permutations] when the prompts are dealt out anew: what ignoring the prompt would give."""
    order = shuffled_rows(len(asked), how, "shuffle", *purpose)
    return (asked[order] == predicted[None]).mean(axis=1)


def shuffled_rows(n: int, how: Inference, *purpose: object) -> NDArray[np.intp]:
    """Orders [n_permutations, n] of so many clips."""
    return np.argsort(how.generator(*purpose).random((how.n_permutations, n)), axis=1)
