"""Numbers that describe how a clip sounds: clip -> **features** -> judge, embeddings, measures.

Every clip is mixed to mono, resampled to 22 050 Hz and scaled to the same energy first: pictures lose the
absolute loudness, so no feature may depend on it. Nothing above 9 kHz is looked at, because the codec's
pictures end at 10 kHz. Names carry their group as a prefix: `mel_`, `mfcc_`, `chroma_`, `rhythm_`, `timbre_`.
"""

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import AudioError

Array = NDArray[np.float64]

SAMPLE_RATE_HZ = 22050
WINDOW = 2048  # 93 ms
HOP = 512  # 23 ms
LONG_WINDOW = 8192  # 372 ms: resolves semitones from 90 Hz up
MIN_SECONDS = 1.0
MAX_HZ = 9000.0
N_MELS = 40
N_MFCC = 20
FLOOR = 1e-10
FRAMES_PER_SECOND = SAMPLE_RATE_HZ / HOP
MODULATION_HZ = ((0.4, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0))
# Krumhansl and Kessler 1982: how well each pitch class fits a major and a minor key.
MAJOR_PROFILE = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR_PROFILE = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


def prepare(waveform: NDArray[np.floating], sample_rate_hz: int) -> Array:
    """Mono float64 [samples] at 22 050 Hz with a root mean square of 1 (silence stays silence).

    Raises:
        AudioError: NaN or infinite samples, or less than one second.
    """
    mono = np.atleast_2d(np.asarray(waveform, dtype=np.float64)).mean(axis=0)
    if not np.isfinite(mono).all():
        raise AudioError("samples that are no numbers", expected="finite samples", got="NaN or infinity")
    if len(mono) < MIN_SECONDS * sample_rate_hz:
        raise AudioError(
            "clip too short for its features",
            expected=f"at least {MIN_SECONDS:g} s",
            got=f"{len(mono) / sample_rate_hz:.2f} s",
        )
    if sample_rate_hz != SAMPLE_RATE_HZ:
        import soxr

        mono = soxr.resample(mono, sample_rate_hz, SAMPLE_RATE_HZ)
    level = np.sqrt(np.mean(mono**2))
    return mono / level if level > 1e-6 else np.zeros_like(mono)


def describe(waveform: NDArray[np.floating], sample_rate_hz: int) -> dict[str, float]:
    """All features of one clip ([samples] or [channels, samples]) by name, always in the same order."""
    samples = prepare(waveform, sample_rate_hz)
    power = power_spectra(samples, WINDOW, HOP)
    level_db = decibels(power @ mel_filters())
    return {
        **mel_statistics(level_db),
        **mfcc_statistics(level_db),
        **chroma_statistics(power_spectra(samples, LONG_WINDOW, LONG_WINDOW // 4)),
        **rhythm_statistics(level_db),
        **timbre_statistics(power, level_db),
    }


def power_spectra(samples: Array, window: int, hop: int) -> NDArray[np.float32]:
    """Hann-windowed power spectra [frames, window / 2 + 1], frames = 1 + (samples - window) // hop.

    Divided by the window's power, so that white noise of variance 1 has a mean of 1 in every bin.
    """
    weights = np.hanning(window + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float32), window)[::hop] * weights
    import scipy.fft

    power: NDArray[np.float32] = (np.abs(scipy.fft.rfft(frames, axis=1)) ** 2).astype(np.float32)
    power /= np.float32(np.sum(weights.astype(np.float64) ** 2))
    return power


def decibels(power: NDArray[np.floating]) -> Array:
    """10 log10 of a power, not below -60 dB (white noise as loud as the clip would be at 0 dB)."""
    return 10 * np.log10(np.maximum(np.asarray(power, dtype=np.float64), 1e-6))


@cache
def bin_hz(window: int) -> Array:
    """Frequency in Hz of every bin of a spectrum."""
    return np.fft.rfftfreq(window, 1 / SAMPLE_RATE_HZ).astype(np.float64)


@cache
def mel_filters() -> NDArray[np.float32]:
    """Triangles [bins, 40] from 30 to 9 000 Hz, equally spaced on the HTK mel scale, each summing to 1."""
    top, bottom = (2595 * np.log10(1 + hz / 700) for hz in (MAX_HZ, 30.0))
    edges = 700 * (10 ** (np.linspace(bottom, top, N_MELS + 2) / 2595) - 1)
    frequency = bin_hz(WINDOW)[:, None]
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    return (weights / weights.sum(axis=0)).astype(np.float32)


def mel_statistics(level_db: Array) -> dict[str, float]:
    """Mean and standard deviation over time of every mel band (dB)."""
    return named("mel_mean", level_db.mean(axis=0)) | named("mel_std", level_db.std(axis=0))


def mfcc_statistics(level_db: Array) -> dict[str, float]:
    """Mean, standard deviation and mean absolute change of 20 mel-frequency cepstral coefficients."""
    import scipy.fft

    coefficients = scipy.fft.dct(level_db, axis=1, norm="ortho")[:, :N_MFCC]
    change = np.abs(np.diff(coefficients, axis=0)).mean(axis=0)
    return (
        named("mfcc_mean", coefficients.mean(axis=0))
        | named("mfcc_std", coefficients.std(axis=0))
        | named("mfcc_change", change)
    )


@cache
def pitch_class_filters() -> NDArray[np.float32]:
    """Weights [bins, 12] that fold 60 to 2 000 Hz into pitch classes (C first), Gaussian, 0.4 semitones wide."""
    frequency = bin_hz(LONG_WINDOW)
    inside = (frequency >= 60) & (frequency <= 2000)
    semitone = 69 + 12 * np.log2(np.where(inside, frequency, 440.0) / 440)
    distance = (semitone[:, None] - np.arange(12) + 6) % 12 - 6
    return (np.exp(-0.5 * (distance / 0.4) ** 2) * inside[:, None]).astype(np.float32)


def chroma(power: NDArray[np.floating]) -> Array:
    """Share [frames, 12] of each pitch class in every long frame; rows sum to 1."""
    folded = np.sqrt(power).astype(np.float64) @ pitch_class_filters() + FLOOR
    return folded / folded.sum(axis=1, keepdims=True)


def key_correlations(profile: Array) -> Array:
    """Correlation [2, 12] of a chroma profile with the 12 major and 12 minor keys (Krumhansl 1990)."""
    turned = np.stack([np.roll(profile, -tonic) for tonic in range(12)])
    turned = turned - turned.mean(axis=1, keepdims=True)
    keys = np.stack([MAJOR_PROFILE, MINOR_PROFILE])
    keys = keys - keys.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(turned, axis=1) * np.linalg.norm(keys, axis=1, keepdims=True)
    return (keys @ turned.T) / np.maximum(scale, FLOOR)


def chroma_statistics(power: NDArray[np.floating]) -> dict[str, float]:
    """Pitch classes counted from the tonic of the best key, mode, clearness of key and rate of change."""
    shares = chroma(power)
    profile = shares.mean(axis=0)
    fits = key_correlations(profile)
    tonic = int(fits.max(axis=0).argmax())
    change = np.abs(np.diff(shares, axis=0)).sum(axis=1)
    return {
        **named("chroma_mean", np.roll(profile, -tonic)),
        **named("chroma_std", np.roll(shares.std(axis=0), -tonic)),
        "chroma_mode": float(fits[0, tonic] - fits[1, tonic]),
        "chroma_key_clearness": float(fits.max()),
        "chroma_entropy": float(-(shares * np.log(shares)).sum(axis=1).mean()),
        "chroma_change": float(change.mean()),
    }


def rhythm_statistics(level_db: Array) -> dict[str, float]:
    """Onsets, pulse and the modulation of four frequency regions."""
    onset = np.maximum(0, np.diff(level_db, axis=0)).mean(axis=1)
    loudness = 10 * np.log10((10 ** (level_db / 10)).mean(axis=1))
    tempo_bpm, clearness = pulse(onset)
    low, middle, high = np.percentile(loudness, (10, 50, 95))
    return {
        "rhythm_onset_mean": float(onset.mean()),
        "rhythm_onset_std": float(onset.std()),
        "rhythm_onset_peak": float(np.percentile(onset, 95)),
        "rhythm_onsets_per_second": onset_rate(onset),
        "rhythm_log_tempo": float(np.log2(tempo_bpm)),
        "rhythm_pulse_clearness": clearness,
        "rhythm_dynamic_range_db": float(high - low),
        "rhythm_crest_db": float(high - middle),
        **modulation_statistics(level_db),
    }


def onset_rate(onset: Array) -> float:
    """Peaks of the onset strength per second that stand out of their neighbourhood."""
    inner = onset[1:-1]
    peaks = (inner > onset[:-2]) & (inner >= onset[2:]) & (inner > onset.mean() + 0.5 * onset.std())
    return float(peaks.sum() * FRAMES_PER_SECOND / max(len(onset), 1))


def pulse(onset: Array) -> tuple[float, float]:
    """Tempo (beats per minute, 40 to 240) and how clear the pulse is (0..1), by autocorrelation.

    Lags are weighted by a log-normal curve around 120 beats per minute, an octave wide (Ellis 2007).
    """
    centred = onset - onset.mean()
    correlation = np.correlate(centred, centred, mode="full")[len(onset) - 1 :]
    lags = np.arange(int(FRAMES_PER_SECOND / 4), min(int(FRAMES_PER_SECOND * 1.5), len(onset) - 1))
    if correlation[0] <= FLOOR or len(lags) == 0:
        return 120.0, 0.0
    tempo = 60 * FRAMES_PER_SECOND / lags
    strength = correlation[lags] / correlation[0]
    best = int(np.argmax(strength * np.exp(-0.5 * np.log2(tempo / 120) ** 2)))
    return float(tempo[best]), float(max(strength[best], 0.0))


def modulation_statistics(level_db: Array) -> dict[str, float]:
    """Strength (dB) of level changes at five rates in four frequency regions."""
    regions = level_db.reshape(len(level_db), 4, N_MELS // 4).mean(axis=2)
    centred = (regions - regions.mean(axis=0)) * np.hanning(len(regions))[:, None]
    spectrum = np.abs(np.fft.rfft(centred, n=1024, axis=0)) ** 2 / len(regions)
    rate_hz = np.fft.rfftfreq(1024, 1 / FRAMES_PER_SECOND)
    strengths = [spectrum[(rate_hz >= low) & (rate_hz < high)].mean(axis=0) for low, high in MODULATION_HZ]
    return named("rhythm_modulation", 10 * np.log10(np.concatenate(strengths) + 1e-3))


def timbre_statistics(power: NDArray[np.float32], level_db: Array) -> dict[str, float]:
    """Shape of the spectrum: brightness, register, width, flatness, roughness, noise floor, contrast."""
    from tasks.evaluate.roughness import roughness

    frequency = bin_hz(WINDOW)
    inside = (frequency >= 50) & (frequency <= MAX_HZ)
    frequency, bins = frequency[inside], power[:, inside].astype(np.float64) + FLOOR
    weight = bins / bins.sum(axis=1, keepdims=True)
    centroid = weight @ frequency
    octave = weight @ np.log2(frequency)
    flatness = np.exp(np.log(bins).mean(axis=1)) / bins.mean(axis=1)
    rolloff = frequency[np.argmax(np.cumsum(weight, axis=1) >= 0.85, axis=1)]
    rough = roughness(bins[::4], frequency)
    return {
        "timbre_centroid_hz": float(centroid.mean()),
        "timbre_centroid_std_hz": float(centroid.std()),
        "timbre_register_octave": float(octave.mean()),
        "timbre_register_std": float(octave.std()),
        "timbre_spread_octave": float(np.sqrt(np.maximum(weight @ np.log2(frequency) ** 2 - octave**2, 0)).mean()),
        "timbre_rolloff_octave": float(np.log2(rolloff).mean()),
        "timbre_flatness_db": float(10 * np.log10(flatness.mean())),
        "timbre_flatness_std": float(flatness.std()),
        "timbre_roughness_mean": float(rough.mean()),
        "timbre_roughness_std": float(rough.std()),
        "timbre_noise_floor_db": noise_floor_db(level_db),
        "timbre_percussive_share": percussive_share(level_db),
        **contrast_statistics(bins),
    }


def noise_floor_db(level_db: Array) -> float:
    """Level (dB) under the clip's mean that a mel band keeps in its quietest tenth, mean over bands."""
    return float(np.percentile(level_db, 10, axis=0).mean())


def percussive_share(level_db: Array) -> float:
    """Share 0..1 of the mel picture that is taller than long (median filters, Fitzgerald 2010)."""
    from scipy.ndimage import median_filter

    magnitude = 10 ** (level_db / 20)
    sustained = median_filter(magnitude, size=(15, 1))
    struck = median_filter(magnitude, size=(1, 9))
    return float((struck**2).sum() / ((struck**2).sum() + (sustained**2).sum() + FLOOR))


def contrast_statistics(power: Array) -> dict[str, float]:
    """Peak against valley (dB) in six octave-like regions of the spectrum (Jiang 2002), mean over time."""
    edges = np.unique(np.geomspace(8, power.shape[1], 7).astype(int))
    values = []
    for low, high in pairwise(edges):
        region = np.sort(power[:, low:high], axis=1)
        count = max(1, (high - low) // 6)
        ratio = region[:, -count:].mean(axis=1) / region[:, :count].mean(axis=1)
        values.append(float(10 * np.log10(ratio).mean()))
    return named("timbre_contrast", np.array(values))


def named(prefix: str, values: Array) -> dict[str, float]:
    """`prefix_00`, `prefix_01`, ... -> value."""
    return {f"{prefix}_{index:02d}": float(value) for index, value in enumerate(values)}
