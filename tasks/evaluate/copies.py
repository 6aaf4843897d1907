"""Was a clip learnt by heart? Pictures of clips + of all training clips -> **nearest training clip** -> metrics."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluate import distances as measures
from tasks.evaluate.intervals import Array, Inference, LeaveOneOut, Value, weighted_mean
from tasks.evaluate.judge import Words
from tasks.evaluate.systems import System, mean_value

COPY_PERCENT = 1.0


@dataclass(frozen=True)
class TrainingPictures:
    """Every training picture, small (tasks.evaluate.clips): what a model could have learnt by heart."""

    keys: Words
    songs: NDArray[Any]
    thumbnails: Array


def copies(system: System, training: TrainingPictures, how: Inference) -> tuple[dict[str, Value], pd.DataFrame]:
    """Share of clips that look copied from a training clip, and each clip's nearest training clip.

    A copy is nearer to a training picture than 99 % of training pictures are to any other song's: music that is
    new gives a share of about 0.01. `distance_to_training` is the mean distance in units of the training
    pictures' median distance to another song. The table has the nearest training clip's key and that ratio.
    """
    apart = measures.distance_to_other_songs(training.thumbnails, training.songs)
    index, distance = measures.nearest(system.thumbnails, training.thumbnails)
    copied = (distance < np.percentile(apart, COPY_PERCENT)).astype(np.float64)
    ratio = distance / max(float(np.median(apart)), 1e-9)
    without = LeaveOneOut(system.clusters)
    share = how.share(copied.mean(), weighted_mean(copied, without.weights[0]), without, *system.counts)
    found = {"copies": share, "distance_to_training": mean_value(ratio, system, how)}
    return found, pd.DataFrame({"nearest": training.keys[index], "nearest_ratio": ratio})
