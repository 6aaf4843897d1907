"""How far a system is from real clips: vectors of both -> **distances to the reference** -> metrics."""

from dataclasses import dataclass

import numpy as np

from tasks.core.errors import MeasureError
from tasks.evaluate import distances as measures
from tasks.evaluate.intervals import Array, Inference, LeaveOneOut, Value, ones, weighted_mean
from tasks.evaluate.musicality import MEASURES
from tasks.evaluate.systems import System, mean_value


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

    def kad(self, system: System, real: System, how: Inference) -> Value:
        """Kernel Audio Distance of a system to some of the real clips."""
        clusters = (system.clusters, real.clusters)
        found = measures.kad(self.space(system.vectors), self.space(real.vectors), self.bandwidth, clusters, how)
        return found.by(real.n_artists)

    def frechet(
        self, system: System, real: System, how: Inference, n_dimensions: int | None = None
    ) -> dict[str, Value]:
        """Frechet Audio Distance to some of the real clips, and FAD-infinity."""
        left, right = (self.axes(side.vectors)[:, :n_dimensions] for side in (system, real))
        found = measures.fad(left, right, (system.clusters, real.clusters), how)
        return {name: of.by(real.n_artists) for name, of in zip(("fad", "fad_infinity"), found, strict=True)}


def distances(system: System, reference: Reference, how: Inference) -> dict[str, Value]:
    """Frechet, Frechet at infinity and kernel distance to the reference, from the common number of clips."""
    system, real = sampled(system, reference.n_clips, how), reference.real
    vectors = (reference.space(system.vectors), reference.space(real.vectors))
    p = measures.kad_p(*vectors, reference.bandwidth, (system.clusters, real.clusters), how, system.name)
    kad = reference.kad(system, real, how).tested(p, "real clips")
    return {**reference.frechet(system, real, how), "kad": kad}


def sampled(system: System, n_clips: int, how: Inference) -> System:
    """`n_clips` clips of the system, drawn without replacement; all of them when there are no more."""
    if len(system.keys) <= n_clips:
        return system
    chosen = how.generator("same size", system.name).choice(len(system.keys), n_clips, replace=False)
    return system.where(np.sort(chosen))


def divergence(system: System, reference: System, emotions: list[str], how: Inference) -> Value:
    """Kullback-Leibler divergence (nats) of the judge's mean posteriors, generated from real, mean over emotions."""

    def between(made: Array, real: Array) -> Array:
        of_each = [
            measures.divergence(mean_posterior(reference, emotion, real), mean_posterior(system, emotion, made))
            for emotion in emotions
        ]
        return np.mean(of_each, axis=0)

    without = LeaveOneOut(system.clusters, reference.clusters)
    observed = between(ones(system.keys), ones(reference.keys))[0]
    return how.value(observed, between(*without.weights), without, len(system.keys), reference.n_artists)


def mean_posterior(system: System, emotion: str, weights: Array) -> Array:
    """Mean posterior [draws, classes] over the clips of one emotion, under weights [draws, clips of all]."""
    chosen = system.emotions == emotion
    with np.errstate(invalid="ignore"):
        shares = weights[:, chosen] / weights[:, chosen].sum(axis=1, keepdims=True)
    return shares @ system.predictions.posterior[chosen]


def diversity(system: System, reference: Reference, emotions: list[str], how: Inference) -> Value:
    """Mean distance between clips of one emotion (other seeds), over that between real clips (other songs).

    1: as different as real clips of that emotion; 0: all the same.
    """

    def spread(side: System, weights: Array) -> Array:
        chosen = [side.emotions == emotion for emotion in emotions]
        vectors = reference.space(side.vectors)
        found = np.stack([measures.mean_distance(vectors[of], side.songs[of], weights[:, of]) for of in chosen])
        present = np.isfinite(found)  # one artist may have all but one song of an emotion
        means = np.where(present, found, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        return np.where(present.any(axis=0), means, np.nan)

    real = reference.real
    if spread(real, ones(real.keys))[0] <= 0:
        raise MeasureError("real clips do not differ", expected="different songs of each emotion", got="equal vectors")
    without = LeaveOneOut(system.clusters, real.clusters)
    observed = spread(system, ones(system.keys)) / spread(real, ones(real.keys))
    replicates = spread(system, without.weights[0]) / spread(real, without.weights[1])
    return how.value(observed[0], replicates, without, len(system.keys), real.n_artists)


def music(system: System, reference: Reference, how: Inference) -> dict[str, Value]:
    """Each measure of musicality (mean over clips), its distance from the reference, and the mean distance.

    Distances are in standard deviations of the real clips: NAME_from_real with its sign (negative: less than real
    clips have), `music_distance` the mean over the measures without it. The reference itself has the means only.
    """
    without = LeaveOneOut(system.clusters, reference.real.clusters)
    counts = (len(system.keys), reference.real.n_artists)
    found, parts = {name: mean_value(system.music[name].to_numpy(dtype=float), system, how) for name in MEASURES}, []
    if system is reference.real:
        return found
    for name in MEASURES:
        sides = [side.music[name].to_numpy(dtype=float) for side in (system, reference.real)]
        found[f"{name}_from_real"] = Value.missing(len(system.keys), f"all real clips have the same {name}")
        if sides[1].std() > 1e-9:
            observed, replicates = (
                standardised(*sides, *weights) for weights in ((ones(sides[0]), ones(sides[1])), without.weights)
            )
            found[f"{name}_from_real"] = how.value(float(observed[0]), replicates, without, *counts)
            parts.append((abs(observed[0]), abs(replicates)))
    if parts:
        observed, replicates = (np.mean(of, axis=0) for of in zip(*parts, strict=True))
        found["music_distance"] = how.value(float(observed), replicates, without, *counts)
    return found


def standardised(made: Array, real: Array, made_weights: Array, real_weights: Array) -> Array:
    """Difference [draws] of two means over the standard deviation of the real side, under weights [draws, clips]."""
    mean = weighted_mean(real, real_weights)
    variance = weighted_mean(real**2, real_weights) - mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weighted_mean(made, made_weights) - mean) / np.sqrt(np.maximum(variance, 0))
