"""Windows tile the song; names and tables say the same."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import InputError
from tasks.segment import segments
from tasks.segment.params import SegmentParams

RATE = 100  # samples a second: small songs, the same arithmetic


def rule(edge: str, length: float = 10.0, hop: float = 10.0, least: float = 0.0) -> SegmentParams:
    return SegmentParams(length_seconds=length, hop_seconds=hop, edge=edge, min_remainder_seconds=least)


def coverage(rows: list[dict], n_samples: int) -> np.ndarray:
    """How many windows each sample of the song lies in."""
    times = np.zeros(n_samples, dtype=int)
    for row in rows:
        times[row["start_sample"] : row["start_sample"] + row["n_samples"]] += 1
    return times


songs = st.integers(0, 50_000)
rules = st.builds(
    rule,
    st.sampled_from(["drop", "pad", "shift"]),
    st.floats(0.51, 60).map(lambda seconds: round(seconds, 2)),
    st.floats(0.1, 60).map(lambda seconds: round(seconds, 2)),
    st.floats(0, 20).map(lambda seconds: round(seconds, 2)),
)


@given(songs, st.floats(0.51, 60))
def test_padded_windows_tile_the_song(n_samples, length):
    rows = segments.cut(7, n_samples, RATE, rule("pad", length, length))
    assert (coverage(rows, n_samples) == 1).all()
    assert sum(row["n_samples"] for row in rows) == n_samples


@given(songs, st.floats(0.51, 60))
def test_shifted_windows_lose_nothing_and_hold_no_silence(n_samples, length):
    rows = segments.cut(7, n_samples, RATE, rule("shift", length, length))
    assert (coverage(rows, n_samples) >= 1).all()
    assert not any(row["padded"] for row in rows[1:])


@given(songs, st.floats(0.51, 60))
def test_dropping_loses_less_than_a_window(n_samples, length):
    rows = segments.cut(7, n_samples, RATE, rule("drop", length, length))
    times = coverage(rows, n_samples)
    assert times.max(initial=0) <= 1
    assert (times == 0).sum() < round(length * RATE)
    assert not any(row["padded"] for row in rows)


@given(songs, rules)
def test_rows_are_sound_under_every_rule(n_samples, params):
    rows = segments.cut(7, n_samples, RATE, params)
    starts = [row["start_sample"] for row in rows]
    length = round(params.length_seconds * RATE)
    assert [row["segment"] for row in rows] == list(range(len(rows)))
    assert starts == sorted(set(starts))
    assert all(0 < row["n_samples"] <= length for row in rows)
    assert all(row["start_sample"] + row["n_samples"] <= n_samples for row in rows)
    assert all(row["padded"] == (row["n_samples"] < length) for row in rows)
    assert all(row["start_seconds"] == row["start_sample"] / RATE for row in rows)


@given(songs, rules)
def test_only_a_remainder_shorter_than_the_least_is_lost_at_the_end(n_samples, params):
    rows = segments.cut(7, n_samples, RATE, params)
    end = max((row["start_sample"] + row["n_samples"] for row in rows), default=0)
    if params.edge != "drop" and params.hop_seconds <= params.length_seconds:
        assert n_samples - end < max(params.min_remainder_seconds * RATE, 1)


@pytest.mark.parametrize(
    ("edge", "starts", "padded"),
    [
        ("drop", [0, 10, 20, 30], [False] * 4),
        ("pad", [0, 10, 20, 30, 40], [False] * 4 + [True]),
        ("shift", [0, 10, 20, 30, 35.01], [False] * 5),
    ],
)
def test_a_deam_excerpt_of_45_seconds(edge, starts, padded):
    rows = segments.cut(2, 4501, RATE, rule(edge))
    assert [row["start_seconds"] for row in rows] == pytest.approx(starts)
    assert [row["padded"] for row in rows] == padded


def test_a_song_shorter_than_a_window_is_padded_not_shifted():
    (row,) = segments.cut(2, 700, RATE, rule("shift"))
    assert (row["start_sample"], row["n_samples"], row["padded"]) == (0, 700, True)
    assert segments.cut(2, 700, RATE, rule("shift", least=8.0)) == []
    assert segments.cut(2, 0, RATE, rule("pad")) == []


def manifest(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["song_id", "status", "n_samples", "sample_rate_hz"])


def test_the_table_has_the_usable_songs_in_order(tmp_path):
    songs = manifest([(9, "ok", 2500.0, 100.0), (3, "rejected", None, None), (4, "ok", 1000.0, 100.0)])
    songs.to_parquet(tmp_path / "manifest.parquet")
    segments.write_table(tmp_path / "manifest.parquet", tmp_path / "segments.parquet", rule("pad"))
    table = pd.read_parquet(tmp_path / "segments.parquet")
    assert table.dtypes.astype(str).to_dict() == segments.COLUMNS
    assert list(zip(table.song_id, table.segment, strict=True)) == [(4, 0), (9, 0), (9, 1), (9, 2)]


def test_songs_that_are_all_too_short_are_an_error(tmp_path):
    manifest([(9, "ok", 500, 100)]).to_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="no song gives a segment"):
        segments.write_table(tmp_path / "manifest.parquet", tmp_path / "segments.parquet", rule("drop"))
    assert not (tmp_path / "segments.parquet").exists()


def test_a_table_that_is_no_manifest_is_refused(tmp_path):
    pd.DataFrame({"song": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="columns are missing: song_id"):
        segments.write_table(tmp_path / "x.parquet", tmp_path / "segments.parquet", rule("pad"))


@given(
    st.integers(0, 10**7),
    st.integers(0, 5000),
    st.integers(0, 30),
    st.sampled_from(["", "pitch+2", "pitch-12", "stretch0.9", "noise40"]),
)
def test_a_name_turns_back_into_its_parts(song_id, segment, tile, augmentation):
    name = segments.spectrogram_name(song_id, segment, tile, augmentation)
    assert segments.parse_name(name) == segments.SpectrogramName(song_id, segment, tile, augmentation)


@pytest.mark.parametrize(
    "name", ["12_003_0.png", "00012_003.png", "00012_003_0.jpg", "x00012_003_0.png", "00012_003_0-.png"]
)
def test_another_name_is_refused(name):
    with pytest.raises(InputError, match="not the name of a spectrogram"):
        segments.parse_name(name)
