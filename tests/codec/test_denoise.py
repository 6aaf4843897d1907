"""Noise out of images: what it gains on known noise, what it costs on clean images."""

import numpy as np
import pytest

from tasks.codec import denoise
from tasks.codec.params import DenoiseParams
from tasks.core.errors import ImageError

OFF = DenoiseParams(gate=False, gate_db=6.0, filter="none")
GATE = DenoiseParams(gate=True, gate_db=6.0, filter="none")
MEDIAN = DenoiseParams(gate=False, gate_db=6.0, filter="median")
NON_LOCAL = DenoiseParams(gate=False, gate_db=6.0, filter="non_local")


def music() -> np.ndarray:
    """Decaying harmonics on a quiet, sloping ground: uint8 [128, 128]."""
    row, column = np.mgrid[:128, :128]
    level = 0.05 + 0.1 * row / 128
    for partial in (20, 45, 63, 76, 86, 94):
        level += 0.8 * np.exp(-(((127 - row - partial) / 1.5) ** 2)) * np.exp(-(column % 32) / 20)
    return np.rint(255 - 255 * np.clip(level, 0, 1)).astype(np.uint8)


def with_grain(pixels: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def with_haze(pixels: np.ndarray, level_db: float) -> np.ndarray:
    """Steady broadband noise under the music, added in magnitudes."""
    magnitudes = ((255 - pixels.astype(float)) / 255) ** 4
    noise = np.random.default_rng(0).rayleigh(0.8, pixels.shape) * 10 ** (level_db / 20)
    return (255 - 255 * np.minimum(np.hypot(magnitudes, noise), 1) ** 0.25).astype(np.uint8)


def distance_db(first: np.ndarray, second: np.ndarray) -> float:
    """Log-spectral distance of two images."""
    levels = [80 * np.log10(np.maximum(255 - pixels.astype(float), 4) / 255) for pixels in (first, second)]
    return float(np.sqrt(np.square(levels[0] - levels[1]).mean(axis=0)).mean())


@pytest.mark.parametrize(("params", "gain"), [(MEDIAN, 0.6), (NON_LOCAL, 0.6)])
def test_filters_take_grain_away(params: DenoiseParams, gain: float) -> None:
    clean, noisy = music(), with_grain(music(), 12)
    assert distance_db(denoise.denoise(noisy, params), clean) < gain * distance_db(noisy, clean)


def test_the_gate_takes_haze_away() -> None:
    clean, noisy = music(), with_haze(music(), -45)
    assert distance_db(denoise.denoise(noisy, GATE), clean) < distance_db(noisy, clean) - 2


@pytest.mark.parametrize(("params", "cost_db"), [(OFF, 0.0), (NON_LOCAL, 0.5), (GATE, 6.0)])
def test_clean_images_pay_little(params: DenoiseParams, cost_db: float) -> None:
    assert distance_db(denoise.denoise(music(), params), music()) <= cost_db


def test_the_gate_only_attenuates_and_only_so_much() -> None:
    before = music()
    after = denoise.denoise(before, GATE)
    assert (after >= before).all()
    assert np.allclose((255.0 - after).min() / (255.0 - before).min(), 10 ** (-6 / 80), atol=0.15)


def test_a_steady_tone_is_no_noise_floor() -> None:
    level = np.full((128, 100), 0.1, np.float32)
    level[60:63] = 0.9
    assert denoise.noise_floor(level).max() == pytest.approx(0.1)


@pytest.mark.parametrize("deviation", [4.0, 10.0])
def test_the_grain_is_measured(deviation: float) -> None:
    noisy = with_grain(np.full((256, 256), 128, np.uint8), deviation)
    assert 255 * denoise.noise_deviation(noisy / 255) == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize("params", [GATE, MEDIAN, NON_LOCAL])
def test_white_stays_white(params: DenoiseParams) -> None:
    white = np.full((64, 64), 255, np.uint8)
    assert (denoise.denoise(white, params) == 255).all()


def test_floats_are_refused() -> None:
    with pytest.raises(ImageError):
        denoise.denoise(np.zeros((8, 8)), OFF)
