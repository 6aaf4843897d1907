import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2

from tasks.core.errors import InputError, ParameterError
from tasks.demo_corpus import corpus, deam_format
from tasks.label import emotions, labels, splits, swap
from tasks.label.annotations import artist_key, read_folder
from tasks.label.emotions import emotions_of, fit_plane
from tasks.label.params import LabelParams, SplitParams
from tasks.label.splits import split_by_artist, split_of
from tasks.settings import Params
from tests import annotation_folder as sample

IDS = list(range(2, 32)) + list(range(1001, 1031))
SPLIT = SplitParams(validation=0.15, test=0.25, salt=0, tolerance=0.1)


def changed(params: Params, **values: Any) -> LabelParams:
    return LabelParams.model_validate(params.label.model_dump() | values)


def split_with(**values: Any) -> SplitParams:
    return SplitParams.model_validate(SPLIT.model_dump() | values)


@pytest.mark.parametrize("module", [emotions, swap])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


REAL_COUNTS = [  # shared facts of the data set, counted by its documentation, not by this code
    ("quadrants", "detect", {"happy": 647, "tense": 182, "sad": 686, "calm": 287}),
    ("quadrants", "published", {"happy": 647, "tense": 229, "sad": 686, "calm": 240}),
    ("five", "detect", {"happy": 417, "energetic": 230, "tense": 182, "sad": 686, "calm": 287}),
]


@pytest.mark.parametrize(("scheme", "correction", "counts"), REAL_COUNTS)
def test_real_counts(real_data, demo_params, scheme, correction, counts):
    found = labels.summary(real_data / "deam", changed(demo_params, scheme=scheme, correction=correction), seed=1)
    assert found["songs"] == 1802
    assert found["classes"] == counts


def test_the_swap_is_found_in_the_real_files_and_only_where_it_can_be_checked(real_data, demo_params):
    found = labels.summary(real_data / "deam", demo_params.label, seed=1)
    first, *others = found["parts"]
    assert first["verdict"] == "swapped"
    published = {"valence-arousal": 0.956, "valence-valence": 0.575, "arousal-valence": 0.950, "arousal-arousal": 0.570}
    assert first["correlations"] == pytest.approx(published, abs=6e-4)
    assert [part["verdict"] for part in others] == ["could not be checked"] * 2


def test_191_real_songs_change_their_quadrant_and_all_between_tense_and_calm(real_data, demo_params):
    folder = real_data / "deam"
    tables = []
    for correction in ("detect", "published"):
        params = changed(demo_params, scheme="quadrants", correction=correction)
        tables.append(labels.label_songs(read_folder(folder, 1, 9, 0.1), params, 1)[0]["emotion"])
    moved = tables[0] != tables[1]
    assert moved.sum() == 191
    assert set(tables[0][moved]) == {"tense", "calm"}


@pytest.mark.parametrize(("swap_until", "verdicts"), [(1000, ["swapped", "as named"]), (0, ["as named"] * 2)])
def test_the_swap_is_found_only_where_it_is(tmp_path, demo_params, swap_until, verdicts):
    table = sample.songs(IDS)
    found = labels.summary(sample.write_folder(tmp_path, table, swap_until), demo_params.label, seed=1)
    assert [part["verdict"] for part in found["parts"]] == verdicts
    assert found["corrected_songs"] == (30 if swap_until else 0)


def test_the_correction_restores_the_true_values(tmp_path, demo_params):
    table = sample.songs(IDS)
    sample.write_folder(tmp_path, table, swap_until=1000)
    songs, _, _ = labels.label_songs(read_folder(tmp_path, 1, 9, 0.1), demo_params.label, 1)
    assert songs["valence"].to_numpy() * 8 + 1 == pytest.approx(table["valence"].to_numpy())
    assert songs["swapped"].tolist() == (table["song_id"] <= 1000).tolist()
    assert set(songs.loc[songs["swapped"], "valence_std"].round(6)) == {0.1125}  # 0.9 of the 8 points


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**16), noise=st.floats(0, 3))
def test_noise_may_hide_a_swap_but_never_invents_the_opposite(seed, noise):
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=(60, 2))
    rated = swap.standardised(truth + noise * generator.normal(size=(60, 2)))
    drawn = swap.standardised(truth + noise * generator.normal(size=(60, 2)))
    verdicts = [swap._decide(*swap.difference_of(rated[:, order], drawn), 0.1)[0] for order in ([0, 1], [1, 0])]
    assert verdicts in (["as named", "swapped"], ["undecided", "undecided"]) or noise > 1


def test_equal_axes_decide_nothing(tmp_path, demo_params):
    table = sample.songs(IDS)
    table["arousal"] = table["valence"]
    found = labels.summary(sample.write_folder(tmp_path, table), demo_params.label, seed=1)
    assert [part["verdict"] for part in found["parts"]] == ["undecided"] * 2
    assert found["corrected_songs"] == 0


def test_the_demo_corpus_has_the_swap_where_it_was_put(tmp_path, demo_params):
    params = demo_params.download.corpus
    songs = [corpus.annotate(song, params) for song in corpus.plan(params, demo_params.seed)]
    for until in (1000, 0):
        members = deam_format.annotation_files(songs, until) | deam_format.metadata_files(songs)
        for name, content in members.items():
            (tmp_path / str(until) / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / str(until) / name).write_bytes(content)
    verdicts = [labels.summary(tmp_path / name, demo_params.label, 1)["parts"][0]["verdict"] for name in ("1000", "0")]
    assert verdicts == ["swapped", "as named"]


@pytest.mark.parametrize(
    ("comparison", "scheme", "words"),
    [
        (">=", "quadrants", ["happy", "tense", "calm", "sad", "happy"]),
        (">", "quadrants", ["sad", "sad", "sad", "sad", "happy"]),
        (">=", "five", ["happy", "tense", "calm", "sad", "energetic"]),
    ],
)
def test_values_on_the_border(demo_params, comparison, scheme, words):
    plane = fit_plane(np.empty((0, 2)), changed(demo_params, comparison=comparison, scheme=scheme), 1)
    points = np.array([[5, 5], [4.9, 5], [5, 4.9], [4.9, 4.9], [5.1, 6.2]])
    assert emotions_of(emotions.normalised(points, demo_params.label), plane) == words


def test_the_dead_zone_takes_the_label(demo_params):
    plane = fit_plane(np.empty((0, 2)), changed(demo_params, dead_zone=0.5, scheme="five"), 1)
    points = np.array([[5.4, 8], [5.5, 8], [3, 3], [7, 6.0], [7, np.nan]])
    normalised = emotions.normalised(points, demo_params.label)
    assert emotions_of(normalised, plane) == [None, "energetic", "sad", None, None]


def test_clusters_find_blobs_and_are_named_by_their_quadrant(demo_params):
    middles = np.array([[0.8, 0.8], [0.2, 0.8], [0.2, 0.2], [0.8, 0.2]])
    points = np.concatenate(
        [np.random.default_rng(k).normal(middle, 0.03, (20, 2)) for k, middle in enumerate(middles)]
    )
    params = changed(demo_params, scheme="clusters")
    plane = fit_plane(points, params, seed=1)
    assert emotions_of(points, plane) == [word for word in ("happy", "tense", "sad", "calm") for _ in range(20)]
    shuffled = fit_plane(points[::-1], params, seed=1)
    assert np.array_equal(shuffled.centres, plane.centres)


def test_too_few_points_for_the_clusters(demo_params):
    with pytest.raises(InputError, match="too few different songs"):
        fit_plane(np.zeros((10, 2)), changed(demo_params, scheme="clusters"), 1)


def test_no_cluster_is_empty_where_most_songs_are_alike(demo_params):
    lone = np.array([[0.1, 0.1], [0.9, 0.9], [0.1, 0.9]])
    points = np.concatenate([np.full((47, 2), 0.6), lone])
    plane = fit_plane(points, changed(demo_params, scheme="clusters"), 1)
    assert sorted(plane.centres.tolist()) == sorted([*lone.tolist(), [0.6, 0.6]])


def test_clusters_are_the_best_of_kmeans_of_scipy(demo_params):
    """Oracle: scipy's k-means from many starts; no start ends with a smaller error."""
    points = np.random.default_rng(3).uniform(size=(60, 2))
    centres = emotions.cluster_centres(points, 4, 1)
    others = [kmeans2(points, 4, iter=100, minit="++", rng=np.random.default_rng(start))[0] for start in range(50)]
    assert error(points, centres) <= min(error(points, one) for one in others) + 1e-6


def error(points, centres):
    return (np.linalg.norm(points[:, None] - centres, axis=2).min(axis=1) ** 2).sum()


def test_a_dead_zone_of_clusters_is_measured_from_the_border_between_centres():
    plane = emotions.Plane(("sad", "happy"), 0.5, None, np.array([[0.2, 0.2], [0.8, 0.2]]), 0.05, True)
    assert emotions_of(np.array([[0.44, 0.9], [0.46, 0.9], [0.56, 0.2]]), plane) == ["sad", None, "happy"]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(0, 50))
def test_a_song_more_moves_no_other(artists, new):
    names = [f"artist {number}" for number in artists]
    kinds = ["happy" if number % 2 else "sad" for number in artists]
    before = [split_of(name, SPLIT, 1, 0) for name in names]
    after = [split_of(name, SPLIT, 1, 0) for name in [f"artist {new}", *names]]
    assert after[1:] == before
    assert len({(name, split) for name, split in zip(names, before, strict=True)}) == len(set(names))
    assert splits.imbalance(before, kinds, SPLIT) <= 1


def test_no_real_artist_is_in_two_splits_and_a_song_less_moves_none(real_data, demo_params):
    found = read_folder(real_data / "deam", 1, 9, 0.1)
    songs, _, _ = labels.label_songs(found, demo_params.label, 1)
    artists = [artist_key(artist) for artist in songs["artist"]]
    words = songs["emotion"].tolist()
    whole = split_by_artist(artists, words, split_with(salt=None), 1)
    less = split_by_artist(artists[1:], words[1:], split_with(salt=None), 1)
    assert less.names == whole.names[1:]
    assert pd.DataFrame({"artist": artists, "split": whole.names}).drop_duplicates()["artist"].is_unique
    assert whole.imbalance <= 0.1
    assert np.mean([name == "test" for name in whole.names]) == pytest.approx(0.25, abs=0.05)


def test_shares_of_many_artists_are_as_asked_for():
    names = [split_of(f"artist {number}", SPLIT, 3, 0) for number in range(4000)]
    assert names.count("test") / 4000 == pytest.approx(0.25, abs=0.03)  # four standard errors
    assert names.count("validation") / 4000 == pytest.approx(0.15, abs=0.03)


def test_a_fixed_salt_that_leaves_a_split_empty_names_one_that_does_not():
    artists, words = ["a", "b", "c"], ["sad"] * 3
    bad = next(salt for salt in range(100) if len({split_of(name, SPLIT, 1, salt) for name in artists}) < 3)
    with pytest.raises(ParameterError, match="set it to"):
        split_by_artist(artists, words, split_with(salt=bad), 1)
    assert set(split_by_artist(artists, words, split_with(salt=None), 1).names) == set(splits.SPLITS)


def test_segments_follow_their_curve_around_the_songs_label(tmp_path, demo_params):
    table = sample.songs(IDS)
    found = labels.build(sample.write_folder(tmp_path, table), sample.segments(IDS), demo_params.label, 1).segments
    song = found[found["song_id"] == 2]
    rated = (table["valence"][0] - 1) / 8
    assert song["provenance"].tolist() == ["song", "dynamic", "dynamic", "dynamic"]
    # 4 points of 8 for a step of 1: 0.05 above the curve's mean is 0.2 points, a fortieth of the scale
    assert song["valence"].tolist() == pytest.approx([rated, rated + 0.025, rated + 0.025, rated - 0.025])


def test_segments_stay_on_the_scale_and_are_classed_by_their_own_values(tmp_path, demo_params):
    table = sample.songs(IDS)
    sample.write_folder(tmp_path, table)
    table.loc[0, ["valence", "arousal"]] = [5.1, 1.1]  # a hair from the border and from the end of the scale
    sample.write_folder(tmp_path, table, curves=False)
    params = changed(demo_params, scheme="quadrants")
    found = labels.build(tmp_path, sample.segments(IDS), params, 1).segments
    song = found[found["song_id"] == 2]
    assert song["arousal"].min() == 0
    assert song["emotion"].tolist() == ["calm", "calm", "calm", "sad"]


def test_published_values_keep_their_own_curve(tmp_path, demo_params):
    table = sample.songs(IDS)
    sample.write_folder(tmp_path, table, swap_until=1000)
    params = changed(demo_params, correction="published")
    found = labels.build(tmp_path, sample.segments(IDS), params, 1)
    assert not found.songs["swapped"].any()
    rated = (table["arousal"][0] - 1) / 8
    assert found.songs["valence"][0] == pytest.approx(rated)
    assert found.segments["valence"][1] == pytest.approx(rated + sample.STEPS["arousal"] / 2)


def test_without_curves_segments_have_their_songs_label(tmp_path, demo_params):
    folder = sample.write_folder(tmp_path, sample.songs(IDS), curves=False)
    found = labels.build(folder, sample.segments(IDS), demo_params.label, 1)
    assert set(found.segments["provenance"]) == {"song"}
    assert [part["verdict"] for part in found.report["parts"]] == ["could not be checked"] * 2


def test_songs_without_audio_and_audio_without_annotation_are_rows_with_a_reason(tmp_path, demo_params):
    folder = sample.write_folder(tmp_path, sample.songs(IDS))
    found = labels.build(folder, sample.segments([*IDS[1:], 9999]), demo_params.label, 1)
    reasons = found.songs.set_index("song_id")["reason"]
    assert (reasons[2], reasons[9999]) == ("no usable audio", "no annotation")
    assert found.report["songs_excluded"] == {"no annotation": 1, "no usable audio": 1}
    assert sum(sum(row.values()) for row in found.report["split"]["songs"].values()) == len(IDS) - 1
    assert found.segments.loc[found.segments["song_id"] == 9999, "emotion"].isna().all()


def test_no_common_song_is_an_error(tmp_path, demo_params):
    with pytest.raises(InputError, match="no annotation belongs to any audio"):
        labels.build(sample.write_folder(tmp_path, sample.songs(IDS)), sample.segments([9999]), demo_params.label, 1)


def test_the_files_are_the_same_bytes_again(tmp_path, demo_params):
    raw = sample.write_folder(tmp_path / "raw", sample.songs(IDS), swap_until=1000)
    sample.segments(IDS).to_parquet(tmp_path / "segments.parquet")
    for name in ("one", "two"):
        labels.write_labels(raw, tmp_path / "segments.parquet", tmp_path / name, demo_params.label, 1)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["report.json", "segments.parquet", "songs.csv", "songs.parquet"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    assert pd.read_csv(tmp_path / "one" / "songs.csv")["song_id"].tolist() == IDS


def test_look_prints_text_or_json(tmp_path: Path, demo_params):
    folder = sample.write_folder(tmp_path, sample.songs(IDS), swap_until=1000)
    text = labels.look(folder, demo_params.label, "quadrants", published=False, as_json=False, seed=1)
    values = json.loads(labels.look(folder, demo_params.label, "quadrants", published=True, as_json=True, seed=1))
    assert "60 songs" in text
    assert "swapped (difference" in text
    assert (values["corrected_songs"], values["songs_kept_swapped"]) == (0, 30)
    assert sum(values["classes"].values()) == 60


def test_look_refuses_an_unknown_scheme(tmp_path: Path, demo_params):
    with pytest.raises(ParameterError, match="quadrants, five, clusters"):
        labels.look(tmp_path, demo_params.label, "octants", published=False, as_json=False, seed=1)


def test_published_ratings_are_known_without_their_curves(real_data: Path, demo_params: Params) -> None:
    found = labels.look(real_data / "deam" / "annotations", demo_params.label, "quadrants", False, True, 1)
    assert json.loads(found)["classes"] == {"happy": 647, "tense": 182, "sad": 686, "calm": 287}
