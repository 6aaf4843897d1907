"""Each generated emotion against each real one: vectors -> **matrix of distances** -> kad_matrix.csv, metrics."""

from typing import Any

import numpy as np
import pandas as pd

from tasks.evaluate import distances as measures
from tasks.evaluate.intervals import Array, Inference, Value, rounded
from tasks.evaluate.permutation import permutation_p, shuffled_rows
from tasks.evaluate.reference import Reference
from tasks.evaluate.systems import System

DEALT_ANEW = "prompts dealt out anew"


def kernel_matrix(
    system: System, reference: Reference, emotions: list[str], min_clips: int, n_dimensions: int, how: Inference
) -> tuple[pd.DataFrame, Value]:
    """KAD of every generated emotion against every real one, and the share of emotions nearest to their own.

    Columns are tables.KAD_MATRIX; the Frechet distance is taken in `n_dimensions`, none in fewer than two. A real
    class with fewer than `min_clips` clips gets no figure, and `reason` says so; an emotion without its own column
    counts as not nearest.
    """
    real_classes = [name for name in emotions if reference.real.of(name).enough(min_clips)]
    rows = []
    for emotion in emotions:
        left = system.of(emotion)
        measures.require_clips(len(left.keys), min_clips, f"the kernel distance of {system.name}, {emotion}")
        for name in emotions:
            real = reference.real.of(name)
            found = {"kad": _too_few(real, name, min_clips)}
            if name in real_classes:
                found = {"kad": reference.kad(left, real, how)}
                if n_dimensions >= 2:
                    found |= reference.frechet(left, real, how, n_dimensions)
            rows.append({"experiment": system.name, "generated": emotion, "real": name} | _cells(found))
    return pd.DataFrame(rows), own_class_nearest(system, reference, emotions, real_classes, how)


def _too_few(real: System, name: str, min_clips: int) -> Value:
    got = f"{len(real.keys)} real clips of {name} by {real.clusters.count} artists"
    return Value.missing(0, f"{got}; at least {min_clips} by 2 needed")


def _cells(found: dict[str, Value]) -> dict[str, Any]:
    kad, fad = found["kad"], found.get("fad")
    ends = {"kad": kad.value, "low": kad.low, "high": kad.high, "fad": fad.value if fad else None}
    numbers = {name: np.nan if value is None else rounded(value) for name, value in ends.items()}
    return numbers | {"n": kad.n, "reason": kad.reason or ""}


def own_class_nearest(
    system: System, reference: Reference, emotions: list[str], real_classes: list[str], how: Inference
) -> Value:
    """Share of the emotions whose clips are nearer, by KAD, to real clips of that emotion than of any other.

    So few emotions allow no interval. What they show is said by an exact test: how often as many are nearest when the
    prompts are dealt out anew among the same clips.
    """
    closeness = class_closeness(system, reference, real_classes)
    own = np.array([real_classes.index(name) if name in real_classes else -1 for name in emotions])
    asked = np.array([emotions.index(name) for name in system.emotions])
    dealt = asked[shuffled_rows(len(asked), how, "own class", system.name)]
    shares = nearest_share(closeness, np.concatenate([asked[None], dealt]), own)
    reason = f"{len(emotions)} emotions are too few for an interval; p is exact"
    found = Value(float(shares[0]), None, None, len(system.keys), reference.real.n_artists, reason=reason)
    return found.tested(permutation_p(shares[0], shares[1:]), DEALT_ANEW)


def class_closeness(system: System, reference: Reference, real_classes: list[str]) -> Array:
    """For each clip and real class, what makes the class near [clips, classes]: KAD falls by as much as it rises.

    KAD is within(generated) + within(real) - 2 across; the first term does not depend on the real class.
    """
    near, columns = reference.space(system.vectors), []
    for name in real_classes:
        real = reference.real.of(name)
        there = reference.space(real.vectors)
        pairs = measures.kernel(there, there, reference.bandwidth)
        apart = real.clusters.labels[:, None] != real.clusters.labels[None]
        within = pairs[apart].mean() if apart.any() else np.inf
        columns.append(2 * measures.kernel(near, there, reference.bandwidth).mean(axis=1) - within)
    return np.stack(columns, axis=1) if columns else np.zeros((len(near), 0))


def nearest_share(closeness: Array, asked: np.ndarray, own: np.ndarray) -> Array:
    """Share [draws] of the emotions nearest to their own class, when clips are asked for `asked` [draws, clips].

    `own` [emotions] is the column of each emotion's class, -1 for none.
    """
    hits = np.zeros((len(asked), len(own)))
    for emotion, column in enumerate(own):
        if column >= 0:
            chosen = (asked == emotion).astype(np.float64)
            means = chosen @ closeness
            others = np.delete(means, column, axis=1)
            hits[:, emotion] = (means[:, [column]] > others).all(axis=1)
    return hits.mean(axis=1)
