"""Songs that are what they say, and songs that are not: each is a WAV with a row, or a row with a reason."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyloudnorm
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.audio import decoding, write
from tasks.audio.decoding import decode, native_stderr
from tasks.convert import convert as audio_convert
from tasks.convert.params import ConvertParams
from tasks.core.errors import AudioError, InputError

RATE = 44100


@pytest.fixture
def params(demo_params) -> ConvertParams:
    return demo_params.convert


def tone(seconds: float = 6.0, rate: int = RATE, level: float = 0.5, channels: int = 1) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


def encoded(waveform: np.ndarray, form: str, subtype: str | None = None, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.T, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def convert(tmp_path: Path, content: bytes, params: ConvertParams, name: str = "17.mp3") -> dict:
    source = tmp_path / name
    source.write_bytes(content)
    return audio_convert.convert_song(17, source, tmp_path / "wav", params)


@pytest.mark.parametrize("form", ["MP3", "WAV", "FLAC", "OGG", "AIFF"])
def test_a_song_becomes_a_wav_of_the_wanted_rate(tmp_path, params, form):
    row = convert(tmp_path, encoded(tone(rate=48000), form, rate=48000), params, f"17.{form.lower()}")
    samples, rate = soundfile.read(tmp_path / "wav" / "17.wav", dtype="int16")
    assert (row["status"], row["flags"], row["decoder"]) == ("ok", "", "libsndfile")
    assert (rate, len(samples)) == (RATE, row["n_samples"])
    assert row["duration_seconds"] == pytest.approx(6.0, abs=0.06)
    assert row["peak_dbfs"] == pytest.approx(-6.0, abs=1.5)  # MP3 overshoots where the tone sets in
    assert row["source_sample_rate_hz"] == 48000


@pytest.mark.parametrize(
    ("channels", "wanted", "got"), [(1, "keep", 1), (2, "keep", 2), (2, "mono", 1), (6, "keep", 1)]
)
def test_channels_are_kept_or_mixed_down(tmp_path, params, channels, wanted, got):
    params = params.model_copy(update={"channels": wanted})
    row = convert(tmp_path, encoded(tone(channels=channels), "WAV"), params, "17.wav")
    assert (row["status"], row["channels"]) == ("ok", got)
    assert ("mixed_down" in row["flags"]) == (channels == 6)


def test_resampling_keeps_pitch_and_length(tmp_path, params):
    convert(tmp_path, encoded(tone(rate=22050), "WAV", rate=22050), params, "17.wav")
    samples, _ = soundfile.read(tmp_path / "wav" / "17.wav")
    loudest = np.argmax(np.abs(np.fft.rfft(samples[:RATE])))
    assert loudest == 440
    assert len(samples) == 6 * RATE


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_a_wav_gives_back_every_16_bit_sample(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("wav") / "1.wav"
    samples = np.array([values], dtype=np.int16)
    write.write_wav(path, samples / np.float32(32768), RATE)
    again, _ = soundfile.read(path, dtype="int16", always_2d=True)
    np.testing.assert_array_equal(again.T, samples)


def test_the_same_song_gives_the_same_bytes_and_row(tmp_path, params):
    content = encoded(tone(channels=2, rate=32000), "MP3", rate=32000)
    first = convert(tmp_path, content, params)
    bytes_of_first = (tmp_path / "wav" / "17.wav").read_bytes()
    assert convert(tmp_path, content, params) == first
    assert (tmp_path / "wav" / "17.wav").read_bytes() == bytes_of_first


def test_loudness_is_that_of_pyloudnorm(tmp_path, params):
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 6 * RATE)).astype(np.float32)
    row = convert(tmp_path, encoded(noise, "WAV"), params, "17.wav")
    samples, _ = soundfile.read(tmp_path / "wav" / "17.wav")
    assert row["loudness_lufs"] == pytest.approx(pyloudnorm.Meter(RATE).integrated_loudness(samples), abs=0.05)


def test_a_clip_shorter_than_a_loudness_block_has_a_loudness(tmp_path, params):
    params = params.model_copy(update={"min_seconds": 0})
    row = convert(tmp_path, encoded(tone(0.2), "WAV"), params, "17.wav")
    longer = convert(tmp_path, encoded(tone(2.0), "WAV"), params, "17.wav")
    assert row["loudness_lufs"] == pytest.approx(longer["loudness_lufs"], abs=0.5)


def wav_with(field: slice, value: int) -> bytes:
    content = bytearray(encoded(tone(), "WAV"))
    content[field] = value.to_bytes(field.stop - field.start, "little")
    return bytes(content)


REJECTED = {
    "empty": ("17.mp3", b"", "empty file"),
    "text": ("17.mp3", b"<html><body>404 Not Found</body></html>" * 50, "text file"),
    "picture": ("17.mp3", b"\x89PNG\r\n\x1a\n" + bytes(5000), "not audio"),
    "noise": ("17.mp3", np.random.default_rng(0).bytes(100_000), "cannot be decoded"),
    "header only": ("17.wav", encoded(tone(), "WAV")[:44], "no samples"),
    "half a header": ("17.wav", encoded(tone(), "WAV")[:20], "cannot be decoded"),
    "no channels": ("17.wav", wav_with(slice(22, 24), 0), "cannot be decoded"),
    "1 Hz": ("17.wav", wav_with(slice(24, 28), 1), "wrong header"),
    "short": ("17.mp3", encoded(tone(2.0), "MP3"), "too short"),
    "zeros": ("17.mp3", encoded(tone(level=0.0), "MP3"), "silent"),
    "whisper": ("17.wav", encoded(tone(level=1e-4), "WAV", "FLOAT"), "silent"),
    "not a number": ("17.wav", encoded(tone() * np.float32("nan"), "WAV", "FLOAT"), "not finite"),
}


@pytest.mark.parametrize("case", sorted(REJECTED))
def test_what_cannot_be_used_is_a_row_with_its_reason(tmp_path, params, case):
    name, content, reason = REJECTED[case]
    row = convert(tmp_path, content, params, name)
    assert (row["status"], row["file"]) == ("rejected", None)
    assert reason in row["reason"]
    assert str(tmp_path) not in row["reason"]
    assert not (tmp_path / "wav").exists()


FLAGGED = {
    "truncated mp3": ("17.mp3", lambda: encoded(tone(20), "MP3")[:50_000], "truncated", "announces 20.0"),
    "truncated wav": ("17.wav", lambda: encoded(tone(20), "WAV")[:1_000_000], "truncated", "announces 20.00 s"),
    "wav named mp3": ("17.mp3", lambda: encoded(tone(), "WAV"), "mislabelled", "holds WAV"),
    "mp3 named wav": ("17.wav", lambda: encoded(tone(), "MP3"), "mislabelled", "holds MP3"),
    "clipped": ("17.wav", lambda: encoded(np.clip(tone(level=3.0), -1, 1), "WAV"), "clipped", "at full scale"),
    "overshoot": ("17.wav", lambda: encoded(tone(level=1.2), "WAV", "FLOAT"), "attenuated", "down by 1.58 dB"),
    "cover art": ("17.mp3", lambda: id3_with_picture(400_000) + encoded(tone(), "MP3"), "cover_art", ""),
}


def id3_with_picture(n_bytes: int) -> bytes:
    body = b"\0image/jpeg\0\3\0" + np.random.default_rng(2).bytes(n_bytes)
    frame = b"APIC" + synchsafe(len(body)) + b"\0\0" + body
    return b"ID3\4\0\0" + synchsafe(len(frame)) + frame


def synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


@pytest.mark.parametrize("case", sorted(FLAGGED))
def test_a_blemish_is_a_flag_with_its_meaning(tmp_path, params, case):
    name, make, flag, meaning = FLAGGED[case]
    row = convert(tmp_path, make(), params, name)
    assert row["status"] == "ok"
    assert flag in row["flags"].split(",")
    assert meaning in row["reason"]
    assert row["peak_dbfs"] <= 0


def test_cover_art_does_not_change_the_sound(tmp_path, params):
    content = encoded(tone(), "MP3")
    plain = convert(tmp_path, content, params)
    decorated = convert(tmp_path, id3_with_picture(300_000) + content, params)
    assert decorated["sha256"] == plain["sha256"]


def test_bytes_lost_in_the_middle_are_told(tmp_path, params):
    content = encoded(np.random.default_rng(3).normal(0, 0.1, (1, 20 * RATE)), "MP3")
    damaged = content[:100_000] + bytes(30_000) + content[130_000:]
    row = convert(tmp_path, damaged, params)
    assert (row["status"], row["flags"]) == ("ok", "damaged")
    assert 14 < row["duration_seconds"] < 20


def test_overshoot_is_scaled_not_cut(tmp_path, params):
    loud = tone(level=1.2)
    convert(tmp_path, encoded(loud, "WAV", "FLOAT"), params, "17.wav")
    samples, _ = soundfile.read(tmp_path / "wav" / "17.wav")
    np.testing.assert_allclose(samples, loud[0] / 1.2, atol=1e-4)


def test_what_libsndfile_cannot_read_goes_to_ffmpeg(tmp_path, params):
    soundfile.write(tmp_path / "tone.wav", tone()[0], RATE)
    command = [decoding.ffmpeg(), "-v", "error", "-i", tmp_path / "tone.wav", tmp_path / "17.m4a"]
    subprocess.run(command, check=True)
    row = audio_convert.convert_song(17, tmp_path / "17.m4a", tmp_path / "wav", params)
    assert (row["status"], row["flags"], row["decoder"]) == ("ok", "", "ffmpeg")
    assert row["duration_seconds"] == pytest.approx(6.0, abs=0.1)


def test_ffmpeg_decodes_as_it_does_by_itself(tmp_path):
    music = np.random.default_rng(4).normal(0, 0.1, (2, 3 * RATE))
    (tmp_path / "17.mp3").write_bytes(encoded(music, "MP3"))
    command = [decoding.ffmpeg(), "-v", "error", "-i", tmp_path / "17.mp3", "-f", "s16le", "-"]
    plain = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<i2")
    ours = decoding.decode_with_ffmpeg(tmp_path / "17.mp3", AudioError("not decoded yet"))
    assert (ours.waveform.T.ravel() * 32768 == plain).all()  # the decoder that ffmpeg chooses, Riffusion's


def test_without_ffmpeg_the_message_says_so(tmp_path, params, monkeypatch):
    monkeypatch.setattr(decoding, "ffmpeg", lambda: None)
    row = convert(tmp_path, b"\0\0\0\x20ftypM4A " + bytes(9000), params, "17.m4a")
    assert row["status"] == "rejected"
    assert "ffmpeg, which reads more, is not installed" in row["reason"]


def test_the_mp3_decoder_is_quiet_and_others_are_not(tmp_path, params, capfd):
    with native_stderr() as noise:
        os.write(2, b"Note: Trying to resync...\nthe disk is on fire\n")
    assert noise == ["Note: Trying to resync..."]
    assert capfd.readouterr().err == "the disk is on fire\n"


def test_real_clips_are_all_usable(real_data, tmp_path, params, capfd):
    clips = audio_convert.song_files(real_data / "deam" / "MEMD_audio")
    rows = [audio_convert.convert_song(song_id, path, tmp_path, params) for song_id, path in clips.items()]
    assert [row["song_id"] for row in rows] == [2, 3, 4, 5, 7]
    assert {row["status"] for row in rows} == {"ok"}
    assert [row["flags"] for row in rows] == ["", "cover_art", "cover_art", "cover_art", ""]
    assert all(44.9 < row["duration_seconds"] < 45.2 for row in rows)
    assert capfd.readouterr().err == ""


def test_song_files_are_known_by_their_id(tmp_path):
    for name in ("10.mp3", "9.wav", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    assert [(song_id, path.name) for song_id, path in audio_convert.song_files(tmp_path).items()] == [
        (9, "9.wav"),
        (10, "10.mp3"),
    ]


@pytest.mark.parametrize("names", [["1.mp3", "01.wav"], ["intro.mp3"], []])
def test_files_without_a_song_of_their_own_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError):
        audio_convert.song_files(tmp_path)


def test_the_manifest_has_the_same_types_with_and_without_rejected_songs(tmp_path, params):
    good, bad = convert(tmp_path, encoded(tone(), "MP3"), params), convert(tmp_path, b"", params)
    tables = [audio_convert.manifest(rows) for rows in ([good], [bad | {"song_id": 18}, good], [])]
    assert all((table.dtypes == tables[0].dtypes).all() for table in tables)
    assert list(tables[1].song_id) == [17, 18]
    assert tables[1].file.isna().tolist() == [False, True]
    tables[1].to_parquet(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "m.parquet"), tables[1])


def test_too_many_rejected_songs_stop_the_stage(params):
    rows = [(1, "ok", "1.mp3", ""), (2, "rejected", "2.mp3", "empty file")]
    table = pd.DataFrame(rows, columns=["song_id", "status", "source_file", "reason"])
    with pytest.raises(AudioError, match=r"1 of 2 songs[\s\S]*2\.mp3: empty file"):
        audio_convert.check_rejected(table, params)
    audio_convert.check_rejected(table, params.model_copy(update={"max_rejected_share": 0.5}))
    with pytest.raises(AudioError):
        audio_convert.check_rejected(table[1:], params.model_copy(update={"max_rejected_share": 1.0}))


@pytest.mark.parametrize("ending", [".mp3", ".ogg"])
def test_listening_files_are_small_sound_right_and_repeat(tmp_path, ending):
    sound = tone(3.0, channels=2)
    for name in ("a", "b"):
        write.write_listening(tmp_path / (name + ending), sound, RATE)
    content = (tmp_path / ("a" + ending)).read_bytes()
    heard = decode(tmp_path / ("a" + ending))
    assert content == (tmp_path / ("b" + ending)).read_bytes()
    assert len(content) < 3 * 20_000
    assert heard.waveform.shape[1] / heard.sample_rate_hz == pytest.approx(3.0, abs=0.06)
    assert np.sqrt(np.mean(heard.waveform**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_a_waveform_that_is_none_is_not_written(tmp_path):
    for waveform in (np.zeros((1, 0)), np.zeros(9), np.full((1, 9), np.inf)):
        with pytest.raises(AudioError, match="no waveform"):
            write.write_wav(tmp_path / "1.wav", waveform, RATE)
    with pytest.raises(AudioError, match="not a listening format"):
        write.write_listening(tmp_path / "1.xyz", tone(), RATE)
    assert list(tmp_path.iterdir()) == []
