"""Classes of the valence-arousal plane: values on 0..1 -> **emotion words** -> labels.

Four quadrants and "energetic" after Russell's circumplex (1980); or clusters by k-means.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import InputError
from tasks.core.files import seed_from
from tasks.label.params import LabelParams

Array = NDArray[np.float64]
QUADRANTS = {(True, True): "happy", (False, True): "tense", (False, False): "sad", (True, False): "calm"}
N_STARTS = 20  # of k-means; the best of them counts
GRADES = {1: ("",), 2: ("mild-", ""), 3: ("mild-", "", "intense-")}  # of clusters in one quadrant


@dataclass(frozen=True)
class Plane:
    """A scheme on normalised axes.

    Attributes:
        names: the classes, in a fixed order.
        threshold: border of low and high, both axes. energetic: arousal from which happy is energetic, or
            nothing. centres: [n, 2] valence and arousal of the clusters, or nothing.
        dead_zone: distance to a border within which there is no label.
        border_is_high: a value on the border is high.
    """

    names: tuple[str, ...]
    threshold: float
    energetic: float | None
    centres: Array | None
    dead_zone: float
    border_is_high: bool


def normalised(values: Array, params: LabelParams) -> Array:
    """Values of the file's scale on 0..1, rounded to 9 digits: 6.2 on 1..9 is 0.65, not a hair beside it."""
    scaled: Array = np.round((values - params.scale_min) / (params.scale_max - params.scale_min), 9)
    return scaled


def fit_plane(points: Array, params: LabelParams, seed: int) -> Plane:
    """The classes of a scheme; `points` [n, 2] (valence, arousal on 0..1) matter to clusters only.

    Raises:
        InputError: fewer different points than clusters.
    """
    border = float(normalised(np.array(params.threshold), params))
    zone = params.dead_zone / (params.scale_max - params.scale_min)
    high = params.comparison == ">="
    if params.scheme == "clusters":
        centres = cluster_centres(points, params.clusters.n_clusters, seed)
        return Plane(names_of(centres, border), border, None, centres, zone, high)
    if params.scheme == "five":
        return Plane(("happy", "energetic", "tense", "sad", "calm"), border, params.energetic_arousal, None, zone, high)
    return Plane(tuple(QUADRANTS.values()), border, None, None, zone, high)


def emotions_of(points: Array, plane: Plane) -> list[str | None]:
    """The class of each of `points` [n, 2]; None inside a dead zone or where a value is missing."""
    if plane.centres is not None:
        return _nearest(points, plane)
    return [_by_threshold(valence, arousal, plane) for valence, arousal in points.tolist()]


def _by_threshold(valence: float, arousal: float, plane: Plane) -> str | None:
    borders = [valence - plane.threshold, arousal - plane.threshold]
    high = [_is_high(value, plane) for value in borders]
    word = QUADRANTS[high[0], high[1]]
    if word == "happy" and plane.energetic is not None:
        borders.append(arousal - plane.energetic)
        word = "energetic" if _is_high(borders[-1], plane) else "happy"
    if any(math.isnan(value) for value in borders) or min(map(abs, borders)) < plane.dead_zone:
        return None
    return word


def _is_high(above_border: float, plane: Plane) -> bool:
    return above_border >= 0 if plane.border_is_high else above_border > 0


def _nearest(points: Array, plane: Plane) -> list[str | None]:
    assert plane.centres is not None
    distances = np.linalg.norm(points[:, None] - plane.centres, axis=2)
    words: list[str | None] = []
    for row in distances:
        if np.isnan(row).any():
            words.append(None)
            continue
        first, second = np.argsort(row, kind="stable")[:2]
        gap = float(np.linalg.norm(plane.centres[first] - plane.centres[second]))
        to_border = (row[second] ** 2 - row[first] ** 2) / (2 * gap)  # the border is their bisector
        words.append(None if to_border < plane.dead_zone else plane.names[first])
    return words


def cluster_centres(points: Array, n_clusters: int, seed: int) -> Array:
    """Centres [n_clusters, 2] of k-means (Lloyd 1982, started as by Arthur and Vassilvitskii 2007).

    Ordered from the highest arousal down; independent of the order of the points.
    """
    from sklearn.cluster import KMeans

    n_points = len(np.unique(points, axis=0))
    if n_points < n_clusters:
        raise InputError(
            "too few different songs for the clusters",
            where="label.clusters.n_clusters",
            expected=f"at least {n_clusters} different pairs of valence and arousal",
            got=n_points,
            todo="ask for fewer clusters or take another label.scheme",
        )
    means = KMeans(n_clusters, n_init=N_STARTS, tol=0, random_state=seed_from(seed, "clusters"))
    centres: Array = np.round(means.fit(points[np.lexsort(points.T)]).cluster_centers_, 9)
    return centres[np.lexsort((centres[:, 0], -centres[:, 1]))]


def names_of(centres: Array, border: float) -> tuple[str, ...]:
    """Clusters are named by the quadrant of their centre, several of one by their distance from the middle.

    >>> names_of(np.array([[0.8, 0.8], [0.6, 0.6], [0.3, 0.2]]), 0.5)
    ('happy', 'mild-happy', 'sad')
    """
    words = [QUADRANTS[bool(valence >= border), bool(arousal >= border)] for valence, arousal in centres]
    far = np.linalg.norm(centres - border, axis=1)
    names = list(words)
    for word in set(words):
        members = sorted((index for index, other in enumerate(words) if other == word), key=lambda i: far[i])
        numbers = tuple(f"{number}-" for number in range(1, len(members) + 1))
        for index, grade in zip(members, GRADES.get(len(members), numbers), strict=True):
            names[index] = grade + word
    return tuple(names)
