"""The shape of reports/metrics.json and of the tables beside it: systems -> **metrics** -> page, a person, a test."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tasks.evaluate import copies, systems, tables
from tasks.evaluate import reference as references
from tasks.evaluate.copies import CopySearch
from tasks.evaluate.intervals import Clusters, Inference, Value, rounded
from tasks.evaluate.judge import Array, Judge, agreement
from tasks.evaluate.params import EvaluateParams
from tasks.evaluate.reference import Reference
from tasks.evaluate.systems import SONGS, System
from tasks.label import emotions
from tasks.label.params import LabelParams

REFERENCE = "codec"
BASE = "base"
CLIPS_PER_DIMENSION = 3  # fewer clips of an emotion lower the dimensions of its Frechet distance


def as_dicts(values: dict[str, Value]) -> dict[str, Any]:
    """Measures for JSON."""
    return {name: value.as_dict() for name, value in values.items()}


def certain(value: float, system: System) -> Value:
    """A figure that is known, not measured: its interval is itself."""
    return Value(value, value, value, *system.counts)


def judge_metrics(judge: Judge, real: dict[str, System], labels: pd.DataFrame, how: Inference) -> dict[str, Any]:
    """How good the judge is on held-out artists: as they are, through the codec, through the VAE.

    `labels` are the rows of the held-out clips: valence, arousal, artist.
    """
    held_out, n_classes = real["original"], len(judge.classes)
    recognised = systems.recognition(held_out, how)
    found = {
        "real_test_accuracy": recognised["emotion_accuracy"],
        "real_test_balanced_accuracy": recognised["emotion_balanced_accuracy"],
        "chance": certain(1 / n_classes, held_out),
        "majority": certain(max(np.mean(held_out.emotions == name) for name in judge.classes), held_out),
    }
    for name in ("codec", "codec_vae"):
        if name in real:
            there = systems.recognition(real[name], how)
            found[f"{name}_accuracy"] = there["emotion_accuracy"]
            found[f"{name}_balanced_accuracy"] = there["emotion_balanced_accuracy"]
    annotated = {axis: labels[axis].to_numpy(dtype=float) for axis in ("valence", "arousal")}
    return {
        **as_dicts(found | systems.affect(held_out, annotated, how)),
        "chosen": judge.chosen,
        "classes": list(judge.classes),
        "cross_validated_balanced_accuracy": {name: rounded(score) for name, score in sorted(judge.candidates.items())},
        "accuracy_of_each_test_artist": accuracy_by(held_out, labels["artist"].to_numpy(dtype=str), how),
        "n_training_clips": len(real["training"].keys),
        "n_training_songs": len(set(real["training"].songs)),
        "n_test_songs": len(set(held_out.songs)),
    }


def accuracy_by(system: System, groups: Any, how: Inference) -> dict[str, Any]:
    """Accuracy of each group of clips, for JSON; inside a group songs are independent."""
    songs = replace(system, clusters=Clusters(system.songs, SONGS))
    parts = {str(name): songs.where(groups == name) for name in np.unique(groups)}
    return {name: systems.accuracy(part, how).by(1).as_dict() for name, part in parts.items()}


def ceilings(
    songs: pd.DataFrame, held_out: System, params: EvaluateParams, label: LabelParams, how: Inference
) -> dict[str, Value]:
    """What the raters' disagreement allows on the held-out clips' songs, mean over clips.

    `ceiling`: how often a judge who knew the truth would agree with the labels. `panel_agreement`: how often a
    fresh panel of as many raters would. Both take every rating to be equally likely a priori, so where songs
    keep away from the borders they are somewhat too low.
    """
    rated = songs[songs["valence"].notna()].set_index("song_id")
    points = rated[["valence", "arousal"]].to_numpy(dtype=float)
    plane = emotions.fit_plane(points, label, how.seed)
    deviations = rated[["valence_std", "arousal_std"]].to_numpy(dtype=float)
    found = {}
    for name, noises in (("ceiling", 1), ("panel_agreement", 2)):
        error = np.nan_to_num(deviations) * np.sqrt(noises / params.n_raters)
        probability = pd.Series(agreement(points, error, plane, how.seed), index=rated.index)
        values = probability.loc[held_out.songs.astype(int)].to_numpy()
        found[name] = systems.mean_value(values, held_out, how)
    return found


def intended_points(labels: pd.DataFrame, asked: list[str]) -> dict[str, dict[str, float]]:
    """Axis -> emotion -> mean valence or arousal of the training clips annotated with it."""
    means = labels.groupby("emotion")[["valence", "arousal"]].mean()
    return {axis: {name: float(means.loc[name, axis]) for name in asked if name in means.index} for axis in means}


def experiment_metrics(
    system: System,
    search: CopySearch,
    reference: Reference,
    matched: Reference,
    intended: dict[str, dict[str, float]],
    comparable: list[str],
    how: Inference,
) -> tuple[dict[str, Value], pd.DataFrame]:
    """All measures of an experiment but those per emotion and against others; and each clip's nearest neighbour.

    Distances are to `reference`, diversity is beside that of `matched` (see tasks.evaluate.evaluation).
    """
    copied, nearest = copies.copies(system, search, how)
    none = Value.missing(len(system.keys), "no emotion has enough held-out clips of two artists")
    found = {
        **systems.recognition(system, how),
        **systems.affect(system, wanted_points(system, intended), how),
        **references.distances(system, reference, how),
        "kld": references.divergence(system, reference.real, comparable, how) if comparable else none,
        "diversity": references.diversity(system, matched, comparable, how) if comparable else none,
        **copied,
        **references.music(system, reference, how),
        **systems.sound(system, how),
    }
    return found, nearest


def wanted_points(system: System, intended: dict[str, dict[str, float]]) -> dict[str, Array]:
    """Axis -> intended value of each clip of a generated system."""
    return {axis: np.array([of[name] for name in system.emotions]) for axis, of in intended.items()}


def emotion_metrics(
    system: System, reference: Reference, matrix: pd.DataFrame, asked: list[str], n_dimensions: int, how: Inference
) -> dict[str, Any]:
    """For each emotion: how often it is recognised, its distances to real clips of it, and which are nearest.

    Frechet distances are taken in `n_dimensions`, none in fewer than two.
    """
    found = {}
    for emotion in asked:
        left, real = system.of(emotion), reference.real.of(emotion)
        row = matrix[(matrix["generated"] == emotion) & matrix["kad"].notna()].set_index("real")
        nearest = row["kad"].idxmin() if len(row) else None
        found[emotion] = {"accuracy": systems.accuracy(left, how).as_dict(), "nearest_real": nearest}
        if emotion in row.index:
            found[emotion]["kad"] = reference.kad(left, real, how).as_dict()
            if n_dimensions >= 2:
                found[emotion] |= as_dicts(reference.frechet(left, real, how, n_dimensions))
    return found


def emotion_dimensions(made: dict[str, System], reference: Reference, comparable: list[str]) -> int:
    """Principal dimensions for Frechet distances of single emotions: as many as the fewest clips of one allow."""
    sides = [*made.values(), reference.real]
    fewest = min((int((side.emotions == name).sum()) for side in sides for name in comparable), default=0)
    return min(reference.axes.axes.shape[1], fewest // CLIPS_PER_DIMENSION)


def with_comparisons(
    found: dict[str, dict[str, Value]],
    made: dict[str, System],
    intended: dict[str, dict[str, float]],
    judges: float,
    how: Inference,
) -> dict[str, dict[str, Any]]:
    """Experiment -> its measures for JSON, with `comparisons` to every other experiment.

    The p of an experiment's `emotion_accuracy` is that against the base model. `accuracy_relative_to_judge` is the
    same accuracy over `judges`, the judge's own on real held-out clips, which is taken as known.
    """
    described = {}
    for name, system in made.items():
        wanted = wanted_points(system, intended)
        others = {
            other: systems.comparison(system, rival, wanted, how) for other, rival in made.items() if other != name
        }
        values, accuracy = dict(found[name]), found[name]["emotion_accuracy"]
        values["accuracy_relative_to_judge"] = accuracy.scaled(1 / judges if judges > 0 else 0.0)
        if BASE in others:
            values["emotion_accuracy"] = accuracy.tested(others[BASE]["emotion_accuracy"].p, BASE)
        described[name] = as_dicts(values) | {
            "comparisons": {other: as_dicts(differences) for other, differences in others.items()}
        }
    return described


def prediction_table(made: dict[str, System], nearest: dict[str, pd.DataFrame], judge: Judge) -> pd.DataFrame:
    """One row per generated clip: what was asked and predicted, posteriors, and the nearest training clip."""
    parts = [judged_table(system, judge).assign(experiment=name) for name, system in made.items()]
    for part, neighbours, system in zip(parts, nearest.values(), made.values(), strict=True):
        part["seed"] = [int(key.rsplit("_", 1)[1]) for key in system.keys]
        part["nearest"], part["nearest_ratio"] = neighbours["nearest"].to_numpy(), neighbours["nearest_ratio"].round(6)
    table = pd.concat(parts, ignore_index=True)
    return table[list(tables.with_posteriors(tables.PREDICTIONS, judge.classes, after="arousal"))]


def judged_table(system: System, judge: Judge) -> pd.DataFrame:
    """emotion, predicted, valence, arousal, and posterior_<class>, one row per clip."""
    predictions = system.predictions
    table = pd.DataFrame({"emotion": system.emotions, "predicted": predictions.predicted})
    table["valence"], table["arousal"] = predictions.valence.round(6), predictions.arousal.round(6)
    for column, name in enumerate(judge.classes):
        table[tables.posterior(name)] = predictions.posterior[:, column].round(6)
    return table


def confusion_table(all_systems: dict[str, System], names: tuple[str, ...]) -> pd.DataFrame:
    """arm, true, predicted, n: every pair of classes, zeros included."""
    rows = [
        (name, true, predicted, int(((system.emotions == true) & (system.predictions.predicted == predicted)).sum()))
        for name, system in all_systems.items()
        for true in names
        for predicted in names
    ]
    return pd.DataFrame(rows, columns=list(tables.CONFUSION))
