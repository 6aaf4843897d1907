"""The judge on clips whose emotion is known, and the ceiling by annotator noise."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import MeasureError
from tasks.evaluate import judge
from tasks.label import emotions

CLASSES = ("calm", "happy", "tense")


def music(n_artists: int, separation: float, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and labels: 4 clips of each class an artist, each artist with a sound of its own."""
    generator = np.random.default_rng(seed)
    rows, vectors = [], []
    for artist in range(n_artists):
        style = generator.normal(size=12)
        for number, emotion in enumerate(CLASSES * 4):
            place = np.zeros(12)
            place[number % 3] = separation
            vectors.append(place + style + generator.normal(size=12))
            rows.append((emotion, 0.2 + 0.3 * (number % 3), 0.8 - 0.3 * (number % 3), f"artist {artist}"))
    clips = pd.DataFrame(rows, columns=["emotion", "valence", "arousal", "artist"])
    return pd.DataFrame(np.array(vectors)).add_prefix("mel_"), clips


def test_clear_emotions_of_unknown_artists_are_recognised():
    ears = judge.train_judge(*music(8, separation=8.0), seed=1)
    table, clips = music(4, separation=8.0, seed=2)
    heard = ears.predict(table)
    assert np.mean(heard.predicted == clips["emotion"].to_numpy()) > 0.9
    assert np.corrcoef(heard.valence, clips["valence"])[0, 1] > 0.9
    np.testing.assert_allclose(heard.posterior.sum(axis=1), 1)


def test_without_a_difference_the_cross_validation_promises_nothing():
    ears = judge.train_judge(*music(8, separation=0.0), seed=1)
    assert max(ears.candidates.values()) < 0.5  # chance is 1/3


def test_no_artist_is_on_both_sides_of_a_fold():
    table, clips = music(7, separation=1.0)
    artists = clips["artist"].to_numpy(dtype=str)
    for training, held_out in judge.folds(table.to_numpy(), artists):
        assert not set(artists[training]) & set(artists[held_out])


def test_the_same_seed_gives_the_same_judge():
    table, clips = music(5, separation=2.0)
    first, second = (judge.train_judge(table, clips, seed=3).predict(table) for _ in range(2))
    np.testing.assert_array_equal(first.posterior, second.posterior)
    np.testing.assert_array_equal(first.arousal, second.arousal)


def test_an_artist_with_a_class_of_their_own_does_not_break_the_cross_validation():
    table, clips = music(2, separation=4.0)
    clips["emotion"] = np.where(clips["artist"] == "artist 0", "calm", "happy")
    assert set(judge.train_judge(table, clips, seed=1).classes) == {"calm", "happy"}


@pytest.mark.parametrize(("column", "told"), [("emotion", "too few classes"), ("artist", "too few artists")])
def test_one_class_or_one_artist_is_refused(column, told):
    table, clips = music(3, separation=1.0)
    clips[column] = "only"
    with pytest.raises(MeasureError, match=told):
        judge.train_judge(table, clips, seed=1)


@given(st.integers(0, 100))
def test_balanced_accuracy_equals_scikit_learns(seed):
    from sklearn.metrics import balanced_accuracy_score

    true, predicted = np.random.default_rng(seed).choice(CLASSES, size=(2, 60))
    assert judge.balanced_accuracy(true, predicted) == pytest.approx(balanced_accuracy_score(true, predicted))


def test_a_song_on_the_border_of_two_classes_is_a_toss_up_and_one_far_away_is_certain(demo_params):
    plane = emotions.fit_plane(np.zeros((0, 2)), demo_params.label, seed=1)
    points, errors = np.array([[0.5, 0.2], [0.9, 0.1], [0.5 + 0.05, 0.2]]), np.full((3, 2), 0.05)
    border, certain, one_error = judge.agreement(points, errors, plane, seed=1)
    assert border == pytest.approx(0.5, abs=0.08)
    assert certain == 1
    assert one_error == pytest.approx(0.841, abs=0.06)  # the normal distribution's share above minus one sigma
