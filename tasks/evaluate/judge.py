"""Who says what emotion a clip has: features of real clips + labels -> **judge** -> predictions of any clip.

The judge learns from real training artists only (the clips and their codec round trips) and never sees a
generated clip or the diffusion model. Which model it is, is chosen by cross-validation in which no artist is
on both sides.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.core.errors import MeasureError
from tasks.core.files import seed_from
from tasks.label.emotions import Plane, emotions_of

Array = NDArray[np.float64]
Words = NDArray[np.str_]

N_FOLDS = 5
N_TREES = 100
N_PANELS = 400
FARTHEST = 4.0  # standard deviations: farther features of strange clips count as this far
STRENGTHS = (0.001, 0.01, 0.1)  # inverse regularisation of the logistic models
RIDGES = (30.0, 100.0, 300.0, 1000.0)


@dataclass(frozen=True)
class Predictions:
    """What the judge says of clips: class, posterior [clips, classes], valence and arousal (0..1)."""

    predicted: Words
    posterior: Array
    valence: Array
    arousal: Array


@dataclass(frozen=True)
class Judge:
    """Trained models and how they were chosen."""

    features: tuple[str, ...]
    classes: tuple[str, ...]
    chosen: str
    candidates: dict[str, float]  # balanced accuracy of each in cross-validation
    classifier: Any
    valence: Any
    arousal: Any

    def predict(self, table: pd.DataFrame) -> Predictions:
        """Predictions on clips, one row of features each."""
        vectors = table[list(self.features)].to_numpy()
        posterior = aligned_posterior(self.classifier, vectors, self.classes)
        predicted = np.array(self.classes)[posterior.argmax(axis=1)]
        valence, arousal = (np.clip(model.predict(vectors), 0, 1) for model in (self.valence, self.arousal))
        return Predictions(predicted, posterior, valence, arousal)


def train_judge(table: pd.DataFrame, clips: pd.DataFrame, seed: int) -> Judge:
    """The judge of real clips: `table` their features, `clips` their emotion, valence, arousal and artist.

    Deterministic for a seed. Raises:
        MeasureError: fewer than two classes or two artists, which leaves nothing to choose by.
    """
    emotions, artists = clips["emotion"].to_numpy(dtype=str), clips["artist"].to_numpy(dtype=str)
    for what, values in (("classes", emotions), ("artists", artists)):
        if len(set(values)) < 2:
            raise MeasureError(
                f"too few {what} to train a judge",
                where="training split of data/labels",
                expected="at least 2",
                got=len(set(values)),
                todo="use more songs, or a smaller label.split.test",
            )
    vectors = table.to_numpy()
    classes = tuple(sorted(set(emotions)))
    posteriors = {
        name: out_of_fold(model, vectors, emotions, artists, classes)
        for name, model in candidate_classifiers(seed).items()
    }
    scores = {
        name: balanced_accuracy(emotions, np.array(classes)[posterior.argmax(axis=1)])
        for name, posterior in posteriors.items()
    }
    chosen = max(scores, key=lambda name: (scores[name], likelihood(posteriors[name], emotions, classes)))
    return Judge(
        tuple(table.columns),
        classes,
        chosen,
        scores,
        candidate_classifiers(seed)[chosen].fit(vectors, emotions),
        fit_regression(vectors, clips["valence"].to_numpy(dtype=float), artists),
        fit_regression(vectors, clips["arousal"].to_numpy(dtype=float), artists),
    )


def candidate_classifiers(seed: int) -> dict[str, Any]:
    """Untrained classifiers by name: logistic regressions and a forest."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression

    logistic = {
        f"logistic {strength:g}": scaled(LogisticRegression(C=strength, class_weight="balanced", max_iter=2000))
        for strength in STRENGTHS
    }
    forest = ExtraTreesClassifier(
        N_TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed_from(seed, "judge", "forest")
    )
    return {**logistic, "forest": forest}


def scaled(model: Any) -> Any:
    """The model behind standardised features that are clipped at 4 standard deviations."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return make_pipeline(StandardScaler(), FunctionTransformer(clipped), model)


def clipped(vectors: Array) -> Array:
    """Standardised features within the range the judge learned."""
    return np.clip(vectors, -FARTHEST, FARTHEST)


def folds(vectors: Array, artists: Words) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Training and held-out rows of each fold; all clips of an artist are in one fold."""
    from sklearn.model_selection import GroupKFold

    return list(GroupKFold(min(N_FOLDS, len(set(artists)))).split(vectors, groups=artists))


def out_of_fold(model: Any, vectors: Array, emotions: Words, artists: Words, classes: tuple[str, ...]) -> Array:
    """Posteriors [clips, classes], each by a model that knew no clip of the same artist."""
    from sklearn.base import clone

    posterior = np.zeros((len(emotions), len(classes)))
    for training, held_out in folds(vectors, artists):
        if len(set(emotions[training])) < 2:
            posterior[held_out, classes.index(str(emotions[training][0]))] = 1.0
        else:
            fitted = clone(model).fit(vectors[training], emotions[training])
            posterior[held_out] = aligned_posterior(fitted, vectors[held_out], classes)
    return posterior


def likelihood(posterior: Array, emotions: Words, classes: tuple[str, ...]) -> float:
    """Mean log probability (nats) of the true class: of equally accurate models, the better calibrated."""
    columns = [classes.index(str(name)) for name in emotions]
    return float(np.log(np.maximum(posterior[np.arange(len(emotions)), columns], 1e-6)).mean())


def fit_regression(vectors: Array, values: Array, artists: Words) -> Any:
    """Ridge regression of valence or arousal, its strength chosen by artist-grouped cross-validation."""
    from sklearn.linear_model import Ridge

    def error(strength: float) -> float:
        missed = [
            values[held_out]
            - scaled(Ridge(strength)).fit(vectors[training], values[training]).predict(vectors[held_out])
            for training, held_out in folds(vectors, artists)
        ]
        return float(np.mean(np.concatenate(missed) ** 2))

    return scaled(Ridge(min(RIDGES, key=error))).fit(vectors, values)


def aligned_posterior(classifier: Any, vectors: Array, classes: tuple[str, ...]) -> Array:
    """Posterior [clips, classes] in the order of `classes`; 0 for a class the classifier never saw."""
    found = classifier.predict_proba(vectors)
    posterior = np.zeros((len(vectors), len(classes)))
    for column, name in enumerate(classifier.classes_):
        posterior[:, classes.index(str(name))] = found[:, column]
    return posterior


def balanced_accuracy(true: Words, predicted: Words) -> float:
    """Mean over the true classes of the share recognised (0..1)."""
    return float(np.mean([np.mean(predicted[true == name] == name) for name in np.unique(true)]))


def agreement(points: Array, errors: Array, plane: Plane, seed: int) -> Array:
    """For each song, the probability that another measurement of it falls into the same class.

    `points` [songs, 2] are valence and arousal (0..1), `errors` the standard deviations of the difference to
    the other measurement: deviation of a rating / sqrt(raters) if that is the truth, sqrt(2) times as much if
    it is another panel's mean.
    """
    observed = np.array(emotions_of(points, plane), dtype=object)
    generator = np.random.default_rng(seed_from(seed, "evaluate", "panel"))
    others = points + errors * generator.standard_normal((N_PANELS, *points.shape))
    hits = [np.array(emotions_of(np.clip(other, 0, 1), plane), dtype=object) == observed for other in others]
    return np.mean(hits, axis=0).astype(np.float64)
