"""Are valence and arousal swapped? ratings and curves -> **decision per part** -> labels.

In DEAM's file of songs 1 to 2000 the column `valence_mean` of the songs up to 1000 holds arousal and the other
way round. Each part of the user's own files is checked against the per-second curves of the same songs, which
raters drew on another occasion, one axis at a time; where the curves are missing, DEAM's published ratings are
known by their fingerprint.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.core.files import digest
from tasks.label.annotations import AXES, Annotations
from tasks.label.params import LabelParams

Decision = Literal["as named", "swapped", "undecided", "could not be checked"]
PART_SIZE = 1000  # each of DEAM's campaigns (2013, 2014, 2015) numbers its songs from a new thousand
# DEAM's published ratings of songs 2 to 1000, where they come without the per-second curves that prove the swap
# (with them: .956 and .950 crossed against .575 and .570, n = 744). A mended copy has another fingerprint.
KNOWN_SWAPPED = {"44f8f203611ebeb90f2e77a47d4e486a3219bedbcfb02a2c2a39e58c65a778a8"}
STANDARD_ERRORS = 3.0  # a difference within so many of its standard errors decides nothing


@dataclass(frozen=True)
class PartCheck:
    """What was found in one part.

    Attributes:
        part: first and last possible id.
        n_songs: songs with ratings. n_compared: those of them with both curves.
        correlations: "valence-arousal" is the column named valence against the mean curve of arousal.
        difference: mean correlation of equal names minus mean correlation of crossed names, -2..2.
        standard_errors: the difference in units of its standard error.
        reason: why it is undecided or could not be checked.
    """

    part: str
    n_songs: int
    n_compared: int
    correlations: dict[str, float]
    difference: float | None
    standard_errors: float | None
    verdict: Decision  # its key in report.json
    reason: str


def part_of(song_id: int) -> str:
    """The part of the data set that a song belongs to.

    >>> part_of(2), part_of(1000), part_of(1001), part_of(2058)
    ('1-1000', '1-1000', '1001-2000', '2001-3000')
    """
    first = (max(song_id, 1) - 1) // PART_SIZE * PART_SIZE + 1
    return f"{first}-{first + PART_SIZE - 1}"


def check_parts(annotations: Annotations, params: LabelParams) -> list[PartCheck]:
    """The decision for every part, ordered by id.

    A part is "swapped" when the crossed names correlate better than the equal ones, on average by
    `swap_margin` or more and by more than three standard errors; "as named" when it is the other way round;
    else "undecided". With fewer than `swap_min_songs` songs to compare it is not decided either.
    """
    ratings = annotations.ratings
    means = {axis: annotations.curves[axis].mean(axis=1) for axis in AXES}
    table = ratings.join(pd.DataFrame(means).dropna().add_suffix("_curve"), on="song_id")
    parts = table["song_id"].map(part_of)
    return [_check(part, table[parts == part], params) for part in parts.unique()]


def _check(part: str, songs: pd.DataFrame, params: LabelParams) -> PartCheck:
    compared = songs[songs["valence_curve"].notna()]
    n_songs, n_compared = len(songs), len(compared)
    if n_compared < params.swap_min_songs and fingerprint(songs) in KNOWN_SWAPPED:
        reason = "no curves here: known by their values as DEAM's published ratings, whose curves prove the swap"
        return PartCheck(part, n_songs, n_compared, {}, None, None, "swapped", reason)
    if n_compared < params.swap_min_songs:
        reason = f"only {n_compared} songs with per-second annotations, {params.swap_min_songs} needed"
        reason = reason if n_compared else "no per-second annotations of its songs"
        return PartCheck(part, n_songs, n_compared, {}, None, None, "could not be checked", reason)
    rated = compared[list(AXES)].to_numpy(dtype=float)
    drawn = compared[[f"{axis}_curve" for axis in AXES]].to_numpy(dtype=float)
    if (np.ptp(rated, axis=0) == 0).any() or (np.ptp(drawn, axis=0) == 0).any():
        return PartCheck(part, n_songs, n_compared, {}, None, None, "undecided", "an axis never changes")
    rated, drawn = standardised(rated), standardised(drawn)
    table = rated.T @ drawn / n_compared
    correlations = {f"{AXES[i]}-{AXES[j]}": round(float(table[i, j]), 6) for i, j in product(range(2), repeat=2)}
    difference, errors = difference_of(rated, drawn)
    decision, reason = _decide(difference, errors, params.swap_margin)
    return PartCheck(part, n_songs, n_compared, correlations, round(difference, 6), round(errors, 3), decision, reason)


def fingerprint(songs: pd.DataFrame) -> str:
    """Digest of song ids and ratings (3 decimals), whatever the layout of the file that held them."""
    columns = zip(songs["song_id"], songs["valence"], songs["arousal"], strict=True)
    return digest(
        [[int(song), round(float(valence), 3), round(float(arousal), 3)] for song, valence, arousal in columns]
    )


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns with mean 0 and standard deviation 1."""
    scaled: NDArray[np.float64] = (values - values.mean(axis=0)) / values.std(axis=0)
    return scaled


def difference_of(rated: NDArray[np.float64], drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Mean correlation of equal names minus that of crossed names, and the same in standard errors.

    With both [n, 2] standardised, sum of r(equal) - sum of r(crossed) = mean of (v - a)(v' - a') over the
    songs: each song votes by whether its two axes differ the same way in both, so the spread of the votes
    gives the standard error.
    """
    votes = (rated[:, 0] - rated[:, 1]) * (drawn[:, 0] - drawn[:, 1]) / 2
    error = float(votes.std(ddof=1)) / len(votes) ** 0.5
    return float(votes.mean()), float(votes.mean()) / max(error, 1e-12)


def _decide(difference: float, errors: float, margin: float) -> tuple[Decision, str]:
    if abs(difference) >= margin and abs(errors) > STANDARD_ERRORS:
        return ("as named" if difference > 0 else "swapped"), ""
    return "undecided", f"difference {difference:+.3f} ({errors:+.1f} standard errors) is too small"
