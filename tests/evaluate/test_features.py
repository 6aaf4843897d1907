"""Features against librosa and against sounds whose answer is known."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import AudioError
from tasks.evaluate import features

RATE = features.SAMPLE_RATE_HZ
SECONDS = np.arange(int(5.12 * RATE)) / RATE


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(SECONDS))


def chord(*midi: float) -> np.ndarray:
    """A few harmonics of each note, equally loud."""
    hz = [440 * 2 ** ((note - 69) / 12) for note in midi]
    return sum(np.sin(2 * np.pi * f * k * SECONDS) / k for f in hz for k in (1, 2, 3))


def clicks(per_second: float) -> np.ndarray:
    wave = 1e-3 * noise()
    for start in np.arange(0, 5, 1 / per_second):
        wave[int(start * RATE) :][:400] += noise()[:400]
    return wave


def test_power_spectra_equal_librosa():
    samples = noise()
    ours = features.power_spectra(samples, 2048, 512)
    theirs = np.abs(librosa.stft(samples, n_fft=2048, hop_length=512, center=False)).T ** 2
    weights = librosa.filters.get_window("hann", 2048)
    np.testing.assert_allclose(ours, theirs / np.sum(weights**2), rtol=1e-3, atol=1e-5)


def test_mel_filters_have_librosas_centres_and_each_sums_to_one():
    ours = features.mel_filters()
    centres = librosa.mel_frequencies(features.N_MELS + 2, fmin=30, fmax=features.MAX_HZ, htk=True)[1:-1]
    np.testing.assert_allclose(ours.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(features.bin_hz(2048) @ ours, centres, rtol=0.06, atol=12)


def test_cepstra_equal_librosa():
    level = features.decibels(np.abs(noise()[:4000].reshape(100, 40)))
    ours = features.mfcc_statistics(level)
    theirs = librosa.feature.mfcc(S=level.T, n_mfcc=features.N_MFCC)
    np.testing.assert_allclose([ours[f"mfcc_mean_{i:02d}"] for i in range(20)], theirs.mean(axis=1), atol=1e-6)


def test_centroid_and_flatness_equal_librosa():
    found = features.describe(noise(), RATE)
    inside = np.abs(librosa.stft(noise(), center=False))[: int(features.MAX_HZ / (RATE / 2048))] ** 2
    centroid = librosa.feature.spectral_centroid(S=inside, freq=features.bin_hz(2048)[: len(inside)])
    flatness = librosa.feature.spectral_flatness(S=inside, power=1.0)
    assert found["timbre_centroid_hz"] == pytest.approx(centroid.mean(), rel=0.02)
    assert found["timbre_flatness_db"] == pytest.approx(10 * np.log10(flatness.mean()), abs=0.2)


def test_major_and_minor_chords_have_opposite_modes():
    major, minor = (features.describe(chord(*notes), RATE) for notes in ((60, 64, 67), (60, 63, 67)))
    assert major["chroma_mode"] > 0.05 > -0.05 > minor["chroma_mode"]


def test_transposing_keeps_the_mode():
    modes = [features.describe(chord(60 + k, 64 + k, 67 + k), RATE)["chroma_mode"] for k in range(6)]
    assert min(modes) > 0.05


@pytest.mark.parametrize("bpm", [80, 120, 150])
def test_tempo_of_clicks(bpm):
    found = features.describe(clicks(bpm / 60), RATE)
    assert 2 ** found["rhythm_log_tempo"] == pytest.approx(bpm, rel=0.04)
    assert found["rhythm_onsets_per_second"] == pytest.approx(bpm / 60, rel=0.15)


def test_close_partials_are_rougher_than_an_octave():
    second, octave = (features.describe(chord(60, 60 + k), RATE)["timbre_roughness_mean"] for k in (1, 12))
    assert second > 2 * octave


def test_noise_floor_rises_with_noise():
    quiet, loud = (
        features.describe(clicks(2) + level * noise(2), RATE)["timbre_noise_floor_db"] for level in (0.003, 0.1)
    )
    assert loud > quiet + 10


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-3, 1.0), st.sampled_from([22050, 44100, 48000]))
def test_loudness_and_channels_change_nothing(gain, rate):
    wave = noise()[: 3 * RATE]
    plain, louder = features.describe(wave, rate), features.describe(np.stack([wave, wave]) * gain, rate)
    np.testing.assert_allclose(list(plain.values()), list(louder.values()), rtol=1e-4, atol=1e-4)


def test_another_sample_rate_changes_little():
    wave = chord(60, 64, 67)
    resampled = librosa.resample(wave, orig_sr=RATE, target_sr=44100)
    plain, other = features.describe(wave, RATE), features.describe(resampled, 44100)
    assert plain["timbre_centroid_hz"] == pytest.approx(other["timbre_centroid_hz"], rel=0.01)


@pytest.mark.parametrize("wave", [np.zeros(RATE * 2), np.ones(RATE * 2), np.eye(1, RATE * 2)[0]])
def test_silence_direct_current_and_a_single_impulse_have_finite_features(wave):
    found = features.describe(wave, RATE)
    assert np.isfinite(list(found.values())).all()


def test_bad_audio_is_refused():
    with pytest.raises(AudioError, match="NaN"):
        features.describe(np.full(RATE * 2, np.nan), RATE)
    with pytest.raises(AudioError, match="too short"):
        features.describe(np.zeros(100), RATE)
