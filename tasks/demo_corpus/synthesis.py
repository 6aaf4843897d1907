"""Scores of the demo corpus as sound: score -> **waveform** -> MP3.

Tones are read from tables of one period, as many partials as fit below half the sample rate; percussion
is shaped noise. NumPy only, about 100 times faster than real time.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tasks.demo_corpus.composition import HitKind, Note, Score, Style

Waveform = NDArray[np.float32]

TABLE = 8192  # points of a period: nearest-point reading stays below -75 dB of noise
MAX_PARTIALS = 48
VIBRATO_HZ = 5.0
RELEASE_SECONDS = 0.03


def waveform(score: Score, style: Style, rate: int, level: float, generator: np.random.Generator) -> Waveform:
    """The piece as [N] float32 with peak `level` (0..1), N = round(seconds * rate)."""
    mix = np.zeros(round(score.seconds * rate), np.float32)
    for note in score.notes:
        _add(mix, tone(note, style, rate), note.start, rate)
    bank = percussion(rate, generator)
    for hit in score.hits:
        _add(mix, bank[hit.kind] * np.float32(hit.level), hit.start, rate)
    _add_swells(mix, score, rate, generator)
    mix *= level / max(float(np.abs(mix).max()), 1e-9)
    mix += hiss(mix.size, style.hiss_db, level, generator)
    return mix


def _add(mix: Waveform, sound: Waveform, start: float, rate: int) -> None:
    first = round(start * rate)
    n_samples = min(sound.size, mix.size - first)
    if n_samples > 0:
        mix[first : first + n_samples] += sound[:n_samples]


def tone(note: Note, style: Style, rate: int) -> Waveform:
    """One note, [round((seconds + release) * rate)]."""
    hertz = 440 * 2 ** ((note.pitch - 69) / 12)
    n_samples = round((note.seconds + RELEASE_SECONDS) * rate)
    phase = np.arange(n_samples, dtype=np.float64) * (hertz / rate * TABLE)
    if note.vibrato_cents:
        turn = 2 * np.pi * VIBRATO_HZ / rate
        depth = hertz * TABLE / (2 * np.pi * VIBRATO_HZ) * (2 ** (note.vibrato_cents / 1200) - 1)
        phase += depth * np.sin(turn * np.arange(n_samples))
    n_partials = int(min(MAX_PARTIALS, 0.47 * rate / hertz))
    table = period(max(n_partials, 1), round(note.slope, 1), style.odd, round(style.formant_hz / hertz, 1))
    return table[phase.astype(np.int64) & (TABLE - 1)] * envelope(note, n_samples, rate)


@lru_cache(maxsize=512)
def period(n_partials: int, slope: float, odd: float, formant: float) -> Waveform:
    """One period of a tone, [TABLE] with root mean square 1.

    Partial n has the level n^-slope, even ones times `odd`, with a gentle resonance at partial `formant`.
    """
    number = np.arange(1, n_partials + 1)
    levels = number**-slope * np.where(number % 2 == 0, odd, 1.0)
    levels *= 1 + np.exp(-((np.log2(number / max(formant, 0.5))) ** 2) / 0.5)
    spectrum = np.zeros(TABLE // 2 + 1, np.complex128)
    spectrum[1 : n_partials + 1] = levels * np.exp(1j * 2.4 * number**2)  # spread phases: a low crest
    signal = np.fft.irfft(spectrum)
    return (signal / np.sqrt(np.mean(signal**2))).astype(np.float32)


def envelope(note: Note, n_samples: int, rate: int) -> Waveform:
    """Attack, exponential fall and release of a note, [n_samples]."""
    time = np.arange(n_samples, dtype=np.float32) / np.float32(rate)
    shape = np.exp(time * np.float32(-1 / note.decay)) * np.float32(note.level)
    n_attack, n_release = round(note.attack * rate), round(RELEASE_SECONDS * rate)
    if 0 < n_attack < n_samples:
        shape[:n_attack] *= np.linspace(0, 1, n_attack, dtype=np.float32)
    shape[-n_release:] *= np.linspace(1, 0, n_release, dtype=np.float32)
    return shape


def percussion(rate: int, generator: np.random.Generator) -> dict[HitKind, Waveform]:
    """One stroke of each kind."""
    return {
        "kick": _drum(rate, 0.16, 110, 45, 0.05),
        "tom": _drum(rate, 0.3, 95, 60, 0.09) + 0.25 * _burst(rate, 0.3, 150, 900, 0.05, generator),
        "snare": _burst(rate, 0.2, 300, 7000, 0.05, generator),
        "clap": _burst(rate, 0.09, 1500, 4000, 0.03, generator),
        "hat": _burst(rate, 0.07, 6000, 20000, 0.02, generator),
    }


def _drum(rate: int, seconds: float, high_hz: float, low_hz: float, fall: float) -> Waveform:
    time = np.arange(round(seconds * rate)) / rate
    hertz = low_hz + (high_hz - low_hz) * np.exp(-time / 0.03)
    return (np.sin(2 * np.pi * np.cumsum(hertz) / rate) * np.exp(-time / fall)).astype(np.float32)


def _burst(
    rate: int, seconds: float, low_hz: float, high_hz: float, fall: float, generator: np.random.Generator
) -> Waveform:
    time = np.arange(round(seconds * rate), dtype=np.float32) / np.float32(rate)
    return band_noise(time.size, rate, low_hz, high_hz, generator) * np.exp(-time / np.float32(fall))


def band_noise(n_samples: int, rate: int, low_hz: float, high_hz: float, generator: np.random.Generator) -> Waveform:
    """Noise between two frequencies, root mean square 0.3, [n_samples]; silence above rate / 2."""
    size = 1 << (n_samples - 1).bit_length()  # the FFT of a prime length is slow
    spectrum = np.fft.rfft(generator.standard_normal(size, dtype=np.float32))
    hertz = np.fft.rfftfreq(size, 1 / rate)
    spectrum[(hertz < low_hz) | (hertz > high_hz)] = 0
    noise = np.fft.irfft(spectrum, size)[:n_samples]
    return (0.3 * noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9)).astype(np.float32)


def _add_swells(mix: Waveform, score: Score, rate: int, generator: np.random.Generator) -> None:
    """Noise of 200 to 3000 Hz that grows through a bar and breaks off."""
    if not score.swells:
        return
    longest = max(round(seconds * rate) for _, seconds, _ in score.swells)
    noise = band_noise(longest, rate, 200, 3000, generator)
    for start, seconds, level in score.swells:
        n_samples = round(seconds * rate)
        growth = np.linspace(0.1, 1, n_samples, dtype=np.float32) ** 2
        _add(mix, noise[:n_samples] * growth * np.float32(level), start, rate)


def hiss(n_samples: int, level_db: float, level: float, generator: np.random.Generator) -> Waveform:
    """The recording's noise: white, `level_db` below `level`."""
    return generator.standard_normal(n_samples, dtype=np.float32) * np.float32(level * 10 ** (level_db / 20))


def loudness_level(arousal: float) -> float:
    """Peak of a piece (0..1): -20 dBFS at arousal 0 to -1 dBFS at 1."""
    return float(10 ** ((-20 + 19 * arousal) / 20))
