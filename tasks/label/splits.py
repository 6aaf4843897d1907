"""Train, validation and test by artist: artists and classes -> **split of each song** -> labels.

Where a song goes depends on its artist, the seed and a salt, through a hash, and on nothing else. So all songs
of an artist stay together, and a song more or less moves no other. A hash alone cannot balance the classes;
what it leaves free is the salt. `salt: null` takes the first salt whose split is as balanced as any of the
first hundred, in steps of `tolerance`: in a large data set that is salt 0 whatever is added, in a small one a
changed song may change the choice, and the salt that was found can be written into the params to fix it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.errors import ParameterError
from tasks.core.files import seed_from
from tasks.label.params import SplitParams

SPLITS = ("train", "validation", "test")
N_SALTS = 100


@dataclass(frozen=True)
class Split:
    """The split of each song, the salt that made it, and how far a class's share is off at most (0..1)."""

    names: list[str]
    salt: int
    imbalance: float


def split_of(artist: str, params: SplitParams, seed: int, salt: int) -> str:
    """The split of all songs of an artist."""
    place = seed_from(seed, "split", salt, artist) / 2**32
    if place < params.test:
        return "test"
    return "validation" if place < params.test + params.validation else "train"


def split_by_artist(artists: Sequence[str], emotions: Sequence[str | None], params: SplitParams, seed: int) -> Split:
    """A split for each song; `emotions` are the classes to balance, None counts for nothing.

    Raises:
        ParameterError: the fixed salt leaves a split empty, and another would not.
    """
    if params.salt is None:
        return first_balanced(artists, emotions, params, seed)
    split = _split(artists, emotions, params, seed, params.salt)
    if split.imbalance == 1 and (better := first_balanced(artists, emotions, params, seed)).imbalance < 1:
        raise ParameterError(
            "a split without songs",
            where="label.split.salt",
            expected="songs in train, validation and test",
            got=f"salt {params.salt}: {_sizes(split)}",
            todo=f"set it to {better.salt} ({_sizes(better)}), or to null, which finds such a salt by itself",
        )
    return split


def first_balanced(artists: Sequence[str], emotions: Sequence[str | None], params: SplitParams, seed: int) -> Split:
    """The first salt of `N_SALTS` whose imbalance needs as few steps of `tolerance` as any of them."""
    best = _split(artists, emotions, params, seed, 0)
    for salt in range(1, N_SALTS):
        if _steps(best, params) <= 1:
            break
        split = _split(artists, emotions, params, seed, salt)
        if _steps(split, params) < _steps(best, params):
            best = split
    return best


def _split(artists: Sequence[str], emotions: Sequence[str | None], params: SplitParams, seed: int, salt: int) -> Split:
    place = {artist: split_of(artist, params, seed, salt) for artist in set(artists)}
    names = [place[artist] for artist in artists]
    return Split(names, salt, imbalance(names, emotions, params))


def _sizes(split: Split) -> str:
    return ", ".join(f"{name} {split.names.count(name)}" for name in SPLITS)


def _steps(split: Split, params: SplitParams) -> int:
    return math.ceil(split.imbalance / params.tolerance - 1e-9)


def imbalance(names: Sequence[str], emotions: Sequence[str | None], params: SplitParams) -> float:
    """The largest difference between a class's share in a split and the share asked for; 1: a split is empty."""
    labelled = [(name, word) for name, word in zip(names, emotions, strict=True) if isinstance(word, str)]
    classes = {word: row for row, word in enumerate(sorted({word for _, word in labelled}))}
    counts = np.zeros((len(classes), len(SPLITS)))
    for name, word in labelled:
        counts[classes[word], SPLITS.index(name)] += 1
    wanted = np.array([1 - params.validation - params.test, params.validation, params.test])
    if (counts.sum(axis=0)[wanted > 0] == 0).any():
        return 1.0
    shares = counts / counts.sum(axis=1, keepdims=True)
    return round(float(np.abs(shares - wanted).max()), 9)
