"""What is measured of a system (an experiment, or a set of real clips): predictions, vectors -> **systems**."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.core.errors import MeasureError
from tasks.evaluate import bootstrap
from tasks.evaluate import distances as measures
from tasks.evaluate.bootstrap import Resampling, Value
from tasks.evaluate.judge import Array, Predictions, Words, balanced_accuracy

COPY_PERCENT = 1.0
FEATURES = {"noise_floor_db": "timbre_noise_floor_db", "spectral_flatness_db": "timbre_flatness_db"}


@dataclass(frozen=True)
class System:
    """Clips that are measured together, and what the judge says of them.

    `emotions` are those asked for (generated) or annotated (real); clips of one of `clusters` (song; generated
    clips stand alone) are drawn together; `keys` pair the clips of two systems; `thumbnails` are the pictures' small
    versions (tasks.evaluate.clips).
    """

    name: str
    keys: Words
    emotions: Words
    clusters: NDArray[Any]
    features: pd.DataFrame
    vectors: Array
    thumbnails: Array
    predictions: Predictions

    def where(self, chosen: NDArray[Any]) -> "System":
        """The system with these clips only (mask or indices)."""
        of_judge = self.predictions
        parts = (of_judge.predicted, of_judge.posterior, of_judge.valence, of_judge.arousal)
        return System(
            self.name,
            self.keys[chosen],
            self.emotions[chosen],
            self.clusters[chosen],
            self.features.iloc[chosen],
            self.vectors[chosen],
            self.thumbnails[chosen],
            Predictions(*(part[chosen] for part in parts)),
        )

    def of(self, emotion: str) -> "System":
        """The clips of one emotion."""
        return self.where(self.emotions == emotion)

    @property
    def hits(self) -> Array:
        """1 for each clip in which the judge recognises its emotion, else 0."""
        return (self.predictions.predicted == self.emotions).astype(np.float64)


def recognition(system: System, how: Resampling) -> dict[str, Value]:
    """Accuracy, balanced accuracy, and accuracy with the prompts dealt out anew (with the p of its test)."""
    weights = how.clip_weights(system.clusters, "recognition", system.name)
    hits, n_clips = system.hits, len(system.keys)
    shuffled = bootstrap.shuffled_means(system.emotions, system.predictions.predicted, how, system.name)
    low, high = how.interval(shuffled)
    p = bootstrap.permutation_p(hits.mean(), shuffled)
    return {
        "emotion_accuracy": how.share(hits.mean(), bootstrap.weighted_mean(hits, weights), system.clusters),
        "emotion_balanced_accuracy": how.share(
            balanced_accuracy(system.emotions, system.predictions.predicted),
            bootstrap.weighted_class_mean(hits, system.emotions, weights),
            system.clusters,
        ),
        "shuffled_accuracy": Value(float(shuffled.mean()), low, high, n_clips, p, "emotion_accuracy"),
    }


def affect(system: System, intended: dict[str, Array], how: Resampling) -> dict[str, Value]:
    """Correlation and mean absolute error of judged against intended valence and arousal.

    `intended[axis]` [clips] on 0..1.
    """
    found = {}
    weights = how.clip_weights(system.clusters, "affect", system.name)
    for axis, judged in (("valence", system.predictions.valence), ("arousal", system.predictions.arousal)):
        wanted, missed = intended[axis], np.abs(judged - intended[axis])
        r = float(bootstrap.weighted_correlation(judged, wanted, bootstrap.ones(judged))[0])
        r_draws = bootstrap.weighted_correlation(judged, wanted, weights)
        found[f"{axis}_r"] = how.value(r, r_draws, len(judged))
        found[f"{axis}_mae"] = how.value(missed.mean(), bootstrap.weighted_mean(missed, weights), len(judged))
    return found


def sound(system: System, how: Resampling) -> dict[str, Value]:
    """Noise floor and spectral flatness (dB), mean over clips."""
    weights = how.clip_weights(system.clusters, "sound", system.name)
    found = {}
    for name, feature in FEATURES.items():
        values = system.features[feature].to_numpy()
        found[name] = how.value(values.mean(), bootstrap.weighted_mean(values, weights), len(values))
    return found


@dataclass(frozen=True)
class Reference:
    """What systems are measured against: real held-out clips after the codec, and the spaces of distances."""

    real: System
    space: measures.Space  # scaled, for kernels, diversity and copies
    axes: measures.Space  # principal axes, for Frechet distances
    bandwidth: float
    n_clips: int  # the same number in every system

    @classmethod
    def of(cls, real: System, n_dimensions: int, n_clips: int) -> "Reference":
        """What a system of real clips is as a reference; Frechet distances are taken in `n_dimensions`."""
        space = measures.Space.fitted(real.vectors)
        bandwidth = measures.median_distance(space(real.vectors))
        return cls(real, space, measures.Space.fitted(real.vectors, n_dimensions), bandwidth, n_clips)


def distances(system: System, reference: Reference, how: Resampling) -> dict[str, Value]:
    """Frechet, Frechet at infinity and kernel distance to the reference, from the common number of clips."""
    system = sampled(system, reference.n_clips, how)
    clusters = (system.clusters, reference.real.clusters)
    left, right = reference.axes(system.vectors), reference.axes(reference.real.vectors)
    near, real = reference.space(system.vectors), reference.space(reference.real.vectors)
    kad, _ = measures.kad(near, real, reference.bandwidth, clusters, how, system.name)
    p = measures.kad_p(near, real, reference.bandwidth, how, system.name)
    return {
        "fad": measures.fad(left, right, clusters, how, system.name),
        "fad_infinity": measures.fad_infinity(left, right, how, system.name),
        "kad": Value(kad.value, kad.low, kad.high, kad.n, p, "real clips"),
    }


def sampled(system: System, n_clips: int, how: Resampling) -> System:
    """`n_clips` clips of the system, drawn without replacement; all of them when there are no more."""
    if len(system.keys) <= n_clips:
        return system
    chosen = how.generator("same size", system.name).choice(len(system.keys), n_clips, replace=False)
    return system.where(np.sort(chosen))


def divergence(system: System, reference: System, emotions: list[str], how: Resampling) -> Value:
    """Kullback-Leibler divergence (nats) of the judge's mean posteriors, generated from real, mean over emotions."""

    def between(left: System, right: System, draws: bool) -> Array:
        real, made = (mean_posterior(side, how, draws) for side in (right, left))
        return measures.divergence(real, made)

    pairs = [(system.of(emotion), reference.of(emotion)) for emotion in emotions]
    observed = np.mean([between(*pair, draws=False) for pair in pairs])
    return how.value(float(observed), np.mean([between(*pair, draws=True) for pair in pairs], axis=0), len(system.keys))


def mean_posterior(system: System, how: Resampling, draws: bool) -> Array:
    """Mean posterior [draws, classes] over the clips of a system, of one emotion."""
    clusters = system.clusters
    weights = how.clip_weights(clusters, "posterior", system.name) if draws else bootstrap.ones(clusters)
    return weights @ system.predictions.posterior / weights.sum(axis=1, keepdims=True)


def diversity(system: System, reference: Reference, emotions: list[str], how: Resampling) -> Value:
    """Mean distance between clips of one emotion (other seeds), over that between real clips (other songs).

    1: as different as real clips of that emotion; 0: all the same.
    """

    def spread(side: System) -> tuple[float, Array]:
        found = [
            measures.mean_distance(reference.space(part.vectors), part.clusters, how, f"{side.name} {emotion}")
            for emotion in emotions
            for part in [side.of(emotion)]
        ]
        drawn = np.stack([draws for _, draws in found])
        present = np.isfinite(drawn)  # a draw of one song only has no distance between songs
        means = np.where(present, drawn, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        return float(np.mean([value for value, _ in found])), np.where(present.any(axis=0), means, np.nan)

    (made, made_draws), (real, real_draws) = spread(system), spread(reference.real)
    if real <= 0:
        raise MeasureError("real clips do not differ", expected="different songs of each emotion", got="equal vectors")
    return how.value(made / real, made_draws / real_draws, len(system.keys))


@dataclass(frozen=True)
class TrainingPictures:
    """Every training picture, small (tasks.evaluate.clips): what a model could have learnt by heart."""

    keys: Words
    songs: NDArray[Any]
    thumbnails: Array


def copies(system: System, training: TrainingPictures, how: Resampling) -> tuple[dict[str, Value], pd.DataFrame]:
    """Share of clips that look copied from a training clip, and each clip's nearest training clip.

    A copy is nearer to a training picture than 99 % of training pictures are to any other song's: music that is
    new gives a share of about 0.01. `distance_to_training` is the mean distance in units of the training
    pictures' median distance to another song. The table has the nearest training clip's key and that ratio.
    """
    apart = measures.distance_to_other_songs(training.thumbnails, training.songs)
    index, distance = measures.nearest(system.thumbnails, training.thumbnails)
    copied = (distance < np.percentile(apart, COPY_PERCENT)).astype(np.float64)
    ratio = distance / max(float(np.median(apart)), 1e-9)
    weights = how.clip_weights(system.clusters, "copies", system.name)
    found = {
        "copies": how.share(copied.mean(), bootstrap.weighted_mean(copied, weights), system.clusters),
        "distance_to_training": how.value(ratio.mean(), bootstrap.weighted_mean(ratio, weights), len(ratio)),
    }
    return found, pd.DataFrame({"nearest": training.keys[index], "nearest_ratio": ratio})


def comparison(system: System, other: System, intended: dict[str, Array], how: Resampling) -> dict[str, Value]:
    """Differences (system minus other) of clips of the same emotion and seed, with the p that there is none."""
    differences = {"emotion_accuracy": system.hits - other.hits}
    for axis in ("valence", "arousal"):
        mine, theirs = (np.abs(getattr(side.predictions, axis) - intended[axis]) for side in (system, other))
        differences[f"{axis}_mae"] = mine - theirs
    weights = how.clip_weights(system.clusters, "comparison")
    found = {}
    for name, values in differences.items():
        value = how.value(values.mean(), bootstrap.weighted_mean(values, weights), len(values))
        p = bootstrap.sign_flip_p(values, system.clusters, how, name)
        found[name] = Value(value.value, value.low, value.high, value.n, p, other.name)
    return found


def kernel_matrix(
    system: System, reference: Reference, emotions: list[str], min_clips: int, n_dimensions: int, how: Resampling
) -> tuple[pd.DataFrame, Value]:
    """KAD of every generated emotion against every real one, and the share of emotions nearest to their own.

    Columns: experiment, generated, real, kad, low, high, n, reason, fad (in `n_dimensions`, none in fewer than two).
    A real class with fewer than `min_clips` clips gets no figure, and `reason` says so; an emotion without its own
    column counts as not nearest.
    """
    rows, nearest = [], []
    for emotion in emotions:
        left = system.of(emotion)
        measures.require_clips(len(left.keys), min_clips, f"the kernel distance of {system.name}, {emotion}")
        cells = {real: _cell(left, reference, emotion, real, min_clips, how) for real in emotions}
        for real, cell in cells.items():
            fad = np.nan if cell[0] is None or n_dimensions < 2 else _frechet(left, reference, real, n_dimensions)
            rows.append(_row(system.name, emotion, real, cell, min_clips) | {"fad": bootstrap.rounded(fad)})
        nearest.append(_own_is_nearest(emotion, cells, how.n_bootstrap))
    observed = float(np.mean([own for own, _ in nearest]))
    draws = np.mean([drawn for _, drawn in nearest], axis=0)
    return pd.DataFrame(rows), how.value(observed, draws, len(emotions))


Cell = tuple[Value | None, Array, int]


def _cell(left: System, reference: Reference, emotion: str, real: str, min_clips: int, how: Resampling) -> Cell:
    right = reference.real.of(real)
    if len(right.keys) < min_clips:
        return None, np.full(how.n_bootstrap, np.inf), len(right.keys)
    near, there = reference.space(left.vectors), reference.space(right.vectors)
    clusters = (left.clusters, right.clusters)
    value, draws = measures.kad(near, there, reference.bandwidth, clusters, how, f"{left.name} {emotion}")
    return value, draws, len(right.keys)


def _frechet(left: System, reference: Reference, real: str, n_dimensions: int) -> float:
    sides = (left, reference.real.of(real))
    return measures.frechet_distance(*(reference.axes(side.vectors)[:, :n_dimensions] for side in sides))


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
