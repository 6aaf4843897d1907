"""Waveforms to images, pixel for pixel as Riffusion makes them: wav + segments -> **spectrograms** -> dataset.

STFT -> magnitudes -> mels -> power 0.25 (or dB) -> 8 bits. The format was read from the public Riffusion code
(Forsgren and Martiros, 2022). `tasks.codec.inversion` is the way back, `tasks.codec.image` the file format.
"""

from collections.abc import Iterator

import numpy as np
from scipy import fft

from tasks.audio.loudness import loudness
from tasks.codec import mel
from tasks.codec.image import RIFFUSION, SpectrogramImage, load, resized, save, tiles
from tasks.codec.params import SpectrogramParams
from tasks.core.errors import AudioError

__all__ = ["RIFFUSION", "SpectrogramImage", "encode", "load", "resized", "save", "tiles"]

BLOCK_FRAMES = 16  # frames transformed at once: 16 x 17,640 float32 stay in the second-level cache


def encode(waveform: np.ndarray, sample_rate_hz: int, params: SpectrogramParams) -> SpectrogramImage:
    """The image of a waveform, 1 + floor(N / hop) columns, with N counted at the parameters' rate.

    Args:
        waveform: float32 [C, N], C of 1 or 2, -1..1. It is rounded to int16 first, as Riffusion reads it: exact
            for 16-bit files.
        sample_rate_hz: resampled (soxr) when it is not the parameters' rate.
        params: form, sizes, channel.

    Raises:
        AudioError: not [C, N], NaN or infinity, shorter than one window.
    """
    samples = int16_samples(waveform, sample_rate_hz, params.sample_rate_hz)
    channels = choose_channel(samples, params.channel)
    window = sizes(params)[1]
    if channels.shape[1] < window:
        raise AudioError(
            "waveform too short for a spectrogram",
            expected=f"at least one window ({params.window_ms} ms)",
            got=f"{1000 * channels.shape[1] / params.sample_rate_hz:.1f} ms",
        )
    mels = np.stack([mels_from_samples(channel, params) for channel in channels])
    pixels, max_value = pixels_from_mels(mels, params)
    return SpectrogramImage(
        pixels, max_value, loudness(channels / np.float32(32768), params.sample_rate_hz), params, pixels.shape[1]
    )


def sizes(params: SpectrogramParams) -> tuple[int, int, int]:
    """Hop, window and FFT length in samples."""
    hop, window, padded = (
        params.sample_rate_hz * ms // 1000 for ms in (params.step_ms, params.window_ms, params.padded_ms)
    )
    return hop, window, padded


def int16_samples(waveform: np.ndarray, sample_rate_hz: int, target_hz: int) -> np.ndarray:
    """Float32 [C, N] of whole numbers -32768..32767: what a 16-bit file of the waveform holds.

    Raises:
        AudioError: not [C, N], or NaN or infinity in it.
    """
    waveform = np.asarray(waveform, np.float32)
    if waveform.ndim != 2 or waveform.shape[0] not in (1, 2) or not waveform.size:
        raise AudioError("not a waveform", expected="[1 or 2 channels, samples]", got=waveform.shape)
    if not (np.isfinite(waveform.min()) and np.isfinite(waveform.max())):
        n_bad = int((~np.isfinite(waveform)).sum())
        raise AudioError("NaN or infinity in the waveform", expected="finite samples", got=f"{n_bad} samples")
    if sample_rate_hz != target_hz:
        import soxr

        waveform = soxr.resample(waveform.T, sample_rate_hz, target_hz, quality="HQ").T
    samples = waveform * np.float32(32768)
    np.rint(samples, out=samples)
    return np.clip(samples, -32768, 32767, out=samples)


def choose_channel(samples: np.ndarray, channel: str) -> np.ndarray:
    """[1, N] for left, right and mix, [2, N] for stereo; a mono waveform is its own left and right.

    The mix is floor(0.5 L + 0.5 R), as audioop computes it for pydub and so for Riffusion.
    """
    if channel == "stereo":
        return np.broadcast_to(samples, (2, samples.shape[1]))
    if channel == "mix" and len(samples) == 2:
        return np.floor(0.5 * samples[:1] + 0.5 * samples[1:])
    return samples[-1:] if channel == "right" else samples[:1]


def mels_from_samples(samples: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Mel values float32 [frames, n_mels] of samples [N]: of magnitudes, or for `log_mel` of powers.

    Frames are centred, the edges reflected. Only the window's part of a zero-padded FFT frame is ever read, so
    half a window of reflection is all that Riffusion's 8,820 samples amount to.
    """
    from tasks.codec import kernels

    _, _, padded = sizes(params)
    bank = mel.bank_of(params)
    weights = bank.weights.astype(np.float32)
    mels = np.empty((n_frames(len(samples), params), params.n_mels), np.float32)
    done = 0
    for frames in windowed_frames(samples, params):
        spectra = fft.rfft(frames, padded)
        part = mels[done : done + len(frames)]
        kernels.mels_of_spectra(spectra, params.form == "log_mel", weights, bank.offsets, bank.first_bins, part)
        done += len(frames)
    return mels


def n_frames(n_samples: int, params: SpectrogramParams) -> int:
    """Columns of an image of so many samples."""
    return 1 + n_samples // sizes(params)[0]


def windowed_frames(samples: np.ndarray, params: SpectrogramParams) -> Iterator[np.ndarray]:
    """Blocks of windowed frames, float32 [up to BLOCK_FRAMES, window]."""
    hop, window, padded = sizes(params)
    reach = padded // 2 - (padded - window) // 2  # samples of a window before its centre
    reflected = np.pad(samples.astype(np.float32, copy=False), (reach, window - reach), mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(reflected, window)[::hop][: n_frames(len(samples), params)]
    taper = hann(window)
    for start in range(0, len(views), BLOCK_FRAMES):
        yield views[start : start + BLOCK_FRAMES] * taper


def hann(length: int) -> np.ndarray:
    """Periodic Hann window, float32 [length]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def pixels_from_mels(mels: np.ndarray, params: SpectrogramParams) -> tuple[np.ndarray, float]:
    """Pixels uint8 [n_mels, T] or [n_mels, T, 3] of mels [C, T, n_mels], and the maximum over all channels.

    Riffusion: 255 - 255 (S / max)^power, truncated. log_mel: dB below the maximum, `top_db` of them over the
    255 steps, rounded. Digital silence is white (Riffusion divides 0 by 0 there and draws black).
    """
    max_value = float(mels.max())
    if max_value <= 0.0:
        planes = np.full(mels.shape, 255, np.uint8)
    elif params.form == "log_mel":
        decibels = 10 * np.log10(np.maximum(mels / np.float32(max_value), np.float32(1e-30)))
        planes = np.rint(np.clip(-decibels / np.float32(params.top_db), 0, 1) * np.float32(255)).astype(np.uint8)
    else:
        level = np.power(mels / np.float32(max_value), np.float32(params.power))
        planes = (np.float32(255) - level * np.float32(255)).astype(np.uint8)
    return pixels_from_planes(planes), max_value


def mels_from_image(image: SpectrogramImage) -> np.ndarray:
    """Mels float32 [C, T, n_mels] of an image: what `pixels_from_mels` took, to within 8 bits.

    A resized image is first brought back to its full size.
    """
    params = image.params
    level = (255 - planes_from_pixels(full_size(image).pixels).astype(np.float32)) / 255
    if params.form == "log_mel":
        decibels = np.float32(params.top_db) * (level - 1)
        return np.where(level > 0, np.float32(image.max_value) * 10 ** (decibels / 10), np.float32(0))
    return np.float32(image.max_value) * np.power(level, np.float32(1 / params.power))


def full_size(image: SpectrogramImage) -> SpectrogramImage:
    """The image with n_mels rows and all the columns that it stands for; itself when it has them."""
    size = (image.params.n_mels, image.columns)
    return image if image.pixels.shape[:2] == size else resized(image, *size)


def pixels_from_planes(planes: np.ndarray) -> np.ndarray:
    """[C, T, n_mels] laid out as an image: low frequencies at the bottom; stereo as (0, left, right)."""
    flipped = planes.transpose(0, 2, 1)[:, ::-1]
    if len(flipped) == 1:
        return np.ascontiguousarray(flipped[0])
    return np.stack([np.zeros_like(flipped[0]), flipped[0], flipped[1]], axis=-1)


def planes_from_pixels(pixels: np.ndarray) -> np.ndarray:
    """The way back from `picture_from_planes`: [C, T, n_mels]."""
    channels = pixels[None] if pixels.ndim == 2 else pixels[:, :, 1:].transpose(2, 0, 1)
    return np.ascontiguousarray(channels[:, ::-1].transpose(0, 2, 1))
