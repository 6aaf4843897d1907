"""A point of the valence-arousal plane as a mixture of known emotions: labels -> **mixture** -> playground."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tasks.core.errors import ParameterError

Point = tuple[float, float]  # valence and arousal, 0..1


@dataclass(frozen=True)
class Mixture:
    """`share` (0..0.5] of `second`, the rest `first`; share 0 is `first` alone."""

    first: str
    second: str
    share: float

    @property
    def text(self) -> str:
        """For a person: `70 % sad, 30 % calm`."""
        if not self.share:
            return self.first
        return f"{100 * (1 - self.share):.0f} % {self.first}, {100 * self.share:.0f} % {self.second}"


def centres(songs: pd.DataFrame, emotions: Sequence[str]) -> dict[str, Point]:
    """Mean valence and arousal of the labelled songs of each of `emotions`; those without a song are left out."""
    means = songs[songs.status == "ok"].groupby("emotion")[["valence", "arousal"]].mean()
    return {name: (float(means.valence[name]), float(means.arousal[name])) for name in emotions if name in means.index}


def mixture_at(point: Point, known: Mapping[str, Point]) -> Mixture:
    """The two nearest emotions, weighed by the inverse of their distance; at a centre that emotion alone.

    Raises:
        ParameterError: no centre is known, or the point is outside of 0..1.
    """
    if not all(0 <= value <= 1 for value in point):
        raise ParameterError("outside of the plane", expected="valence and arousal in 0..1", got=point)
    if not known:
        raise ParameterError("no emotion has a place in the plane", todo="run the label stage, or choose an emotion")
    near = sorted((math.dist(point, centre), name) for name, centre in known.items())
    (first_distance, first), (second_distance, second) = near[0], near[min(1, len(near) - 1)]
    both = first_distance + second_distance
    return Mixture(first, second, first_distance / both if both > 0 and first != second else 0.0)
