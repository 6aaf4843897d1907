"""Laws of the demo corpus: it is DEAM in form, deterministic, and its sound follows valence and arousal."""

import csv
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ParameterError
from tasks.demo_corpus import composition, corpus, deam_format, synthesis
from tasks.download.params import CorpusParams

STYLE = composition.draw_style("The Tests", 0, np.random.default_rng(0))


def small(**changes: object) -> CorpusParams:
    values = {"n_artists": 3, "songs_per_artist": 5, "seconds": 16.0, "raters": 10, "rating_std": 1.0}
    return CorpusParams.model_validate(values | {"swap_until_id": 1000} | changes)


FEW = small(songs_per_artist=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("corpus")
    corpus.render(target, FEW, seed=1, workers=1)
    return target


def member(folder: Path, archive: str, name: str) -> bytes:
    with zipfile.ZipFile(folder / archive) as file:
        return file.read(next(path for path in file.namelist() if path.endswith(name)))


def score_at(valence: float, arousal: float) -> composition.Score:
    generator = np.random.default_rng(3)
    return composition.compose(STYLE, lambda _: valence, lambda _: arousal, 8.0, generator)


def centroid_hz(valence: float, arousal: float) -> float:
    waveform = synthesis.waveform(score_at(valence, arousal), STYLE, 22050, 0.5, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(waveform)) ** 2
    return float((power * np.fft.rfftfreq(waveform.size, 1 / 22050)).sum() / power.sum())


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    params, calls = small(n_artists=3, songs_per_artist=1, seconds=5.0), []
    corpus.render(tmp_path / "one", params, 7, 1)
    corpus.render(tmp_path / "two", params, 7, 2, lambda done, total, note: calls.append((done, total)))
    sums = [(tmp_path / name / "SHA256SUMS").read_text() for name in ("one", "two")]
    assert sums[0] == sums[1]
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_sums_are_those_of_the_archives(folder: Path) -> None:
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_headers_are_those_of_deam(folder: Path, real_data: Path) -> None:
    for name in ("1_2000.csv", "2000_2058.csv"):
        ours = member(folder, "DEAM_Annotations.zip", name).splitlines()[0]
        real = next((real_data / "deam" / "annotations").glob(f"*{name}"))
        assert ours == real.read_bytes().splitlines()[0]


def test_every_song_has_audio_annotations_and_metadata(folder: Path) -> None:
    planned = {song.song_id for song in corpus.plan(FEW, 1)}
    with zipfile.ZipFile(folder / "DEAM_audio.zip") as file:
        audio = {int(Path(name).stem) for name in file.namelist()}
    dynamic = member(folder, "DEAM_Annotations.zip", "/arousal.csv").decode().splitlines()[1:]
    rows = [line for year in (2013, 2014, 2015) for line in _metadata(folder, year)[1:]]
    assert len(planned) == 6
    assert planned == audio == {int(line.split(",")[0]) for line in dynamic} == {int(row[0]) for row in rows}


def _metadata(folder: Path, year: int) -> list[list[str]]:
    text = member(folder, "metadata.zip", f"{year}.csv").decode()
    return list(csv.reader(io.StringIO(text)))


def test_a_cover_stands_before_the_mp3_and_does_not_harm_it() -> None:
    song = next(song for song in corpus.plan(small(seconds=5.0), 1) if song.cover_art)
    data = corpus.mp3(song, 1)
    waveform, rate = soundfile.read(io.BytesIO(data))
    assert data.startswith(b"ID3\x03")
    assert b"image/png" in data
    assert len(waveform) / rate == pytest.approx(song.seconds, abs=0.1)


def test_valence_and_arousal_are_swapped_in_the_first_part_only() -> None:
    params = small(raters=400, rating_std=0.3)
    for song in corpus.plan(params, 1):
        files = deam_format.annotation_files([corpus.annotate(song, params)], params.swap_until_id)
        cells = [content.decode().splitlines()[1:] for name, content in files.items() if "static" in name]
        first = float(next(lines for lines in cells if lines)[0].split(",")[1])
        truth = song.arousal if song.song_id <= 1000 else song.valence
        assert (first - 1) / 8 == pytest.approx(truth, abs=0.05)


def test_no_song_lies_on_a_border_of_the_five_classes() -> None:
    songs = corpus.plan(small(n_artists=16, songs_per_artist=6), 1)
    assert min(abs(song.valence - 0.5) for song in songs) > 0.1
    assert min(min(abs(song.arousal - 0.5), abs(song.arousal - 0.65)) for song in songs) > 0.06


def test_an_artist_covers_all_five_regions() -> None:
    songs = corpus.plan(small(n_artists=4, songs_per_artist=5), 1)
    for artist in range(4):
        mine = [song for song in songs if song.artist == artist]
        high = [song for song in mine if song.valence > 0.5]
        assert len(mine) == 5
        assert sum(song.arousal > 0.65 for song in high) == 1
        assert sum(song.arousal < 0.5 for song in high) == 1
        assert sum(song.arousal > 0.5 for song in mine if song not in high) == 1


@given(st.integers(1, 2057), st.integers(0, 99))
def test_ids_have_gaps_and_no_twins(n_songs: int, seed: int) -> None:
    ids = corpus.draw_ids(n_songs, np.random.default_rng(seed))
    assert len(set(ids)) == n_songs
    assert ids == sorted(ids)
    assert min(ids) >= 2
    assert max(ids) <= 2058


def test_more_songs_than_ids_are_refused() -> None:
    with pytest.raises(ParameterError, match="too many songs"):
        corpus.plan(small(n_artists=1000, songs_per_artist=3), 1)


def test_arousal_brings_tempo_density_and_brightness() -> None:
    assert composition.tempo_bpm(0.5, 0.9) > composition.tempo_bpm(0.5, 0.2)
    assert len(score_at(0.7, 0.85).notes) > 2 * len(score_at(0.7, 0.2).notes)
    assert centroid_hz(0.7, 0.85) > centroid_hz(0.7, 0.2)


def test_valence_brings_register_and_major_and_takes_roughness() -> None:
    pitches = {value: np.mean([note.pitch for note in score_at(value, 0.3).notes]) for value in (0.2, 0.8)}
    assert pitches[0.8] > pitches[0.2] + 6
    glad, grim = (composition.Bar(0.0, 0.5, value, 0.8, 0, 0) for value in (0.8, 0.2))
    generator = np.random.default_rng(0)
    assert composition.chord_pitches(glad, 0, generator)[1] % 12 == 4  # a major third
    assert composition.chord_pitches(grim, 0, generator)[1] % 12 == 3
    assert len(composition.chord_pitches(grim, 0, generator)) > 3


@given(st.floats(40, 90), st.floats(0.05, 0.5))
def test_a_tone_sounds_at_its_pitch(pitch: float, seconds: float) -> None:
    note = composition.Note(0, 0.4 + seconds, pitch, 0.3, 4.0, 0.01, 9.0, 0.0)
    waveform = synthesis.tone(note, STYLE, 44100)
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(waveform.size), 1 << 18))
    assert np.argmax(spectrum) * 44100 / (1 << 18) == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.02)
