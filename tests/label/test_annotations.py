import doctest
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core import csv_tables
from tasks.core.errors import InputError
from tasks.label import annotations
from tasks.label.annotations import Annotations, kinds_of, read_folder
from tests import annotation_folder as sample

FULL_HEADER = (
    "song_id, valence_mean, valence_std, valence_ max_mean, valence_max_std, valence_min_mean, valence_min_std, "
    "arousal_mean, arousal_std, arousal_max_mean, arousal_max_std, arousal_min_mean, arousal_min_std"
)
GOOD = "".join(f"{song},5.0,1,4.0,1\n" for song in range(100, 130))  # so that a few bad rows are below the limit


def read(folder: Path, max_refused_share: float = 0.2) -> Annotations:
    return read_folder(folder, 1, 9, max_refused_share)


def static(folder: Path, text: str, name: str = "static_annotations_averaged_songs_1_2000.csv") -> Path:
    sample.write(folder / name, text)
    return folder


@pytest.mark.parametrize("module", [annotations, csv_tables])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def test_the_real_files_are_read_whole(real_data):
    found = read(real_data / "deam")
    assert len(found.ratings) == 1802
    assert found.refused.empty
    assert len({annotations.artist_key(artist) for artist in found.artists.values()}) == 948
    assert [table.shape for table in found.curves.values()] == [(744, 61), (744, 61)]


def test_columns_are_found_by_name_not_by_position(tmp_path):
    static(tmp_path, f"{FULL_HEADER}\n2001,3.2,0.98,5.0,1.41,2.2,0.98,6.6,0.8,8.6,0.49,3.4,1.02\n")
    row = read(tmp_path).ratings.iloc[0]
    assert (row.valence, row.arousal, row.arousal_std) == (3.2, 6.6, 0.8)


@given(
    end=st.sampled_from(["\n", "\r\n"]),
    pad=st.sampled_from(["", " ", "  ", "\t"]),
    mark=st.sampled_from(["", "\ufeff"]),
    separator=st.sampled_from([",", ";"]),
)
def test_line_ends_padding_marks_and_separators_change_nothing(tmp_path_factory, end, pad, mark, separator):
    lines = [sample.STATIC_HEADER, "2,3.1,0.94,3,0.63", "10,4,1.67,4.7,1.85"]
    text = end.join(line.replace(",", f"{pad}{separator}{pad}") for line in lines) + end
    found = read(static(tmp_path_factory.mktemp("padded"), mark + text)).ratings
    assert found[["song_id", "valence", "arousal"]].to_numpy().tolist() == [[2, 3.1, 3.0], [10, 4.0, 4.7]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("7,9.5,1,4,1", "valence 9.5 outside the scale 1..9"),
        ("7,5,1,0,1", "arousal 0 outside the scale 1..9"),
        ("7,,1,4,1", "valence: no number: ''"),
        ("7,5,1,loud,1", "arousal: no number: 'loud'"),
        ("7,nan,1,4,1", "valence: no number: 'nan'"),
        ("7", "valence: no number: ''"),
        ("x7,5,1,4,1", "no song id: 'x7'"),
        ("100,5.0,1,4.0,1", "the same rating again"),
    ],
)
def test_a_bad_row_is_listed_with_its_reason(tmp_path, row, reason):
    found = read(static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}{row}\n"))
    assert len(found.ratings) == 30
    assert found.refused[["line", "reason"]].to_numpy().tolist() == [[32, reason]]


def test_two_different_ratings_of_a_song_are_both_refused(tmp_path):
    found = read(static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}100,7,1,4,1\n"))
    assert 100 not in set(found.ratings["song_id"])
    assert "another rating" in found.refused["reason"][0]


def test_a_wrong_scale_is_an_error_not_thirty_rows(tmp_path):
    with pytest.raises(InputError, match="30 of 30 annotations cannot be used"):
        read_folder(static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}"), 0, 1, 0.1)


def test_an_averaged_file_without_its_columns_is_an_error(tmp_path):
    with pytest.raises(InputError, match="without the columns"):
        read(static(tmp_path, "song_id, valence_mean\n2,3\n"))


def test_a_folder_without_annotations_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match="no annotations"):
        read(tmp_path)


def test_single_raters_deviations_and_our_own_map_are_passed_over(tmp_path):
    header = "song_id,sample_15000ms\n"
    paths = [
        sample.write(tmp_path / "static_annotations_songs_1_2000.csv", "worker_id,song_id,valence,arousal\n"),
        sample.write(tmp_path / "arousal_cont_std.csv", header),
        sample.write(tmp_path / "arousal" / "2.csv", header),
        sample.write(tmp_path / "songs.csv", "song_id,valence,arousal,swapped\n"),
        sample.write(tmp_path / "features.csv", "frameTime;F0final\n"),
    ]
    assert [kinds_of(path) for path in paths] == [[]] * 5


def test_a_copy_in_an_outer_folder_is_read_once(tmp_path):
    text = f"{sample.STATIC_HEADER}\n{GOOD}"
    static(tmp_path / "DEAM" / "inner", text)
    found = read(static(tmp_path, text))
    assert len(found.ratings) == 30
    assert found.refused["reason"].tolist() == ["a copy of a file that was read"]


def test_a_users_table_gives_ratings_and_artists(tmp_path):
    sample.write(tmp_path / "my labels.csv", "Artist,Arousal,Song_ID,Valence\nAda,4,7,6\n")
    found = read(tmp_path)
    assert found.ratings[["song_id", "valence", "arousal"]].to_numpy().tolist() == [[7, 6, 4]]
    assert found.artists == {7: "Ada"}


def test_artists_are_read_from_each_years_header(tmp_path):
    static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}")
    sample.write(tmp_path / "metadata_2013.csv", 'song_id,file_name,Artist\n100,"\t100.mp3","Kevin  MacLeod\t"\n')
    sample.write(tmp_path / "metadata_2014.csv", "Id,Artist,Track\n101,Podington Bear,x,tag,tag,tag\n102,n/a,y\n")
    sample.write(tmp_path / "metadata_2015.csv", "id,Filename,title,artist\n103,103.mp3,z,Caf\u00e9\n")
    assert read(tmp_path).artists == {100: "Kevin MacLeod", 101: "Podington Bear", 103: "Caf\u00e9"}


def test_latin_1_text_is_read(tmp_path):
    static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}")
    (tmp_path / "metadata_2015.csv").write_bytes("id,artist\n100,Caf\u00e9\n".encode("latin-1"))
    assert read(tmp_path).artists == {100: "Caf\u00e9"}


def test_a_second_artist_of_a_song_is_listed(tmp_path):
    static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}")
    sample.write(tmp_path / "metadata.csv", "id,artist\n100,Ada\n100,ada \n100,Bob\n")
    found = read(tmp_path)
    assert found.artists == {100: "Ada"}
    assert found.refused["reason"].tolist() == ["another artist: 'Bob'"]


def test_padded_curves_are_read(tmp_path):
    static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}")
    sample.write(tmp_path / "arousal.csv", "song_id , sample_15000ms , sample_15500ms \r\n100 , 0.1 , -0.2 \r\n")
    assert read(tmp_path).curves["arousal"].to_numpy().tolist() == [[0.1, -0.2]]


def test_an_endless_quote_is_an_error_that_names_the_file(tmp_path):
    static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}")
    sample.write(tmp_path / "metadata_2014.csv", 'Id,Artist\n100,"' + "x" * 200_000)
    with pytest.raises(InputError, match=r"(?s)not CSV.*metadata_2014"):
        read(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_never_a_crash(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("static_annotations_averaged_x.csv", "valence.csv", "metadata.csv"):
        (folder / name).write_bytes(b"song_id,valence,arousal,artist,sample_1ms\n" + content)
    try:
        found = read(folder, 1)
    except InputError:
        return
    assert found.ratings["valence"].between(1, 9).all()


def test_unusable_curves_are_listed(tmp_path):
    static(tmp_path, f"{sample.STATIC_HEADER}\n{GOOD}")
    rows = "100,0.1,0.2\n101,1.5,0\n102,,\n103,loud,0\nx,0,0\n104,0.3,\n105,0,0\n105,0,0.1\n"
    sample.write(tmp_path / "valence.csv", f"song_id, sample_15000ms, sample_15500ms\n{rows}")
    found = read(tmp_path)
    assert found.curves["valence"].index.tolist() == [100, 104]
    assert found.curves["valence"].columns.tolist() == [15.0, 15.5]
    assert found.refused["song_id"].tolist() == [103, 101, 102, pd.NA, 105]
