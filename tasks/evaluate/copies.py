"""Was a clip learnt by heart? Clips + all training songs -> **nearest training clip** -> metrics."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluate import fingerprints
from tasks.evaluate.distances import require_clips
from tasks.evaluate.fingerprints import FRAMES_PER_SECOND, Match, Prints
from tasks.evaluate.intervals import Array, Inference, LeaveOneOut, Value, weighted_mean
from tasks.evaluate.judge import Words
from tasks.evaluate.systems import System, mean_value

COPY_PERCENT = 1.0
LEAST = 0.55  # new music reaches .48 in benchmarks/copies.py, planted copies .65 to 1
EXAMINED = 600  # training clips that say how alike different songs are


@dataclass(frozen=True)
class TrainingSongs:
    """What a model could have learnt by heart: the fingerprint of every training song, and its clips.

    `keys`, `songs` (index into `prints`) and `starts` (s) are of every training clip.
    """

    prints: list[Prints]
    keys: Words
    songs: NDArray[np.intp]
    starts: Array


@dataclass(frozen=True)
class CopySearch:
    """Training songs, and how alike (-1..1) their clips are to other training songs."""

    training: TrainingSongs
    n_frames: int
    apart: Array

    @classmethod
    def of(cls, training: TrainingSongs, n_frames: int) -> "CopySearch":
        """A search for copies in clips of `n_frames`.

        Raises:
            MeasureError: one song only.
        """
        require_clips(len(training.prints), 2, "a search for copies (training songs)")
        frames = np.round(training.starts * FRAMES_PER_SECOND).astype(int)
        whole = [row for row, song in enumerate(training.songs) if frames[row] + n_frames <= len(training.prints[song])]
        rows = np.array(whole)[np.linspace(0, len(whole) - 1, min(EXAMINED, len(whole))).round().astype(int)]
        clips = np.stack([training.prints[training.songs[row]][frames[row] :][:n_frames] for row in rows])
        match = fingerprints.best_match(clips, training.prints, forbidden=training.songs[rows])
        return cls(training, n_frames, match.similarity)

    @property
    def threshold(self) -> float:
        """What 1 % of new clips would reach, by the training clips' similarity to other songs; at least LEAST.

        With few songs the highest similarities were not seen, so it is not less than the upper prediction limit of
        as many normal values as there are songs.
        """
        from scipy.stats import t

        n_songs = len(self.training.prints)
        reach = float(t.ppf(1 - COPY_PERCENT / 100, n_songs - 1)) * np.sqrt(1 + 1 / n_songs)
        limit = float(self.apart.mean() + reach * self.apart.std())
        return max(LEAST, limit, float(np.percentile(self.apart, 100 - COPY_PERCENT)))

    def match(self, prints: Prints) -> Match:
        """The best place of each clip among the training songs."""
        return fingerprints.best_match(prints[:, : self.n_frames], self.training.prints)

    def nearest_keys(self, match: Match) -> Words:
        """The training clip of the matched song that begins nearest to each match."""
        training, seconds = self.training, match.frame / FRAMES_PER_SECOND
        apart = np.abs(training.starts[None] - seconds[:, None])
        apart[training.songs[None] != match.song[:, None]] = np.inf
        return training.keys[apart.argmin(axis=1)]


def copies(system: System, search: CopySearch, how: Inference) -> tuple[dict[str, Value], pd.DataFrame]:
    """Share of clips that look copied from a training song, and each clip's nearest training clip.

    A copy is more alike to a training song than 99 % of training clips are to any other song, at whatever offset, a
    semitone up or down, and at any level: music that is new gives a share of about 0.01. `distance_to_training` is
    the mean of 1 - similarity, over what is usual between songs. The table has the nearest clip's key and that ratio.
    """
    match = search.match(system.prints)
    copied = (match.similarity > search.threshold).astype(np.float64)
    ratio = (1 - match.similarity) / max(float(np.median(1 - search.apart)), 1e-9)
    without = LeaveOneOut(system.clusters)
    share = how.share(copied.mean(), weighted_mean(copied, without.weights[0]), without, *system.counts)
    found = {"copies": share, "distance_to_training": mean_value(ratio, system, how)}
    return found, pd.DataFrame({"nearest": search.nearest_keys(match), "nearest_ratio": ratio})
