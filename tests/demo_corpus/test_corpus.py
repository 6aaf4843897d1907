"""Laws of the demo corpus: it is DEAM in form, deterministic, and its sound follows valence and arousal."""

import csv
import hashlib
import io
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tasks.audio.loudness import loudness
from tasks.core.errors import ParameterError
from tasks.demo_corpus import corpus, cues, deam_format, harmony, melody, rendering, scores, styles
from tasks.demo_corpus.bars import Bar, Plan, bars, draw_plan
from tasks.demo_corpus.composition import compose
from tasks.demo_corpus.cues import CUES, Expression, Habit, express
from tasks.download.params import CorpusParams

EVEN = {name: Habit(1.0, 0.0) for name in CUES}
EXACT = dict.fromkeys(CUES, 0.0)
STYLE = replace(styles.draw_style(5, 0), habits=EVEN, beats=4, groove="rock", pad=styles.PADS[0])
ARTISTS = [styles.draw_style(seed, index) for index, seed in enumerate(range(400))]


def small(**changes: object) -> CorpusParams:
    values = {"namespace": "tests", "n_artists": 3, "songs_per_artist": 5, "seconds": 16.0, "raters": 10}
    return CorpusParams.model_validate(values | {"rating_std": 1.0, "swap_until_id": 1000} | changes)


FEW = small(songs_per_artist=2, seconds=6.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("corpus")
    corpus.render(target, FEW, seed=1, workers=1)
    return target


def member(folder: Path, archive: str, name: str) -> bytes:
    with zipfile.ZipFile(folder / archive) as file:
        return file.read(next(path for path in file.namelist() if path.endswith(name)))


def score_at(valence: float, arousal: float, style: styles.Style = STYLE, seconds: float = 16.0) -> scores.Score:
    return compose(style, lambda _: valence, lambda _: arousal, seconds, np.random.default_rng(3))


def sound_of(score: scores.Score, rate: int = 22050) -> np.ndarray:
    return rendering.waveform(score, STYLE, rate, 1, np.random.default_rng(0))[0]


def words_at(valence: float, arousal: float) -> Expression:
    return express(valence, arousal, EVEN, EXACT)


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
    data = corpus.mp3(song)
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


def test_songs_lie_near_the_borders_of_the_classes_too() -> None:
    songs = corpus.plan(small(n_artists=100, songs_per_artist=6), 1)
    for axis, border in (("valence", 0.5), ("arousal", 0.5), ("arousal", 0.65)):
        values = [getattr(song, axis) for song in songs]
        assert any(border - 0.05 < value < border for value in values)
        assert any(border < value < border + 0.05 for value in values)
        assert min(values) < 0.15
        assert max(values) > 0.85


def test_an_artist_covers_all_five_regions() -> None:
    songs = corpus.plan(small(n_artists=4, songs_per_artist=5), 1)
    for artist in range(4):
        mine = [song for song in songs if song.artist == artist]
        high = [song for song in mine if song.valence > 0.5]
        assert len(mine) == 5
        assert sum(song.arousal > 0.65 for song in high) == 1
        assert sum(song.arousal < 0.5 for song in high) == 1
        assert sum(song.arousal > 0.5 for song in mine if song not in high) == 1


@pytest.mark.parametrize(("seed", "namespace"), [(2, "tests"), (1, "others")])
def test_another_seed_or_namespace_shares_no_artist_and_no_song(seed: int, namespace: str) -> None:
    ours = corpus.plan(small(n_artists=16, songs_per_artist=6), 1)
    others = corpus.plan(small(n_artists=100, songs_per_artist=6, namespace=namespace), seed)
    for fact in ("artist_name", "artist_seed", "seed"):
        assert not {getattr(song, fact) for song in ours} & {getattr(song, fact) for song in others}


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_names_are_equal_where_artists_are(one: int, other: int) -> None:
    assert (styles.artist_name(one) == styles.artist_name(other)) == (one == other)
    assert styles.artist_name(one).replace(" ", "").isalpha()


def test_what_is_the_artists_says_nothing_about_the_emotion() -> None:
    songs = corpus.plan(small(n_artists=100, songs_per_artist=6), 1)
    drawn = {song.artist: styles.draw_style(song.artist_seed, song.artist) for song in songs}
    facts = np.array([_facts(drawn[song.artist]) for song in songs])
    emotions = np.array([(song.valence, song.arousal) for song in songs])
    between = np.corrcoef(facts.T, emotions.T)[: facts.shape[1], facts.shape[1] :]
    assert np.abs(between).max() < 4 / np.sqrt(len(songs))  # 4 standard errors


def _facts(style: styles.Style) -> list[float]:
    offsets = [habit.offset for habit in style.habits.values()]
    strengths = [habit.strength for habit in style.habits.values()]
    numbers = [style.lead.program, style.lead.low, style.beats, style.swing, *style.tempo_bpm, style.room]
    return [*numbers, style.groove is None, style.pad is None, style.hiss_db, *offsets, *strengths]


def test_artists_differ_and_together_play_every_family() -> None:
    few = ARTISTS[:16]
    played = {one.family for style in few for one in (style.lead, style.chords, style.bass, style.pad) if one}
    assert {"piano", "strings", "guitar", "wind", "bass"} <= played
    assert sum(style.groove is not None for style in few) >= 12
    looks = Counter((style.lead, style.chords, style.pad, style.groove, style.figure) for style in few)
    assert max(looks.values()) == 1


@pytest.mark.parametrize("cue", list(CUES))
def test_every_cue_follows_the_emotion_on_average_and_never_exactly(cue: str) -> None:
    generator = np.random.default_rng(1)
    points = generator.uniform(0.06, 0.94, (400, 2))
    read = [
        getattr(express(*point, style.habits, cues.draw_errors(generator)), cue)
        for point, style in zip(points, ARTISTS, strict=True)
    ]
    meant = points @ np.array(CUES[cue][1:])
    assert 0.8 < np.corrcoef(read, meant)[0, 1] < 0.995


def test_more_arousal_is_faster_denser_louder_shorter() -> None:
    calm, wild = score_at(0.7, 0.15), score_at(0.7, 0.85)
    assert wild.n_notes > 2 * calm.n_notes
    assert wild.loudness > calm.loudness + 0.5
    for fact, factor in (("velocity", 1.3), ("seconds", 0.5)):
        slow, fast = (np.mean([getattr(note, fact) for note in score.parts["lead"]]) for score in (calm, wild))
        assert fast / slow > factor if factor > 1 else fast / slow < factor
    plans = [draw_plan(STYLE, words_at(0.7, value), np.random.default_rng(0)) for value in (0.15, 0.85)]
    assert plans[0].beat > 1.5 * plans[1].beat


def test_more_valence_is_higher_and_major() -> None:
    pitches = [np.mean([note.pitch for note in score_at(value, 0.4).parts["lead"]]) for value in (0.2, 0.8)]
    assert pitches[1] > pitches[0] + 8
    modes = [harmony.mode_of(words_at(value, 0.5).mode) for value in (0.05, 0.3, 0.53, 0.9)]
    assert modes == ["phrygian", "aeolian", "mixolydian", "ionian"]


def test_drums_begin_with_drive_and_tension_breaks_the_rhythm() -> None:
    assert not score_at(0.7, 0.1).parts["drums"]
    assert len(score_at(0.7, 0.9).parts["drums"]) > 50
    tense, glad = (Counter(note.pitch for note in score_at(value, 0.8).parts["drums"]) for value in (0.1, 0.9))
    toms = {50, 47, 45, 41}
    assert sum(tense[key] for key in toms) > sum(glad[key] for key in toms)


@given(st.sampled_from(list(harmony.MODES)), st.integers(0, 11), st.integers(0, 6))
def test_chords_are_of_their_key_but_for_the_leading_note(mode: str, tonic: int, degree: int) -> None:
    key = harmony.Key(tonic, mode)
    scale = {(tonic + step) % 12 for step in harmony.MODES[mode]}
    allowed = {4: scale | {(tonic + 11) % 12}, 6: scale | {(tonic + 10) % 12}}.get(degree, scale)
    pitches = harmony.chord_pitches(key, degree)
    assert {pitch % 12 for pitch in pitches} <= allowed
    assert max(harmony.close_voicing(pitches, 60.0)) - min(harmony.close_voicing(pitches, 60.0)) <= 12


@pytest.mark.parametrize("period", harmony.PERIODS)
def test_antecedents_end_open_and_consequents_on_the_tonic(period: harmony.Period) -> None:
    assert period[0][-1] == harmony.DOMINANT
    assert period[1][-1] == 0


def piece(n_bars: int = 16) -> list[Bar]:
    plan = draw_plan(STYLE, words_at(0.8, 0.55), np.random.default_rng(0))
    return list(bars(plan, lambda _: words_at(0.8, 0.55), n_bars * plan.beats * plan.beat))


def tune(bar: Bar, motif: melody.Motif) -> list[scores.Note]:
    return list(melody.melody(bar, motif, STYLE, np.random.default_rng(0)))


def test_a_theme_comes_back_and_its_consequent_closes_on_the_tonic() -> None:
    written = piece()
    motif = melody.draw_motif(STYLE, 0, written[0].plan.level, written[0].plan.beats, np.random.default_rng(0))
    lines = [[note.pitch for note in tune(bar, motif)] for bar in written]
    themes = [bar.theme for bar in written]
    assert lines[0] == lines[4]  # the consequent begins as the antecedent
    assert lines[7][-1] % 12 == written[0].plan.key.tonic
    assert (lines[0] == lines[8]) == (themes[0] == themes[8])


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.integers(0, 399))
def test_bars_are_filled_and_notes_lie_inside_the_piece(valence: float, arousal: float, artist: int) -> None:
    score = score_at(valence, arousal, ARTISTS[artist], 6.0)
    notes = [note for part in scores.PARTS for note in score.parts[part]]
    assert all(0 <= note.start < 6.0 and note.seconds > 0 for note in notes)
    assert all(20 <= note.pitch <= 108 and 1 <= note.velocity <= 127 for note in notes)
    assert len(score.parts["lead"]) >= 2


@given(st.floats(0.5, 4), st.sampled_from([cell for level in melody.CELLS for cell in level]))
def test_a_rhythm_fits_what_is_left_of_the_bar(beats: float, rhythm: tuple[float, ...]) -> None:
    assert sum(melody.fitting(rhythm, beats)) == pytest.approx(beats)


def test_second_eighths_swing_and_nothing_else_does() -> None:
    plan = Plan(harmony.Key(0, "ionian"), 0.5, 4, 0.16, "aaba", 2, harmony.PERIODS[:3])
    bar = Bar(0, 0.0, plan, 0, 0, words_at(0.5, 0.5))
    assert [bar.time(place) for place in (0, 0.5, 1, 1.25)] == pytest.approx([0, 0.33, 0.5, 0.625])


def test_a_note_sounds_at_its_pitch() -> None:
    score = scores.Score(2.0)
    score.parts["lead"] = [scores.Note(0.0, 1.9, 69, 100)]
    spectrum = np.abs(np.fft.rfft(sound_of(score), 1 << 17))
    assert np.argmax(spectrum) * 22050 / (1 << 17) == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_a_song_has_its_length_and_peak_at_any_rate_and_is_never_clipped(rate: int) -> None:
    for arousal in (0.06, 0.94):
        score = score_at(0.3, arousal, seconds=5.0)
        waveform = sound_of(score, rate)
        assert waveform.shape == (5 * rate,)
        assert np.abs(waveform).max() == pytest.approx(rendering.peak_level(score.loudness), rel=0.01)
        assert np.abs(waveform).max() < 0.8


def test_loudness_rises_with_arousal_within_what_recordings_have() -> None:
    soft, loud = (loudness(sound_of(score_at(0.6, value))[None], 22050) for value in (0.1, 0.9))
    assert -45 < soft < loud - 8
    assert loud < -8


def test_a_room_rings_on_after_the_music() -> None:
    score = scores.Score(2.0)
    score.parts["chords"] = [scores.Note(0.0, 0.3, 60, 120)]
    dry, wet = (replace(STYLE, room=room, hiss_db=-200.0) for room in (0, 127))
    heard = [rendering.waveform(score, style, 22050, 1, np.random.default_rng(0))[0, 20000:] for style in (dry, wet)]
    assert np.square(heard[1]).sum() > 4 * np.square(heard[0]).sum()


def test_stereo_songs_have_two_different_channels() -> None:
    score = score_at(0.6, 0.5, seconds=5.0)
    sides = rendering.waveform(score, STYLE, 44100, 2, np.random.default_rng(0))
    assert sides.shape == (2, 5 * 44100)
    assert np.abs(sides[0] - sides[1]).max() > 0.01


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
