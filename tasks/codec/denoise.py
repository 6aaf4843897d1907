"""Noise out of generated images: generated pixels -> **cleaner pixels** -> waveform. Off unless asked for.

Two independent steps on the image, before any phase is chosen:
gate: what lies near the estimated noise floor is attenuated (spectral gating; Boll 1979 subtracts instead, which
leaves musical noise);
filter: a median, or non-local means (Buades, Coll and Morel 2005), against the grain that diffusion leaves.
Both also cost detail on clean images: `benchmarks/denoise.py` prints gain and cost.
"""

import numpy as np
from scipy import ndimage

from tasks.codec.params import DenoiseParams
from tasks.core.errors import ImageError

DECIBELS_PER_LEVEL = 80.0  # 20 log10(S) = 80 log10(level) for Riffusion's power of 0.25
FLOOR_QUANTILE = 0.02  # of a row's levels over time: music pauses, noise does not
FLOOR_ROWS = 1 / 8  # share of the rows over whose median a sustained tone is no floor
NEIGHBOURS = 5  # side of the square over which levels are averaged
MARGIN_DB, SLOPE_DB = 4.0, 1.5  # the gate is half open so far above the floor, and opens so fast
PATCH, SEARCH = 5, 9  # non-local means: side of the patches compared, side of the window searched
STRENGTH = 0.8  # of the filter, in units of the noise's standard deviation (Buades et al.: 0.75 to 1)


def denoise(pixels: np.ndarray, params: DenoiseParams) -> np.ndarray:
    """Pixels uint8 [H, W] of the same shape; white stays white and the loudest pixel stays.

    Raises:
        PictureError: not uint8 [H, W].
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ImageError("not an image", expected="uint8 [H, W]", got=(pixels.dtype, pixels.shape))
    level = (255 - pixels.astype(np.float32)) / 255
    if params.filter == "median":
        level = ndimage.median_filter(level, size=3)
    elif params.filter == "non_local":
        level = non_local_means(level, noise_deviation(level))
    if params.gate:
        level = gated(level, params.gate_db)
    return np.rint(255 - 255 * np.clip(level, 0, 1)).astype(np.uint8)


def noise_floor(smooth: np.ndarray) -> np.ndarray:
    """The level of steady broadband noise in each row, float32 [H, 1], of levels averaged over neighbours.

    A low quantile over time, then a median over neighbouring rows, which a steady tone does not survive.
    """
    quiet = np.quantile(smooth, FLOOR_QUANTILE, axis=1)
    rows = max(3, round(len(quiet) * FLOOR_ROWS) | 1)
    return ndimage.median_filter(quiet, size=rows, mode="nearest").astype(np.float32)[:, None]


def gated(level: np.ndarray, gate_db: float) -> np.ndarray:
    """Levels with what is near the noise floor attenuated by `gate_db`, smoothly in level, time and frequency.

    Compared with the floor is the average over a neighbourhood, because single points of noise scatter by
    more than 10 dB; lines and onsets lift the average around them and open the gate.
    """
    quietest = np.float32(1 / 255)
    smooth = ndimage.uniform_filter(level, size=NEIGHBOURS)
    above_db = DECIBELS_PER_LEVEL * np.log10(np.maximum(smooth, quietest) / np.maximum(noise_floor(smooth), quietest))
    openness = 1 / (1 + np.exp(np.clip((MARGIN_DB - above_db) / SLOPE_DB, -30, 30)))
    return level * 10 ** ((openness - 1) * gate_db / DECIBELS_PER_LEVEL)


def noise_deviation(level: np.ndarray) -> float:
    """Standard deviation of the grain, robust to structure: diagonal Haar details (Donoho and Johnstone 1994)."""
    height, width = (side // 2 * 2 for side in level.shape)
    even, odd = level[:height:2, :width], level[1:height:2, :width]
    details = 0.5 * (even[:, ::2] - even[:, 1::2] - odd[:, ::2] + odd[:, 1::2])
    return float(np.median(np.abs(details)) / 0.6745)


def non_local_means(level: np.ndarray, deviation: float) -> np.ndarray:
    """Each pixel as the mean of those near it whose surroundings look alike.

    Weights exp(-max(d^2 - 2 deviation^2, 0) / (STRENGTH deviation)^2) of the mean squared difference d^2 between
    patches; each shift of the search window is one box filter (Darbon et al. 2008).
    """
    if deviation <= 0:
        return level
    total, weights = level.copy(), np.ones_like(level)
    reach = SEARCH // 2
    padded = np.pad(level, reach, mode="reflect")
    height, width = level.shape
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down == right == 0:
                continue
            moved = padded[reach + down : reach + down + height, reach + right : reach + right + width]
            distance = ndimage.uniform_filter(np.square(moved - level), size=PATCH)
            excess = np.maximum(distance - np.float32(2 * deviation**2), 0)
            weight = np.exp(-excess / np.float32((STRENGTH * deviation) ** 2))
            total += weight * moved
            weights += weight
    return total / weights
