"""The stage: segments of a WAV become named images and rows, also their changed copies."""

import re

import numpy as np
import pytest
import soundfile

from tasks.codec import forward
from tasks.codec.image import RIFFUSION
from tasks.core.errors import AudioError, ParameterError
from tasks.spectrogram import augmentation, render
from tests.codec.test_forward import RATE, tones


def segment_row(**changes: object) -> dict[str, object]:
    row = {"song_id": 5, "segment": 2, "start_seconds": 1.0, "length_seconds": 10.0, "start_sample": RATE}
    return row | {"n_samples": 10 * RATE, "padded": False} | changes


def test_a_segment_becomes_named_tiles(tmp_path) -> None:
    soundfile.write(tmp_path / "5.wav", tones(12.0, channels=2).T, RATE)
    rows = render.render_song(tmp_path / "5.wav", [segment_row()], RIFFUSION, tmp_path / "out", 1)
    whole = forward.encode(tones(12.0, channels=2)[:, RATE : 11 * RATE], RATE, RIFFUSION)
    second = forward.load(tmp_path / "out" / "00005_002_1.png")
    assert [row["file"] for row in rows] == ["00005_002_0.png", "00005_002_1.png"]
    assert [row["start_seconds"] for row in rows] == pytest.approx([1.0, 5.89])
    assert (second.pixels == whole.pixels[:, 489:]).all()
    assert rows[1]["max_value"] == second.max_value == whole.max_value


@pytest.mark.parametrize("seconds", [4.0, 10.5])
def test_a_song_cut_short_is_an_error(tmp_path, seconds: float) -> None:
    soundfile.write(tmp_path / "5.wav", tones(seconds).T, RATE)
    with pytest.raises(AudioError, match=r"beyond the end(?s:.*)5\.wav"):
        render.segment_waveform(tmp_path / "5.wav", segment_row(), "", 1)


def test_a_broken_wav_is_an_error(tmp_path) -> None:
    (tmp_path / "5.wav").write_bytes(b"RIFF and no more")
    with pytest.raises(AudioError, match=r"5\.wav"):
        render.segment_waveform(tmp_path / "5.wav", segment_row(), "", 1)


def test_a_padded_segment_ends_white(tmp_path) -> None:
    soundfile.write(tmp_path / "5.wav", tones(4.0).T, RATE)
    row = segment_row(n_samples=3 * RATE, padded=True)
    render.render_segment(tmp_path / "5.wav", row, RIFFUSION, tmp_path, 1)
    assert (forward.load(tmp_path / "00005_002_1.png").pixels == 255).all()


@pytest.mark.parametrize(("word", "hz", "tolerance"), [("pitch+2", 493.9, 0.01), ("stretch1.1", 440, 0.02)])
def test_augmented_copies_change_what_they_say(tmp_path, word: str, hz: float, tolerance: float) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)
    soundfile.write(tmp_path / "5.wav", tone, RATE)
    row = segment_row(n_samples=2 * RATE, length_seconds=2.0)
    waveform, _ = render.segment_waveform(tmp_path / "5.wav", row, word, 1)
    crossings = np.sum(np.diff(np.signbit(waveform[0, 4000:-4000]))) / 2
    assert waveform.shape == (1, 2 * RATE)
    assert crossings / ((2 * RATE - 8000) / RATE) == pytest.approx(hz, rel=tolerance)


def test_added_noise_is_as_far_below_as_asked(tmp_path) -> None:
    soundfile.write(tmp_path / "5.wav", tones(3.0).T, RATE)
    row = segment_row(n_samples=2 * RATE, length_seconds=2.0)
    clean, _ = render.segment_waveform(tmp_path / "5.wav", row, "", 1)
    noisy, _ = render.segment_waveform(tmp_path / "5.wav", row, "noise30", 1)
    assert 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)) == pytest.approx(30, abs=0.2)


@pytest.mark.parametrize("word", ["echo3", "stretch1.2", "pitch", "pitch+3", "noise10"])
def test_an_unknown_augmentation_is_an_error(word: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(word)):
        augmentation.parse(word)


def test_the_table_has_the_declared_columns_in_order(tmp_path) -> None:
    soundfile.write(tmp_path / "5.wav", tones(12.0).T, RATE)
    rows = render.render_song(tmp_path / "5.wav", [segment_row()], RIFFUSION, tmp_path / "out", 1)
    table = render.manifest(rows[::-1])
    assert [list(row) for row in rows] == 2 * [list(render.COLUMNS)]
    assert list(table.columns) == list(render.COLUMNS)
    assert table["tile"].tolist() == [0, 1]
