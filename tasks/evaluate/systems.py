"""What is measured of one arm (an experiment, or a set of real clips): verdicts and vectors -> **arms** -> metrics."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.core.errors import MeasureError
from tasks.evaluate import bootstrap
from tasks.evaluate import distances as measures
from tasks.evaluate.bootstrap import Resampling, Value
from tasks.evaluate.judge import Array, Verdicts, Words, balanced_accuracy

COPY_PERCENT = 1.0
FEATURES = {"noise_floor_db": "timbre_noise_floor_db", "spectral_flatness_db": "timbre_flatness_db"}


@dataclass(frozen=True)
class Arm:
    """Clips that are measured together, and what the judge heard in them.

    `emotions` are those asked for (generated) or annotated (real); clips of one of `clusters` (song; generated
    clips stand alone) are drawn together; `keys` pair the clips of two arms; `thumbnails` are the pictures' small
    versions (tasks.evaluate.clips).
    """

    name: str
    keys: Words
    emotions: Words
    clusters: NDArray[Any]
    features: pd.DataFrame
    vectors: Array
    thumbnails: Array
    verdicts: Verdicts

    def where(self, chosen: NDArray[Any]) -> "Arm":
        """The arm with these clips only (mask or indices)."""
        heard = self.verdicts
        parts = (heard.predicted, heard.posterior, heard.valence, heard.arousal)
        return Arm(
            self.name,
            self.keys[chosen],
            self.emotions[chosen],
            self.clusters[chosen],
            self.features.iloc[chosen],
            self.vectors[chosen],
            self.thumbnails[chosen],
            Verdicts(*(part[chosen] for part in parts)),
        )

    def of(self, emotion: str) -> "Arm":
        """The clips of one emotion."""
        return self.where(self.emotions == emotion)

    @property
    def hits(self) -> Array:
        """1 for each clip in which the judge hears its emotion, else 0."""
        return (self.verdicts.predicted == self.emotions).astype(np.float64)


def recognition(arm: Arm, how: Resampling) -> dict[str, Value]:
    """Accuracy, balanced accuracy, and accuracy with the prompts dealt out anew (with the p of its test)."""
    weights = how.clip_weights(arm.clusters, "recognition", arm.name)
    hits, n_clips = arm.hits, len(arm.keys)
    shuffled = bootstrap.shuffled_means(arm.emotions, arm.verdicts.predicted, how, arm.name)
    low, high = how.interval(shuffled)
    p = bootstrap.permutation_p(hits.mean(), shuffled)
    return {
        "emotion_accuracy": how.share(hits.mean(), bootstrap.weighted_mean(hits, weights), arm.clusters),
        "emotion_balanced_accuracy": how.share(
            balanced_accuracy(arm.emotions, arm.verdicts.predicted),
            bootstrap.weighted_class_mean(hits, arm.emotions, weights),
            arm.clusters,
        ),
        "shuffled_accuracy": Value(float(shuffled.mean()), low, high, n_clips, p, "emotion_accuracy"),
    }


def affect(arm: Arm, intended: dict[str, Array], how: Resampling) -> dict[str, Value]:
    """Correlation and mean absolute error of judged against intended valence and arousal.

    `intended[axis]` [clips] on 0..1.
    """
    found = {}
    weights = how.clip_weights(arm.clusters, "affect", arm.name)
    for axis, heard in (("valence", arm.verdicts.valence), ("arousal", arm.verdicts.arousal)):
        wanted, missed = intended[axis], np.abs(heard - intended[axis])
        r = float(bootstrap.weighted_correlation(heard, wanted, bootstrap.ones(heard))[0])
        r_draws = bootstrap.weighted_correlation(heard, wanted, weights)
        found[f"{axis}_r"] = how.value(r, r_draws, len(heard))
        found[f"{axis}_mae"] = how.value(missed.mean(), bootstrap.weighted_mean(missed, weights), len(heard))
    return found


def sound(arm: Arm, how: Resampling) -> dict[str, Value]:
    """Noise floor and spectral flatness (dB), mean over clips."""
    weights = how.clip_weights(arm.clusters, "sound", arm.name)
    found = {}
    for name, feature in FEATURES.items():
        values = arm.features[feature].to_numpy()
        found[name] = how.value(values.mean(), bootstrap.weighted_mean(values, weights), len(values))
    return found


@dataclass(frozen=True)
class Yardstick:
    """What arms are measured against: real held-out clips after the codec, and the spaces of distances."""

    reference: Arm
    space: measures.Space  # scaled, for kernels, diversity and copies
    axes: measures.Space  # principal axes, for Frechet distances
    bandwidth: float
    n_clips: int  # the same number in every arm

    @classmethod
    def of(cls, reference: Arm, n_dimensions: int, n_clips: int) -> "Yardstick":
        """The yardstick of a reference arm; Frechet distances are taken in `n_dimensions`."""
        space = measures.Space.fitted(reference.vectors)
        bandwidth = measures.median_distance(space(reference.vectors))
        return cls(reference, space, measures.Space.fitted(reference.vectors, n_dimensions), bandwidth, n_clips)


def distances(arm: Arm, yardstick: Yardstick, how: Resampling) -> dict[str, Value]:
    """Frechet, Frechet at infinity and kernel distance to the reference, from the common number of clips."""
    arm = sampled(arm, yardstick.n_clips, how)
    reference = yardstick.reference
    clusters = (arm.clusters, reference.clusters)
    left, right = yardstick.axes(arm.vectors), yardstick.axes(reference.vectors)
    near, real = yardstick.space(arm.vectors), yardstick.space(reference.vectors)
    kad, _ = measures.kad(near, real, yardstick.bandwidth, clusters, how, arm.name)
    p = measures.kad_p(near, real, yardstick.bandwidth, how, arm.name)
    return {
        "fad": measures.fad(left, right, clusters, how, arm.name),
        "fad_infinity": measures.fad_infinity(left, right, how, arm.name),
        "kad": Value(kad.value, kad.low, kad.high, kad.n, p, "real clips"),
    }


def sampled(arm: Arm, n_clips: int, how: Resampling) -> Arm:
    """`n_clips` clips of the arm, drawn without replacement; all of them when there are no more."""
    if len(arm.keys) <= n_clips:
        return arm
    chosen = how.generator("same size", arm.name).choice(len(arm.keys), n_clips, replace=False)
    return arm.where(np.sort(chosen))


def divergence(arm: Arm, reference: Arm, emotions: list[str], how: Resampling) -> Value:
    """Kullback-Leibler divergence (nats) of the judge's mean posteriors, generated from real, mean over emotions."""

    def between(left: Arm, right: Arm, draws: bool) -> Array:
        real, made = (mean_posterior(side, how, draws) for side in (right, left))
        return measures.divergence(real, made)

    pairs = [(arm.of(emotion), reference.of(emotion)) for emotion in emotions]
    observed = np.mean([between(*pair, draws=False) for pair in pairs])
    return how.value(float(observed), np.mean([between(*pair, draws=True) for pair in pairs], axis=0), len(arm.keys))


def mean_posterior(arm: Arm, how: Resampling, draws: bool) -> Array:
    """Mean posterior [draws, classes] over the clips of an arm, of one emotion."""
    clusters = arm.clusters
    weights = how.clip_weights(clusters, "posterior", arm.name) if draws else bootstrap.ones(clusters)
    return weights @ arm.verdicts.posterior / weights.sum(axis=1, keepdims=True)


def diversity(arm: Arm, yardstick: Yardstick, emotions: list[str], how: Resampling) -> Value:
    """Mean distance between clips of one emotion (other seeds), over that between real clips (other songs).

    1: as different as real clips of that emotion; 0: all the same.
    """

    def spread(side: Arm) -> tuple[float, Array]:
        found = [
            measures.mean_distance(yardstick.space(part.vectors), part.clusters, how, f"{side.name} {emotion}")
            for emotion in emotions
            for part in [side.of(emotion)]
        ]
        drawn = np.stack([draws for _, draws in found])
        present = np.isfinite(drawn)  # a draw of one song only has no distance between songs
        means = np.where(present, drawn, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        return float(np.mean([value for value, _ in found])), np.where(present.any(axis=0), means, np.nan)

    (made, made_draws), (real, real_draws) = spread(arm), spread(yardstick.reference)
    if real <= 0:
        raise MeasureError("real clips do not differ", expected="different songs of each emotion", got="equal vectors")
    return how.value(made / real, made_draws / real_draws, len(arm.keys))


@dataclass(frozen=True)
class Known:
    """Every training picture, small (tasks.evaluate.clips): what a model could have learnt by heart."""

    keys: Words
    songs: NDArray[Any]
    thumbnails: Array


def copies(arm: Arm, training: Known, how: Resampling) -> tuple[dict[str, Value], pd.DataFrame]:
    """Share of clips that look copied from a training clip, and each clip's nearest training clip.

    A copy is nearer to a training picture than 99 % of training pictures are to any other song's: music that is
    new gives a share of about 0.01. `distance_to_training` is the mean distance in units of the training
    pictures' median distance to another song. The table has the nearest training clip's key and that ratio.
    """
    apart = measures.distance_to_other_songs(training.thumbnails, training.songs)
    index, distance = measures.nearest(arm.thumbnails, training.thumbnails)
    copied = (distance < np.percentile(apart, COPY_PERCENT)).astype(np.float64)
    ratio = distance / max(float(np.median(apart)), 1e-9)
    weights = how.clip_weights(arm.clusters, "copies", arm.name)
    found = {
        "copies": how.share(copied.mean(), bootstrap.weighted_mean(copied, weights), arm.clusters),
        "distance_to_training": how.value(ratio.mean(), bootstrap.weighted_mean(ratio, weights), len(ratio)),
    }
    return found, pd.DataFrame({"nearest": training.keys[index], "nearest_ratio": ratio})


def comparison(arm: Arm, other: Arm, intended: dict[str, Array], how: Resampling) -> dict[str, Value]:
    """Differences (arm minus other) of clips of the same emotion and seed, with the p that there is none."""
    differences = {"emotion_accuracy": arm.hits - other.hits}
    for axis in ("valence", "arousal"):
        mine, theirs = (np.abs(getattr(side.verdicts, axis) - intended[axis]) for side in (arm, other))
        differences[f"{axis}_mae"] = mine - theirs
    weights = how.clip_weights(arm.clusters, "comparison")
    found = {}
    for name, values in differences.items():
        value = how.value(values.mean(), bootstrap.weighted_mean(values, weights), len(values))
        p = bootstrap.sign_flip_p(values, arm.clusters, how, name)
        found[name] = Value(value.value, value.low, value.high, value.n, p, other.name)
    return found


def kernel_matrix(
    arm: Arm, yardstick: Yardstick, emotions: list[str], min_clips: int, n_dimensions: int, how: Resampling
) -> tuple[pd.DataFrame, Value]:
    """KAD of every generated emotion against every real one, and the share of emotions nearest to their own.

    Columns: experiment, generated, real, kad, low, high, n, reason, fad (in `n_dimensions`, none in fewer than two).
    A real class with fewer than `min_clips` clips gets no figure, and `reason` says so; an emotion without its own
    column counts as not nearest.
    """
    rows, nearest = [], []
    for emotion in emotions:
        left = arm.of(emotion)
        measures.require_clips(len(left.keys), min_clips, f"the kernel distance of {arm.name}, {emotion}")
        cells = {real: _cell(left, yardstick, emotion, real, min_clips, how) for real in emotions}
        for real, cell in cells.items():
            fad = np.nan if cell[0] is None or n_dimensions < 2 else _frechet(left, yardstick, real, n_dimensions)
            rows.append(_row(arm.name, emotion, real, cell, min_clips) | {"fad": bootstrap.rounded(fad)})
        nearest.append(_own_is_nearest(emotion, cells, how.n_bootstrap))
    observed = float(np.mean([own for own, _ in nearest]))
    draws = np.mean([drawn for _, drawn in nearest], axis=0)
    return pd.DataFrame(rows), how.value(observed, draws, len(emotions))


Cell = tuple[Value | None, Array, int]


def _cell(left: Arm, yardstick: Yardstick, emotion: str, real: str, min_clips: int, how: Resampling) -> Cell:
    right = yardstick.reference.of(real)
    if len(right.keys) < min_clips:
        return None, np.full(how.n_bootstrap, np.inf), len(right.keys)
    near, there = yardstick.space(left.vectors), yardstick.space(right.vectors)
    clusters = (left.clusters, right.clusters)
    value, draws = measures.kad(near, there, yardstick.bandwidth, clusters, how, f"{left.name} {emotion}")
    return value, draws, len(right.keys)


def _frechet(left: Arm, yardstick: Yardstick, real: str, n_dimensions: int) -> float:
    sides = (left, yardstick.reference.of(real))
    return measures.frechet_distance(*(yardstick.axes(side.vectors)[:, :n_dimensions] for side in sides))


def _row(experiment: str, emotion: str, real: str, cell: Cell, min_clips: int) -> dict[str, Any]:
    value, _, n_real = cell
    numbers = (value.value, value.low, value.high) if value else (np.nan,) * 3
    reason = "" if value else f"{n_real} real clips of {real}, at least {min_clips} needed"
    kad, low, high = (bootstrap.rounded(number) for number in numbers)
    names = {"experiment": experiment, "generated": emotion, "real": real}
    return names | {"kad": kad, "low": low, "high": high, "n": value.n if value else 0, "reason": reason}


def _own_is_nearest(emotion: str, cells: dict[str, Cell], n_draws: int) -> tuple[float, Array]:
    own, _, _ = cells[emotion]
    if own is None:
        return 0.0, np.zeros(n_draws)
    others = [value.value for real, (value, _, _) in cells.items() if value and real != emotion]
    draws = np.stack([draws for real, (_, draws, _) in cells.items() if real != emotion] or [np.full(n_draws, np.inf)])
    return float(own.value < min(others, default=np.inf)), (cells[emotion][1] < draws.min(axis=0)).astype(float)
