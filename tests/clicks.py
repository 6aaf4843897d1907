"""Clicks whose distance in time survives any spectrogram: what tells when a clip plays too fast."""

import numpy as np
from scipy.signal import find_peaks

RATE = 44100


def clicks(seconds: float, apart_seconds: float = 1.0) -> np.ndarray:
    """Float32 [1, N] at RATE: bursts of 20 ms of noise, the first after half a distance."""
    waveform = np.zeros(round(seconds * RATE), np.float32)
    burst = 0.5 * np.random.default_rng(1).uniform(-1, 1, RATE // 50).astype(np.float32)
    for start in np.arange(apart_seconds / 2, seconds - 0.05, apart_seconds):
        place = round(start * RATE)
        waveform[place : place + len(burst)] = burst
    return waveform[None]


def seconds_apart(waveform: np.ndarray) -> float:
    """The distance of clicks in [C, N] at RATE: the first peak of the envelope's autocorrelation, .2 to 2 s."""
    hop = RATE // 100
    energy = np.square(waveform[0][: waveform.shape[1] // hop * hop]).reshape(-1, hop).mean(axis=1)
    level = np.sqrt(energy) - np.sqrt(energy).mean()
    lags = np.arange(20, 201)
    match = np.array([np.dot(level[:-lag], level[lag:]) / (len(level) - lag) for lag in lags])
    return float(lags[find_peaks(match, height=0.6 * match.max())[0][0]] / 100)
