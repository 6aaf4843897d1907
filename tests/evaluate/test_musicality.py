"""Musicality on sounds whose answer is known: a melody passes, bands of noise do not, onsets are where they are."""

import time

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from tasks.evaluate import features, musicality

RATE = features.SAMPLE_RATE_HZ
TIME = np.arange(int(5.12 * RATE)) / RATE
SCALE = (60, 64, 67, 72, 71, 67, 64, 62, 60, 65)


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(TIME))


def melody(notes: tuple[int, ...] = SCALE, seconds: float = 0.5) -> np.ndarray:
    """Plucked tones of four harmonics."""
    wave = np.zeros_like(TIME)
    for index, note in enumerate(notes):
        inside = (index * seconds <= TIME) & ((index + 1) * seconds > TIME)
        since, hz = TIME[inside] - index * seconds, 440 * 2 ** ((note - 69) / 12)
        wave[inside] = sum(np.sin(2 * np.pi * hz * k * since) / k for k in (1, 2, 3, 4)) * np.exp(-3 * since)
    return wave


def blob(low_hz: float, high_hz: float, swells_hz: float) -> np.ndarray:
    """A band of noise that swells: what a blurred picture sounds like."""
    band = sosfilt(butter(4, (low_hz, high_hz), "band", fs=RATE, output="sos"), noise())
    return band * (1 + 0.9 * np.sin(2 * np.pi * swells_hz * TIME))


def clicks(starts: np.ndarray) -> np.ndarray:
    wave = 1e-3 * noise(2)
    for start in starts:
        wave[int(start * RATE) :][:400] += noise()[:400]
    return wave


def measured(wave: np.ndarray, rate: int = RATE) -> dict[str, float]:
    return musicality.measure(wave, rate, features.describe(wave, rate))


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_a_melody_passes_with_its_notes_and_their_spread(level):
    found = measured(melody() + level * noise())
    assert found["harmonicity_db"] > 20
    assert found["notes_per_second"] == pytest.approx(2, abs=0.1)
    assert found["pitch_spread_semitones"] == pytest.approx(np.std(SCALE), abs=0.3)


@pytest.mark.parametrize("band", [(200, 2000, 2), (300, 600, 1), (400, 500, 4), (100, 8000, 0.5)])
def test_a_band_of_noise_fails_clearly(band):
    found = measured(blob(*band))
    assert found["harmonicity_db"] < 8
    assert found["notes_per_second"] == 0


def test_a_steady_tone_is_harmonic_but_one_note():
    found = measured(sum(np.sin(2 * np.pi * 220 * k * TIME) / k for k in (1, 2, 3, 4)))
    assert found["harmonicity_db"] > 20
    assert found["notes_per_second"] == pytest.approx(1 / 5.12)
    assert found["pitch_spread_semitones"] == 0


@pytest.mark.parametrize("note", [48, 55, 61, 66, 74, 81, 88])
def test_every_pitch_is_found_at_its_semitone(note):
    hz = 440 * 2 ** ((note - 69) / 12)
    tone = sum(np.sin(2 * np.pi * hz * k * TIME) / k for k in (1, 2, 3, 4))
    assert set(musicality.melody(musicality.pitch_salience(features.prepare(tone, RATE)))) == {note}


@pytest.mark.parametrize("per_second", [1.5, 2.0, 4.0])
def test_even_clicks_are_all_found_and_regular(per_second):
    starts = np.arange(0.25, 4.9, 1 / per_second)
    found = measured(clicks(starts))
    assert found["onsets_per_second"] == pytest.approx(len(starts) / 5.12, abs=0.01)
    assert found["onset_regularity"] > 0.8


def test_onsets_are_where_they_were_put():
    starts = np.array([0.3, 0.9, 1.2, 2.7, 3.1, 4.4])
    frames = musicality.onset_frames(musicality.onset_strength(features.prepare(clicks(starts), RATE)))
    np.testing.assert_allclose((frames * features.HOP + features.WINDOW) / RATE, starts, atol=0.06)


def test_uneven_clicks_are_less_regular():
    uneven = np.cumsum([0.3, 0.31, 0.83, 0.45, 1.17, 0.26, 0.62, 0.71])
    assert measured(clicks(uneven))["onset_regularity"] < 0.7


@pytest.mark.parametrize("wave", [np.zeros(len(TIME)), np.ones(len(TIME)), np.eye(1, len(TIME))[0]])
def test_silence_direct_current_and_a_single_impulse_are_no_music(wave):
    found = measured(wave)
    assert np.isfinite(list(found.values())).all()
    assert found["notes_per_second"] == 0


def test_loudness_and_channels_change_nothing():
    plain, louder = measured(melody()), measured(np.stack([melody(), melody()]) * 0.01)
    assert plain == pytest.approx(louder)


def test_a_clip_costs_less_than_60_ms():
    wave = melody()
    described = features.describe(wave, RATE)
    musicality.measure(wave, RATE, described)
    costs = []
    for _ in range(5):
        started = time.thread_time()
        musicality.measure(wave, RATE, described)
        costs.append(time.thread_time() - started)
    assert min(costs) < 0.06
