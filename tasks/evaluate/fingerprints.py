"""What stays of music when it is moved in time, pitch or level: waveform -> **fingerprint** -> search for copies.

A fingerprint is a spectrogram on a musical scale, two bins per semitone, eleven frames per second. A copy that begins
later lies further along the frames, one a semitone higher lies two bins up, a louder one is a multiple. So a clip is
laid over a song at every offset and a few shifts, and the best correlation says how alike they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate import features
from tasks.evaluate.features import SAMPLE_RATE_HZ

Prints = NDArray[np.float32]

WINDOW = 4096  # 186 ms
HOP = 2048  # 93 ms
BINS_PER_OCTAVE = 24
LOWEST_HZ, N_OCTAVES = 110.0, 6
SHIFTS = (-2, -1, 0, 1, 2)  # bins: a semitone down to a semitone up
MOST = max(SHIFTS)
STRETCH = 512  # frames of a song that are searched at once, 48 s
CLIPS_AT_ONCE, STRETCHES_AT_ONCE = 256, 16
FRAMES_PER_SECOND = SAMPLE_RATE_HZ / HOP


def fingerprint(waveform: NDArray[np.floating], sample_rate_hz: int) -> Prints:
    """Fingerprint [frames, 144 bins from 110 Hz to 7 kHz] of a waveform ([samples] or [channels, samples]).

    Fourth roots of power, as in the codec's pictures: quiet notes count, the noise floor does not.

    Raises:
        AudioError: as tasks.evaluate.features.prepare.
    """
    power = features.power_spectra(features.prepare(waveform, sample_rate_hz), WINDOW, HOP)
    return ((power @ filters()) ** 0.25).astype(np.float32)


@cache
def filters() -> NDArray[np.float32]:
    """Triangles [bins of the spectrum, 144], a semitone wide to each side, at least two bins of the spectrum."""
    centre = LOWEST_HZ * 2 ** (np.arange(N_OCTAVES * BINS_PER_OCTAVE) / BINS_PER_OCTAVE)
    reach = np.maximum(centre * (2 ** (1 / 12) - 1), 2 * SAMPLE_RATE_HZ / WINDOW)
    distance = np.abs(features.bin_hz(WINDOW)[:, None] - centre) / reach
    return np.maximum(0, 1 - distance).astype(np.float32)


@dataclass(frozen=True)
class Match:
    """The best place of each clip among songs: similarity (-1..1), the song's index, and its frame there."""

    similarity: NDArray[np.float64]
    song: NDArray[np.intp]
    frame: NDArray[np.intp]


def best_match(clips: Prints, songs: list[Prints], forbidden: NDArray[np.intp] | None = None) -> Match:
    """The best place of every clip [clips, frames, bins] in songs [frames, bins]; songs shorter than a clip have none.

    `forbidden` [clips] is the index of a song that a clip is not compared with.
    """
    found = [
        _best_of_some(clips[start : start + CLIPS_AT_ONCE], songs, _part(forbidden, start))
        for start in range(0, len(clips), CLIPS_AT_ONCE)
    ]
    return Match(*(np.concatenate([getattr(part, name) for part in found]) for name in ("similarity", "song", "frame")))


def _part(forbidden: NDArray[np.intp] | None, start: int) -> NDArray[np.intp] | None:
    return None if forbidden is None else forbidden[start : start + CLIPS_AT_ONCE]


def _best_of_some(clips: Prints, songs: list[Prints], forbidden: NDArray[np.intp] | None) -> Match:
    import scipy.fft

    n_frames = clips.shape[1]
    middle = clips[:, :, MOST:-MOST]
    middle = middle - middle.mean(axis=1, keepdims=True)
    size = np.sqrt((middle**2).sum(axis=(1, 2))) + 1e-6
    spectra = scipy.fft.rfft(middle / size[:, None, None], STRETCH, axis=1).conj().transpose(1, 2, 0)
    best = Match(np.full(len(clips), -1.0), np.zeros(len(clips), np.intp), np.zeros(len(clips), np.intp))
    for owners, starts, stretches in _stretches(songs, n_frames):
        alike = _correlations(spectra, stretches, n_frames)  # [offsets, stretches, clips]
        if forbidden is not None:
            alike[:, owners[:, None] == forbidden[None]] = -1.0
        offsets, rows = np.divmod(alike.reshape(-1, len(clips)).argmax(axis=0), len(owners))
        top = alike[offsets, rows, np.arange(len(clips))]
        better = top > best.similarity
        best.similarity[better] = top[better]
        best.song[better] = owners[rows][better]
        best.frame[better] = (starts[rows] + offsets)[better]
    return best


def _stretches(songs: list[Prints], n_frames: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], Prints]]:
    """Owners, first frames and fingerprints [stretches, STRETCH, bins] of overlapping stretches; NaN after the end."""
    step = STRETCH - n_frames + 1
    places = [(owner, start) for owner, song in enumerate(songs) for start in range(0, len(song) - n_frames + 1, step)]
    for first in range(0, len(places), STRETCHES_AT_ONCE):
        some = places[first : first + STRETCHES_AT_ONCE]
        filled = np.full((len(some), STRETCH, N_OCTAVES * BINS_PER_OCTAVE), np.nan, np.float32)
        for row, (owner, start) in enumerate(some):
            part = songs[owner][start : start + STRETCH]
            filled[row, : len(part)] = part
        owners, starts = np.array(some, dtype=np.intp).T
        yield owners, starts, filled


def _correlations(spectra: NDArray[np.complex64], stretches: Prints, n_frames: int) -> NDArray[np.float32]:
    """Correlation [offsets, stretches, clips] of clips with stretches, the highest of all shifts; -1 past the end.

    Each bin's own mean is taken off on both sides, so that timbre and level are not compared, only what happens.
    """
    import scipy.fft

    ended = np.isnan(stretches[:, n_frames - 1 :, 0]).T[:, :, None]
    known = np.nan_to_num(stretches)
    sums, squares = (_window_sums(values, n_frames) for values in (known, known.astype(np.float64) ** 2))
    spread = squares - sums**2 / n_frames  # [stretches, offsets, bins]
    turned = scipy.fft.rfft(known, axis=1).transpose(1, 0, 2)
    n_bins = stretches.shape[2]
    best = np.full((ended.shape[0], len(stretches), spectra.shape[2]), np.float32(-1))
    for shift in SHIFTS:
        kept = slice(MOST + shift, n_bins - MOST + shift)
        size = np.sqrt(np.maximum(spread[:, :, kept].sum(axis=2), 1e-6)).T[:, :, None]
        crossed = scipy.fft.irfft(turned[:, :, kept] @ spectra, STRETCH, axis=0)[: len(ended)]
        best = np.maximum(best, (crossed / size).astype(np.float32))
    return np.where(ended, np.float32(-1), best)


def _window_sums(values: NDArray[np.floating], n_frames: int) -> NDArray[np.float64]:
    """Sums over every `n_frames` consecutive frames [stretches, offsets, bins]."""
    running = np.pad(np.cumsum(values, axis=1, dtype=np.float64), ((0, 0), (1, 0), (0, 0)))
    return running[:, n_frames:] - running[:, :-n_frames]
