"""Is it music? Numbers that coloured noise does not reach: clip -> **musicality** -> distance from real clips.

A blurred picture sounds like a band of noise that swells: it may have a song's colour, level and beat, but no pitch
that stands out, no notes that change, no sudden beginnings. What is measured here needs those. Everything is taken
from one spectrogram of the clip as tasks.evaluate.features prepares it (mono, 22 050 Hz, equal energy), in decibels
over the spectrum's own surroundings, so that colour and loudness play no part.
"""

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate import features
from tasks.evaluate.features import FRAMES_PER_SECOND, SAMPLE_RATE_HZ, Array

WINDOW = 4096  # 186 ms
HOP = 1024  # 46 ms
NEAR = 3  # frames averaged, 279 ms: a tone stays where it is, noise does not
LOWEST, HIGHEST = 45, 96  # MIDI: 110 Hz to 2.1 kHz
N_HARMONICS = 4
SURROUNDINGS = 0.5  # octaves: what a peak stands out of
MOST_DB = 30.0
CLEAR_DB = 12.0  # of a note
NOTE_FRAMES = 3  # 139 ms: no note is shorter
RISE_DB = 3.0  # of an onset, mean over bands, above what is usual around it
ONSET_WINDOW = 512  # 23 ms
APART = 3  # frames of 23 ms between onsets

MEASURES = (
    "harmonicity_db",
    "notes_per_second",
    "pitch_spread_semitones",
    "onsets_per_second",
    "onset_regularity",
    "spectral_contrast_db",
    "spectral_flatness_db",
)


def measure(waveform: NDArray[np.floating], sample_rate_hz: int, described: dict[str, float]) -> dict[str, float]:
    """MEASURES of one clip ([samples] or [channels, samples]); `described` are its features.

    - harmonicity_db: how far the harmonics of the strongest pitch stand out of their surroundings, mean over time
    - notes_per_second: stretches of at least 139 ms in which one clear pitch is the strongest
    - pitch_spread_semitones: standard deviation of these notes, 0 for fewer than two
    - onsets_per_second: sudden rises of the spectrum
    - onset_regularity: 0..1, how much the onsets repeat at an even pace
    - spectral_contrast_db: peaks against valleys, mean over six regions (Jiang 2002)
    - spectral_flatness_db: geometric over arithmetic mean of the spectrum; 0 is white noise

    Raises:
        AudioError: as tasks.evaluate.features.describe.
    """
    samples = features.prepare(waveform, sample_rate_hz)
    seconds = len(samples) / SAMPLE_RATE_HZ
    salience = pitch_salience(samples)
    notes = melody(salience)
    strength = onset_strength(samples)
    onsets = onset_frames(strength)
    contrast = [value for name, value in described.items() if name.startswith("timbre_contrast")]
    return {
        "harmonicity_db": float(salience.max(axis=1).mean()),
        "notes_per_second": len(notes) / seconds,
        "pitch_spread_semitones": float(np.std(notes)) if len(notes) else 0.0,
        "onsets_per_second": len(onsets) / seconds,
        "onset_regularity": regularity(onsets, len(strength)),
        "spectral_contrast_db": float(np.mean(contrast)),
        "spectral_flatness_db": described["timbre_flatness_db"],
    }


def pitch_salience(samples: Array) -> Array:
    """Salience (dB, 0 to 30) [frames, pitches from MIDI 45 to 96]: mean over four harmonics of their prominence.

    A harmonic that is missing counts as 0, so noise, whose bins stand out singly, has little.
    """
    prominence = prominence_db(samples)
    picked = np.stack([prominence[:, bins].max(axis=2) for bins in harmonic_bins()])
    fundamental = picked[0]
    return np.minimum(picked.mean(axis=0), fundamental + 6.0)


def prominence_db(samples: Array) -> Array:
    """How far each bin stands out of the half octave around it (dB, 0 to 30) [frames, bins]."""
    power = features.power_spectra(samples, WINDOW, HOP).astype(np.float64) + features.FLOOR
    sums = np.cumsum(np.pad(power, ((NEAR, 0), (0, 0))), axis=0)
    steady = (sums[NEAR:] - sums[:-NEAR])[NEAR - 1 :] / NEAR
    level = 10 * np.log10(steady)
    low, high = surroundings()
    running = np.pad(np.cumsum(level, axis=1), ((0, 0), (1, 0)))
    around = (running[:, high] - running[:, low]) / (high - low)
    return np.clip(level - around, 0, MOST_DB)


@cache
def surroundings() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last bin (exclusive) of a quarter octave to each side, at least 8 bins, of every bin."""
    bins = np.arange(WINDOW // 2 + 1)
    reach = np.maximum(8, (bins * (2 ** (SURROUNDINGS / 2) - 1)).astype(int))
    return np.maximum(0, bins - reach), np.minimum(len(bins), bins + reach + 1)


@cache
def harmonic_bins() -> NDArray[np.intp]:
    """Bins [harmonics, pitches, 3] at the first four harmonics of every semitone, nearest and both beside it."""
    hz = 440 * 2 ** ((np.arange(LOWEST, HIGHEST + 1) - 69) / 12)
    centre = np.round(np.arange(1, N_HARMONICS + 1)[:, None] * hz[None] * WINDOW / SAMPLE_RATE_HZ).astype(int)
    return centre[:, :, None] + np.array([-1, 0, 1])


def melody(salience: Array) -> NDArray[np.intp]:
    """MIDI numbers of the notes: stretches in which the same clear pitch is the strongest."""
    strongest = np.where(salience.max(axis=1) >= CLEAR_DB, salience.argmax(axis=1) + LOWEST, 0)
    edges = np.flatnonzero(np.diff(strongest)) + 1
    stretches = pairwise([0, *edges, len(strongest)])
    return np.array([strongest[start] for start, end in stretches if end - start >= NOTE_FRAMES and strongest[start]])


def onset_strength(samples: Array) -> Array:
    """Mean rise (dB) over 40 mel bands from two frames before, every 23 ms [frames]."""
    level = features.decibels(features.power_spectra(samples, features.WINDOW, ONSET_WINDOW) @ features.mel_filters())
    return np.pad(np.maximum(0, level[2:] - level[:-2]).mean(axis=1), (2, 0))


def onset_frames(strength: Array) -> NDArray[np.intp]:
    """Frames of peaks of the onset strength that stand at least 3 dB out of the second around them."""
    from scipy.ndimage import maximum_filter1d, median_filter

    usual = median_filter(strength, size=2 * int(FRAMES_PER_SECOND / 2) + 1, mode="nearest")
    peak = (strength == maximum_filter1d(strength, 2 * APART + 1)) & (strength > usual + RISE_DB)
    found = np.flatnonzero(peak)
    return found[np.diff(found, prepend=-APART - 1) > APART]


def regularity(onsets: NDArray[np.intp], n_frames: int) -> float:
    """Share 0..1 of the onsets that another follows after the period that fits most; 0 for fewer than four onsets.

    Periods of 0.2 to 1.5 s are tried, a frame too early or too late counts.
    """
    if len(onsets) < 4:
        return 0.0
    later = np.arange(int(0.2 * FRAMES_PER_SECOND), int(1.5 * FRAMES_PER_SECOND))
    gaps = onsets[None] - onsets[:, None]
    could = np.array([(onsets + lag < n_frames).sum() for lag in later])
    does = np.array([(np.abs(gaps - lag) <= 1).any(axis=1).sum() for lag in later])
    return float(np.max(np.where(could >= 3, does / np.maximum(could, 1), 0)))
