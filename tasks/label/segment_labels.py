"""Labels of segments: songs' labels + per-second curves -> **segments' labels** -> dataset."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.label.annotations import AXES
from tasks.label.emotions import Plane, emotions_of

Array = NDArray[np.float64]
SEGMENT_COLUMNS = ["song_id", "segment", "valence", "arousal", "emotion", "provenance"]
MIN_COVERED = 0.5  # share of a segment that needs per-second values; with less, the song's label is safer


def label_segments(
    segments: pd.DataFrame, songs: pd.DataFrame, curves: dict[str, pd.DataFrame] | None, plane: Plane
) -> pd.DataFrame:
    """Values and class of each segment, and where they come from.

    With per-second curves for at least half of the segment: the song's rating plus the curve's mean in the
    segment minus its mean over the song, clipped to the scale. So the segments of a song agree with its label
    on average. A step on the curves' -1..1 is half a step on 0..1 (4 points of 1..9). Else the song's label.
    """
    columns = ["song_id", "valence", "arousal", "emotion", "crossed"]
    table = segments[["song_id", "segment", "start_seconds", "length_seconds"]].merge(
        songs[columns], on="song_id", how="left"
    )
    shifts = np.full((len(table), 2), np.nan)
    if curves is not None:
        shifts = np.stack([_shifts(table, curves[axis]) for axis in AXES], axis=1)
    crossed = table["crossed"].to_numpy(dtype=bool)
    shifts[crossed] = shifts[crossed][:, ::-1]  # a kept column of the other name still needs its own curve
    dynamic = ~np.isnan(shifts).any(axis=1) & table["valence"].notna().to_numpy()
    points = table[list(AXES)].to_numpy(dtype=float)
    points[dynamic] = np.round(np.clip(points[dynamic] + shifts[dynamic] / 2, 0, 1), 9)
    table[list(AXES)] = points
    words = emotions_of(points, plane)
    table["emotion"] = pd.Series(
        [word if moved else song for word, song, moved in zip(words, table["emotion"], dynamic, strict=True)],
        dtype=object,
    )
    table["emotion"] = table["emotion"].where(table["emotion"].notna(), None)
    table["provenance"] = np.where(dynamic, "dynamic", "song")
    return table[SEGMENT_COLUMNS].sort_values(["song_id", "segment"], ignore_index=True)


def _shifts(table: pd.DataFrame, curves: pd.DataFrame) -> Array:
    """[n]: mean of the curve inside each segment minus its mean over the song, NaN where unknown."""
    times = curves.columns.to_numpy(dtype=float)
    values = dict(zip(curves.index.tolist(), curves.to_numpy(dtype=float), strict=True))
    windows = zip(table["song_id"], table["start_seconds"], table["length_seconds"], strict=True)
    shifts = [
        window_shift(values[song], times, start, start + length) if song in values else math.nan
        for song, start, length in windows
    ]
    return np.array(shifts, dtype=float)


def window_shift(curve: Array, times: Array, start: float, stop: float) -> float:
    """Mean of a curve [T] at `times` (s) in start..stop minus its whole mean; NaN if it covers too little."""
    inside = (times >= start) & (times < stop)
    inside_values = curve[inside & ~np.isnan(curve)]
    step = float(np.median(np.diff(times))) if len(times) > 1 else stop - start
    if len(inside_values) == 0 or len(inside_values) * step < MIN_COVERED * (stop - start):
        return float("nan")
    return float(inside_values.mean() - np.nanmean(curve))
