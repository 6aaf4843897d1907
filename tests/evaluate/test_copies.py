"""Copies of synthesized music, moved and changed, are found; other music of the same scale is not."""

import librosa
import numpy as np
import pytest

from tasks.core.errors import MeasureError
from tasks.evaluate import copies, fingerprints

RATE = 22050
SONG_SECONDS, CLIP_SECONDS = 20, 5


def song(seed: int) -> np.ndarray:
    """A random melody of plucked tones over a bass, in C major, for all songs at one tempo."""
    random = np.random.default_rng(seed)
    time = np.arange(SONG_SECONDS * RATE) / RATE
    wave = 0.003 * random.normal(size=len(time))
    for length, notes in ((0.25, (60, 62, 64, 65, 67, 69, 71, 72)), (1.0, (48, 53, 55, 57))):
        for start in np.arange(0, SONG_SECONDS, length):
            inside = (time >= start) & (time < start + length)
            since, hz = time[inside] - start, 440 * 2 ** ((random.choice(notes) - 69) / 12)
            wave[inside] += sum(np.sin(2 * np.pi * hz * k * since) / k for k in (1, 2, 3)) * np.exp(-4 * since / length)
    return wave


def cut(wave: np.ndarray, start: float) -> np.ndarray:
    return wave[int(start * RATE) :][: CLIP_SECONDS * RATE]


def print_of(wave: np.ndarray) -> np.ndarray:
    return fingerprints.fingerprint(wave, RATE)


SONGS = [song(seed) for seed in range(6)]
N_FRAMES = len(print_of(cut(SONGS[0], 0)))


@pytest.fixture(scope="module")
def search() -> copies.CopySearch:
    places = [(index, start) for index in range(6) for start in (0, 5, 10)]
    owners, starts = (np.array(values) for values in zip(*places, strict=True))
    keys = np.array([f"{index}_{start}" for index, start in places])
    training = copies.TrainingSongs([print_of(one) for one in SONGS], keys, owners, starts.astype(float))
    return copies.CopySearch.of(training, N_FRAMES)


def shifted(wave: np.ndarray, semitones: int) -> np.ndarray:
    return librosa.effects.pitch_shift(wave, sr=RATE, n_steps=semitones)


CHANGES = {
    "unchanged": lambda index: cut(SONGS[index], 5),
    "later": lambda index: cut(SONGS[index], 5 + 0.37 + 0.8 * index),
    "quieter": lambda index: 0.05 * cut(SONGS[index], 5),
    "a semitone up": lambda index: shifted(cut(SONGS[index], 5), 1),
    "a semitone down, later and quieter": lambda index: 0.1 * shifted(cut(SONGS[index], 5 + 0.61 * index), -1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_planted_copies_are_found_in_their_song(search, change):
    match = search.match(np.stack([print_of(CHANGES[change](index)) for index in range(6)]))
    assert (match.similarity > search.threshold).all()
    assert match.song.tolist() == list(range(6))


def test_new_songs_of_the_same_scale_and_tempo_are_no_copies(search):
    new = np.stack([print_of(cut(song(seed), start)) for seed in range(10, 30) for start in (2.3, 11.1)])
    assert (search.match(new).similarity > search.threshold).mean() <= 0.025


def test_the_nearest_training_clip_is_where_the_copy_was_taken_from(search):
    match = search.match(np.stack([print_of(cut(SONGS[4], start)) for start in (0.4, 5.7, 9.2)]))
    assert search.nearest_keys(match).tolist() == ["4_0", "4_5", "4_10"]
    seconds = match.frame / fingerprints.FRAMES_PER_SECOND
    np.testing.assert_allclose(seconds, [0.4, 5.7, 9.2], atol=0.1)


def test_a_song_longer_than_a_stretch_is_searched_to_its_end():
    long = np.concatenate([SONGS[index] for index in range(6)])
    match = fingerprints.best_match(print_of(cut(SONGS[5], 12))[None], [print_of(SONGS[0]), print_of(long)])
    assert match.song[0] == 1
    assert match.frame[0] / fingerprints.FRAMES_PER_SECOND == pytest.approx(5 * SONG_SECONDS + 12, abs=0.1)
    assert match.similarity[0] > 0.9


def test_silence_and_songs_that_are_too_short_match_nothing():
    match = fingerprints.best_match(np.zeros((1, N_FRAMES, 144), np.float32), [print_of(SONGS[0])])
    assert abs(match.similarity[0]) < 0.1
    short = fingerprints.best_match(print_of(cut(SONGS[0], 0))[None], [print_of(SONGS[0])[:10]])
    assert short.similarity[0] == -1


def test_one_training_song_shows_nothing_of_how_alike_songs_are():
    training = copies.TrainingSongs([print_of(SONGS[0])], np.array(["a"]), np.array([0]), np.array([0.0]))
    with pytest.raises(MeasureError, match="training songs"):
        copies.CopySearch.of(training, N_FRAMES)
