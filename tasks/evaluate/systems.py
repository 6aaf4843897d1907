"""What is measured of a system alone, or beside another one: predictions, features -> **systems** -> metrics."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluate.fingerprints import Prints
from tasks.evaluate.intervals import (
    Array,
    Clusters,
    Inference,
    LeaveOneOut,
    Value,
    ones,
    weighted_class_mean,
    weighted_correlation,
    weighted_mean,
)
from tasks.evaluate.judge import Predictions, Words, balanced_accuracy
from tasks.evaluate.permutation import permutation_p, shuffled_means, sign_flip_p

ARTISTS, SONGS, CLIPS = "artists", "songs", "clips"
FEATURES = {"noise_floor_db": "timbre_noise_floor_db", "spectral_flatness_db": "timbre_flatness_db"}


@dataclass(frozen=True)
class System:
    """Clips that are measured together, and what the judge says of them.

    `emotions` are those asked for (generated) or annotated (real); `keys` pair the clips of two systems; `clusters`
    are what is independent (artists; generated clips stand alone); clips of one of `songs` repeat each other;
    `prints` are fingerprints [clips, frames, bins] (tasks.evaluate.fingerprints).
    """

    name: str
    keys: Words
    emotions: Words
    clusters: Clusters
    songs: Words
    features: pd.DataFrame
    music: pd.DataFrame
    vectors: Array
    prints: Prints
    predictions: Predictions

    def where(self, chosen: NDArray[Any]) -> "System":
        """The system with these clips only (mask or indices)."""
        of_judge = self.predictions
        parts = (of_judge.predicted, of_judge.posterior, of_judge.valence, of_judge.arousal)
        return System(
            self.name,
            self.keys[chosen],
            self.emotions[chosen],
            self.clusters.where(chosen),
            self.songs[chosen],
            self.features.iloc[chosen],
            self.music.iloc[chosen],
            self.vectors[chosen],
            self.prints[chosen],
            Predictions(*(part[chosen] for part in parts)),
        )

    def of(self, emotion: str) -> "System":
        """The clips of one emotion."""
        return self.where(self.emotions == emotion)

    @property
    def hits(self) -> Array:
        """1 for each clip in which the judge recognises its emotion, else 0."""
        return (self.predictions.predicted == self.emotions).astype(np.float64)

    def enough(self, min_clips: int) -> bool:
        """Whether a distance can be taken from these clips: so many of them, by two artists."""
        return len(self.keys) >= min_clips and self.clusters.count >= 2

    @property
    def n_artists(self) -> int | None:
        """How many artists its clips are by; None for generated clips."""
        return self.clusters.count if self.clusters.kind == ARTISTS else None

    @property
    def counts(self) -> tuple[int, int | None]:
        """Numbers of clips and of artists."""
        return len(self.keys), self.n_artists


def accuracy(system: System, how: Inference) -> Value:
    """Share of clips in which the judge recognises the emotion."""
    without = LeaveOneOut(system.clusters)
    replicates = weighted_mean(system.hits, without.weights[0])
    return how.share(system.hits.mean(), replicates, without, *system.counts)


def recognition(system: System, how: Inference) -> dict[str, Value]:
    """Accuracy, balanced accuracy, and accuracy with the prompts dealt out anew (with the p of its test)."""
    without, hits, predicted = LeaveOneOut(system.clusters), system.hits, system.predictions.predicted
    balanced = weighted_class_mean(hits, system.emotions, without.weights[0])
    shuffled = shuffled_means(system.emotions, predicted, how, system.name)
    tail = 50 * (1 - how.confidence)
    low, high = np.percentile(shuffled, (tail, 100 - tail))
    chance = Value(float(shuffled.mean()), float(low), float(high), *system.counts)
    return {
        "emotion_accuracy": accuracy(system, how),
        "emotion_balanced_accuracy": how.share(
            balanced_accuracy(system.emotions, predicted), balanced, without, *system.counts
        ),
        "shuffled_accuracy": chance.tested(permutation_p(hits.mean(), shuffled), "emotion_accuracy"),
    }


def affect(system: System, intended: dict[str, Array], how: Inference) -> dict[str, Value]:
    """Correlation and mean absolute error of predicted against intended valence and arousal.

    `intended[axis]` [clips] on 0..1.
    """
    without, found = LeaveOneOut(system.clusters), {}
    for axis, predicted in (("valence", system.predictions.valence), ("arousal", system.predictions.arousal)):
        r, r_without = (
            weighted_correlation(predicted, intended[axis], weights)
            for weights in (ones(predicted), without.weights[0])
        )
        found[f"{axis}_r"] = how.correlation(float(r[0]), r_without, without, *system.counts)
        found[f"{axis}_mae"] = mean_value(np.abs(predicted - intended[axis]), system, how)
    return found


def sound(system: System, how: Inference) -> dict[str, Value]:
    """Noise floor and spectral flatness (dB), mean over clips."""
    return {name: mean_value(system.features[feature].to_numpy(), system, how) for name, feature in FEATURES.items()}


def mean_value(values: Array, system: System, how: Inference) -> Value:
    """The mean of a figure of each clip, with its interval."""
    without = LeaveOneOut(system.clusters)
    return how.value(values.mean(), weighted_mean(values, without.weights[0]), without, *system.counts)


def comparison(system: System, other: System, intended: dict[str, Array], how: Inference) -> dict[str, Value]:
    """Differences (system minus other) of clips of the same emotion and seed, with the p that there is none."""
    without = LeaveOneOut(system.clusters)
    hits = system.hits - other.hits
    found = {"emotion_accuracy": how.share_difference(hits, without, len(hits))}
    differences = {"emotion_accuracy": hits}
    for axis in ("valence", "arousal"):
        mine, theirs = (np.abs(getattr(side.predictions, axis) - intended[axis]) for side in (system, other))
        name = f"{axis}_mae"
        differences[name] = mine - theirs
        found[name] = mean_value(differences[name], system, how)
    return {
        name: value.tested(sign_flip_p(differences[name], system.clusters, how, name), other.name)
        for name, value in found.items()
    }
