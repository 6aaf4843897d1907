"""A user's folder of audio with a table of labels, good and bad."""

import csv
from pathlib import Path

import pytest

from tasks.core.errors import EmoriffError, InputError
from tasks.download.folder import read_labels, take_folder
from tasks.download.params import FolderParams


def folder(tmp_path: Path, names: list[str], table: str, scale: tuple[float, float] = (1, 9)) -> FolderParams:
    for name in names:
        path = tmp_path / "songs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "songs").mkdir(exist_ok=True)
    (tmp_path / "labels.csv").write_bytes(table.encode())
    low, high = scale
    return FolderParams(
        audio=str(tmp_path / "songs"), labels=str(tmp_path / "labels.csv"), scale_min=low, scale_max=high
    )


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_a_folder_takes_the_shape_of_deam(tmp_path):
    table = 'song_id,valence,arousal,artist\n7,5,9,Ann\n3,1.5,2,"B, C"\n'
    row, taken = take_folder(folder(tmp_path, ["3.mp3", "disc/7.WAV"], table), tmp_path / "raw")
    names = [path.relative_to(tmp_path / "raw").as_posix() for path in taken]
    assert names[:2] == ["audio/3.mp3", "audio/7.wav"]
    assert rows(tmp_path / "raw" / names[2]) == [
        ["song_id", "valence_mean", "valence_std", "arousal_mean", "arousal_std"],
        ["3", "1.5", "", "2", ""],
        ["7", "5", "", "9", ""],
    ]
    assert rows(tmp_path / "raw" / names[3]) == [["song_id", "artist"], ["3", "B, C"], ["7", "Ann"]]
    assert (tmp_path / "raw/audio/7.wav").read_bytes() == b"disc/7.WAV"
    assert row["files"] == {"annotations": 1, "audio": 2, "metadata": 1}


@pytest.mark.parametrize(
    "table",
    [
        "\ufeffsong_id,valence,arousal\r\n3,0,1\r\n",
        "Arousal ; Song_ID; valence\n1;3;0\n\n;;\n",
        "artist,song_id , valence,arousal\nAnn, 3 , 0.0,1e0",
        "song_id, valence_mean, valence_std, arousal_mean, arousal_std\n3,0,0.5,1,0.5\n",
    ],
)
def test_tables_as_people_save_them(tmp_path, table):
    (tmp_path / "t.csv").write_bytes(table.encode())
    label = read_labels(tmp_path / "t.csv", 0.0, 1.0)[3]
    assert (label.valence, label.arousal) == (1.0, 9.0)


def test_what_has_no_partner_is_listed(tmp_path):
    table = "song_id,valence,arousal\n1,5,5\n2,5,5\n"
    row, _ = take_folder(folder(tmp_path, ["2.mp3", "3.mp3", "intro.mp3"], table), tmp_path / "raw")
    assert row["label_without_audio"] == [1]
    assert row["audio_without_label"] == [3]
    assert row["audio_without_song_id"] == ["intro.mp3"]


GOOD = "song_id,valence,arousal\n1,5,5\n"
BAD = {
    "no audio": (["notes.txt"], GOOD, "no audio in the folder"),
    "no ids": (["intro.mp3"], GOOD, "no audio file is named by its song id"),
    "two files": (["1.mp3", "01.wav"], GOOD, "song 1 has two audio files"),
    "no pair": (["2.mp3"], GOOD, "no song has both audio and a label"),
    "missing column": (
        ["1.mp3"],
        "number,valence,arousal\n1,5,5\n",
        "lacks song_id[\\s\\S]*got: number, valence, arousal",
    ),
    "empty": (["1.mp3"], "", "lacks song_id, valence, arousal[\\s\\S]*an empty file"),
    "no rows": (["1.mp3"], "song_id,valence,arousal\n", "no rows"),
    "id twice": (["1.mp3"], GOOD + "1,6,6\n", "song_id for the second time[\\s\\S]*line 3: 1,6,6"),
    "id no number": (["1.mp3"], GOOD + "x1,6,6\n", "song_id that is no whole number[\\s\\S]*line 3"),
    "short row": (["1.mp3"], GOOD + "2,6\n", "arousal that is no number[\\s\\S]*line 3: 2,6"),
    "not a number": (["1.mp3"], GOOD + "2,nan,5\n", "valence that is no number"),
    "off the scale": (["1.mp3"], GOOD + "2,5,9.5\n", "arousal outside the scale 1..9"),
    "broken": (["1.mp3"], GOOD + '2,"5,5\n', "valence that is no number"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_what_would_mislead_is_refused_and_nothing_written(tmp_path, case):
    names, table, message = BAD[case]
    params = folder(tmp_path, names, table)
    with pytest.raises(InputError, match=message):
        take_folder(params, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_missing_folder_table_and_scale(tmp_path):
    good = folder(tmp_path, ["1.mp3"], GOOD)
    for change in ({"audio": "nowhere"}, {"labels": "nowhere.csv"}, {"scale_max": 1.0}):
        with pytest.raises(EmoriffError):
            take_folder(good.model_copy(update=change), tmp_path / "raw")


def test_real_clips_with_real_labels(real_data, tmp_path):
    table = real_data / "deam" / "annotations" / "static_annotations_averaged_songs_1_2000.csv"
    real = rows(table)[1:]
    params = folder(tmp_path, [], table.read_text())
    clips = params.model_copy(update={"audio": str(real_data / "deam" / "MEMD_audio")})
    row, _ = take_folder(clips, tmp_path / "raw")
    assert row["files"]["audio"] == 5
    assert len(row["label_without_audio"]) == 1744 - 5
    written = rows(tmp_path / "raw" / "annotations" / "static_annotations_folder.csv")[1:]
    assert [float(line[1]) for line in written] == [float(line[1]) for line in real]
