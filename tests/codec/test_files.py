"""Audio files <-> PNG files, as the command line has it."""

import numpy as np
import pytest
import soundfile

from flows.__main__ import main
from tasks.codec import files, forward
from tasks.codec.image import RIFFUSION
from tasks.codec.params import DecodeParams
from tasks.core.errors import AudioError, ParameterError

RATE = 44100
PGHI = DecodeParams(method="pghi", iterations=4)


@pytest.fixture
def wav(tmp_path):
    time = np.arange(6 * RATE) / RATE
    left, right = (0.3 * np.sin(2 * np.pi * hz * time) * np.exp(-(time % 1)) for hz in (300, 700))
    soundfile.write(tmp_path / "song.wav", np.stack([left, right], axis=1), RATE)
    return tmp_path / "song.wav"


def test_a_file_becomes_one_image_of_its_whole_length(wav, tmp_path) -> None:
    written = files.encode_file(wav, tmp_path / "song.png", RIFFUSION, tile=False)
    assert written == [tmp_path / "song.png"]
    assert forward.load(written[0]).pixels.shape == (512, 601)


def test_tiles_are_numbered(wav, tmp_path) -> None:
    written = files.encode_file(wav, tmp_path / "song.png", RIFFUSION, tile=True)
    assert [path.name for path in written] == ["song_0.png", "song_1.png"]
    assert forward.load(written[1]).pixels.shape == (512, 512)


def test_all_channels_of_a_stereo_file(wav, tmp_path) -> None:
    pixels = {}
    for channel in ("left", "right", "mix", "stereo"):
        params = RIFFUSION.model_copy(update={"channel": channel})
        [path] = files.encode_file(wav, tmp_path / f"{channel}.png", params, tile=False)
        pixels[channel] = forward.load(path).pixels
    assert pixels["stereo"].shape == (512, 601, 3)
    assert len({pixels[name].tobytes() for name in ("left", "right", "mix")}) == 3


@pytest.mark.parametrize("ending", ["wav", "mp3", "ogg"])
def test_there_and_back(wav, tmp_path, ending: str) -> None:
    stereo = RIFFUSION.model_copy(update={"channel": "stereo"})
    files.encode_file(wav, tmp_path / "song.png", stereo, tile=False)
    files.decode_file([tmp_path / "song.png"], tmp_path / f"again.{ending}", PGHI, seed=1)
    sound, rate = soundfile.read(tmp_path / f"again.{ending}", always_2d=True)
    assert sound.shape[1] == 2
    assert len(sound) / rate == pytest.approx(6, abs=0.1)
    loudest = [np.abs(np.fft.rfft(side[:rate])).argmax() for side in sound.T]
    assert loudest == pytest.approx([300, 700], abs=5)


def test_tiles_are_joined_to_the_sound_of_the_whole(wav, tmp_path) -> None:
    params = RIFFUSION.model_copy(update={"tile_columns": 256})
    [whole] = files.encode_file(wav, tmp_path / "song.png", params, tile=False)
    tiles = files.encode_file(wav, tmp_path / "song.png", params, tile=True)
    assert [forward.load(tile).first_column for tile in tiles] == [0, 172, 345]
    files.decode_file([whole], tmp_path / "whole.wav", PGHI, seed=1)
    files.decode_file(tiles[::-1], tmp_path / "tiles.wav", PGHI, seed=1)
    assert (tmp_path / "tiles.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


def test_six_channels_are_pictured_as_their_mean(wav, tmp_path) -> None:
    sound, _ = soundfile.read(wav)
    soundfile.write(tmp_path / "six.wav", np.repeat(sound, 3, axis=1), RATE)
    soundfile.write(tmp_path / "mean.wav", sound.mean(axis=1), RATE, subtype="FLOAT")
    pixels = []
    for name in ("six", "mean"):
        files.encode_file(tmp_path / f"{name}.wav", tmp_path / f"{name}.png", RIFFUSION, tile=False)
        pixels.append(forward.load(tmp_path / f"{name}.png").pixels)
    assert (pixels[0] == pixels[1]).mean() > 0.99


def test_another_rate_counts_its_columns_at_44100(tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(48000)), 48000)
    [path] = files.encode_file(tmp_path / "a.wav", tmp_path / "a.png", RIFFUSION, tile=False)
    assert forward.load(path).pixels.shape == (512, 101)


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "a.wav", "a.png", "--channel", "middle"],
        ["decode", "a.png", "a.wav", "--method", "guess"],
        ["decode", "a.png", "a.wav", "--iterations", "-1"],
        ["decode", "a.png", "a.wav", "--seed", "-1"],
    ],
)
def test_options_that_cannot_be_are_told(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert arguments[3] in capsys.readouterr().err


def test_a_lossy_image_is_refused(wav, tmp_path) -> None:
    with pytest.raises(ParameterError, match=r"\.png"):
        files.encode_file(wav, tmp_path / "song.jpg", RIFFUSION, tile=False)


def test_a_clip_too_short_names_its_file(tmp_path) -> None:
    soundfile.write(tmp_path / "click.wav", np.zeros(1000), RATE)
    with pytest.raises(AudioError, match=r"click\.wav"):
        files.encode_file(tmp_path / "click.wav", tmp_path / "a.png", RIFFUSION, tile=False)


def test_real_mp3(real_data, tmp_path) -> None:
    mp3 = real_data / "deam" / "MEMD_audio" / "2.mp3"
    [path] = files.encode_file(mp3, tmp_path / "2.png", RIFFUSION, tile=False)
    assert forward.load(path).pixels.shape[1] == 1 + len(soundfile.read(mp3)[0]) // 441
