"""Images -> waveforms: laws, and the round trip against simpler methods."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from tasks.codec import forward, inversion, mel
from tasks.codec.image import RIFFUSION, SpectrogramImage
from tasks.codec.params import DecodeParams
from tasks.core.errors import ImageError

RATE = 44100
PGHI = DecodeParams(method="pghi", iterations=8)
STEREO = RIFFUSION.model_copy(update={"channel": "stereo"})


def chords(seconds: float, channels: int = 1) -> np.ndarray:
    """Plucked chords: float32 [C, N]."""
    time = np.arange(round(seconds * RATE)) / RATE
    partials = [np.sin(2 * np.pi * f * time) / n for f in (196, 247, 294) for n, f in enumerate((f, 2 * f, 3 * f), 1)]
    sound = 0.1 * np.sum(partials, axis=0) * np.exp(-4 * (time % 0.5))
    return np.stack([sound * (1 - 0.5 * c) for c in range(channels)]).astype(np.float32)


def round_trip_error_db(image: SpectrogramImage, waveform: np.ndarray) -> float:
    """Mel error of the waveform against the image, relative, in dB."""
    again = forward.encode(waveform, RATE, image.params)
    before, after = forward.mels_from_image(image), forward.mels_from_image(again)
    return float(20 * np.log10(np.linalg.norm(after - before) / np.linalg.norm(before)))


def test_what_is_decoded_encodes_to_the_same_image() -> None:
    image = forward.encode(chords(2.0), RATE, RIFFUSION)
    waveform = inversion.waveform_from_image(image, PGHI, seed=1)
    assert waveform.shape == (1, 200 * 441)
    assert waveform.dtype == np.float32
    assert round_trip_error_db(image, waveform) < -18


def test_gradients_beat_random_phases() -> None:
    image = forward.encode(chords(2.0), RATE, RIFFUSION)
    errors = [
        round_trip_error_db(image, inversion.waveform_from_image(image, decode, seed=1))
        for decode in (PGHI, DecodeParams(method="griffin_lim", iterations=8))
    ]
    assert errors[0] < errors[1] - 3


def test_the_seed_decides() -> None:
    image = forward.encode(chords(0.5), RATE, RIFFUSION)
    decode = DecodeParams(method="griffin_lim", iterations=2)
    first, same, other = (inversion.waveform_from_image(image, decode, seed) for seed in (1, 1, 2))
    assert (first == same).all()
    assert (first != other).any()


def test_a_stationary_tone_keeps_its_frequency_and_level() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)[None].astype(np.float32)
    image = forward.encode(tone, RATE, RIFFUSION)
    made = inversion.waveform_from_image(image, PGHI, seed=1)[0, 10000:-10000]
    frequencies, power = signal.periodogram(made, RATE)
    assert frequencies[power.argmax()] == pytest.approx(1000, abs=6)  # bands are 6 Hz apart there
    assert np.std(made) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_silence_stays_silent() -> None:
    image = forward.encode(np.zeros((1, RATE), np.float32), RATE, RIFFUSION)
    assert not inversion.waveform_from_image(image, PGHI, seed=1).any()


def test_loud_images_are_scaled_below_full_scale() -> None:
    image = forward.encode(chords(0.5), RATE, RIFFUSION)
    loud = SpectrogramImage(image.pixels, 1e9, None, RIFFUSION)
    assert np.abs(inversion.waveform_from_image(loud, PGHI, seed=1)).max() == pytest.approx(inversion.PEAK)


def test_stereo_keeps_its_sides() -> None:
    waveform = chords(1.0, channels=2)
    image = forward.encode(waveform, RATE, STEREO)
    made = inversion.waveform_from_image(image, PGHI, seed=1)
    assert np.std(made[0]) / np.std(made[1]) == pytest.approx(2, rel=0.1)


def test_a_shrunken_image_is_decoded_at_full_length() -> None:
    image = forward.encode(chords(2.0), RATE, RIFFUSION)
    small = forward.resized(image, 128, 128)
    assert inversion.waveform_from_image(small, PGHI, seed=1).shape == (1, 200 * 441)


def test_log_mel_images_are_decoded_too() -> None:
    params = RIFFUSION.model_copy(update={"form": "log_mel", "padded_ms": 100, "n_mels": 128})
    image = forward.encode(chords(2.0), RATE, params)
    waveform = inversion.waveform_from_image(image, PGHI, seed=1)
    assert np.std(waveform) == pytest.approx(np.std(chords(2.0)), rel=0.2)


@pytest.mark.parametrize(
    "changes",
    [
        {"sample_rate_hz": 48000},
        {"sample_rate_hz": 16000, "max_hz": 8000},
        {"sample_rate_hz": 22050, "step_ms": 20, "window_ms": 60, "padded_ms": 60, "n_mels": 80},  # an odd window
        {"step_ms": 20, "window_ms": 70, "padded_ms": 170, "n_mels": 64},  # coarse bins between fine ones
        {"max_hz": 22050, "n_mels": 256},
        {"n_mels": 2048},  # bands without a bin
    ],
)
def test_other_parameters_come_back_too(changes: dict[str, int]) -> None:
    params = type(RIFFUSION).model_validate(RIFFUSION.model_dump() | changes)
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)[None].astype(np.float32)
    image = forward.encode(tone, RATE, params)
    made = inversion.waveform_from_image(image, PGHI, seed=1)
    again = forward.encode(made, params.sample_rate_hz, params)
    assert again.pixels.shape == image.pixels.shape
    assert np.abs(again.pixels.astype(int) - image.pixels).mean() < 10


def test_a_strip_is_no_image() -> None:
    with pytest.raises(ImageError):
        inversion.waveform_from_image(
            SpectrogramImage(np.zeros((512, 1), np.uint8), 1.0, None, RIFFUSION), PGHI, seed=1
        )


def test_the_gram_matrix_is_tridiagonal() -> None:
    bank = mel.bank_of(RIFFUSION)
    full = bank.dense() @ bank.dense().T
    bands = inversion.gram_diagonals(bank)
    rebuilt = np.diag(bands[1]) + np.diag(bands[0, 1:], 1) + np.diag(bands[0, 1:], -1)
    assert np.allclose(rebuilt, full, atol=2e-6 * full.max())


def test_magnitudes_are_the_least_squares_solution() -> None:
    params = RIFFUSION.model_copy(update={"padded_ms": 100, "n_mels": 64})
    matrix = mel.bank_of(params).dense()
    spectrum = np.abs(np.random.default_rng(0).standard_normal((3, matrix.shape[1])))
    mels = (spectrum @ matrix.T).astype(np.float32)
    expected = np.maximum(np.linalg.lstsq(matrix, mels.T.astype(float), rcond=None)[0].T, 0) * 20000 / RATE
    made = inversion.magnitudes_from_mels(mels, params)
    assert np.allclose(made[:, : matrix.shape[1]], expected, atol=1e-3)


@given(st.integers(2, 40))
@settings(max_examples=15, deadline=None)
def test_istft_undoes_stft(n_frames: int) -> None:
    grid = inversion.coarse_grid(RIFFUSION)
    samples = np.random.default_rng(0).standard_normal((n_frames - 1) * grid.hop).astype(np.float32)
    assert (grid.rate_hz, grid.hop, grid.window) == (20000, 200, 2000)
    assert np.allclose(inversion.istft(inversion.stft(samples, grid), grid), samples, atol=1e-4)


@pytest.mark.parametrize("params", [RIFFUSION, STEREO])
def test_joined_tiles_are_the_image(params) -> None:
    image = forward.encode(chords(10.0, channels=2), RATE, params)
    joined = inversion.join_tiles(forward.tiles(image, params))
    assert (joined.pixels == image.pixels).all()
    assert joined.columns == 1001


def test_tiles_of_other_maxima_are_brought_to_one_level() -> None:
    waveform = chords(2.0)
    waveform[:, RATE:] *= 0.25
    whole = forward.encode(waveform, RATE, RIFFUSION)
    quiet = forward.encode(waveform[:, 110 * 441 :], RATE, RIFFUSION)
    loud = SpectrogramImage(whole.pixels[:, :120], whole.max_value, None, RIFFUSION)
    joined = inversion.join_tiles([replace(quiet, first_column=110), replace(loud, n_columns=120)])
    assert joined.pixels.shape == whole.pixels.shape
    assert np.abs(joined.pixels[:, 130:].astype(int) - whole.pixels[:, 130:]).max() <= 2


def test_a_gap_between_tiles_is_an_error() -> None:
    tile = SpectrogramImage(np.zeros((512, 20), np.uint8), 1.0, None, RIFFUSION, 20)
    with pytest.raises(ImageError, match="gap"):
        inversion.join_tiles([tile, replace(tile, first_column=30)])


def test_images_that_are_not_the_tiles_of_one_spectrogram_are_an_error() -> None:
    tile = SpectrogramImage(np.zeros((512, 20), np.uint8), 1.0, None, RIFFUSION, 20)
    with pytest.raises(ImageError, match="not the tiles of one spectrogram"):
        inversion.join_tiles([tile, tile])
    other = SpectrogramImage(tile.pixels, 1.0, None, RIFFUSION.model_copy(update={"step_ms": 20}), 20, first_column=10)
    with pytest.raises(ImageError, match="different spectrograms"):
        inversion.join_tiles([tile, other])


def test_real_music_survives(real_data) -> None:
    waveform, rate = soundfile.read(real_data / "deam" / "MEMD_audio" / "4.mp3", always_2d=True, dtype="float32")
    image = forward.encode(waveform.T[:, 20 * rate : 20 * rate + 511 * 441], rate, RIFFUSION)
    assert round_trip_error_db(image, inversion.waveform_from_image(image, PGHI, seed=1)) < -20
