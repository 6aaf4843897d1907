"""Roughness of a sound from the beating of its partials: spectra -> **roughness** -> features."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_PARTIALS = 12


def strongest_partials(power: Array, frequency: Array) -> tuple[Array, Array]:
    """Frequencies (Hz) and amplitudes [frames, 12] of the strongest local maxima of each spectrum."""
    inner = power[:, 1:-1]
    peaks = np.where((inner > power[:, :-2]) & (inner >= power[:, 2:]), inner, 0.0)
    chosen = np.argpartition(-peaks, N_PARTIALS, axis=1)[:, :N_PARTIALS]
    amplitude = np.sqrt(np.take_along_axis(peaks, chosen, axis=1))
    return frequency[1:-1][chosen], amplitude


def roughness(power: Array, frequency: Array) -> Array:
    """Roughness [frames] of spectra [frames, bins] at `frequency` [bins] (Hz), 0 for a single partial.

    The sum over pairs of partials of Plomp and Levelt's dissonance curve in Sethares' form (1993), weighted
    by the product of amplitudes and divided by their squares' sum, so that level plays no part.
    """
    hz, amplitude = strongest_partials(power, frequency)
    low = np.minimum(hz[:, :, None], hz[:, None, :])
    apart = np.abs(hz[:, :, None] - hz[:, None, :]) * 0.24 / (0.0207 * low + 18.96)
    curve = np.exp(-3.51 * apart) - np.exp(-5.75 * apart)
    weight = amplitude[:, :, None] * amplitude[:, None, :]
    return (weight * curve).sum(axis=(1, 2)) / np.maximum((amplitude**2).sum(axis=1), 1e-12)
