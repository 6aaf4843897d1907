"""wav -> images, against librosa as the oracle of every step."""

import struct

import librosa
import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.audio.loudness import loudness
from tasks.codec import forward, mel
from tasks.codec.image import RIFFUSION, RIFFUSION_MAX_VALUE, SpectrogramImage
from tasks.core import windows
from tasks.core.errors import AudioError, ImageError

RATE = 44100


def tones(seconds: float, channels: int = 1) -> np.ndarray:
    """Decaying partials and some noise, different in each channel: float32 [C, N], exact in 16 bits."""
    random = np.random.default_rng(3)
    time = np.arange(round(seconds * RATE)) / RATE
    parts = [np.sin(2 * np.pi * f * (1 + 0.1 * c) * time) for c in range(channels) for f in (110, 440, 3000)]
    sound = np.stack(np.split(np.array(parts), channels)).sum(axis=1) * 0.1 * np.exp(-time)
    sound += 0.003 * random.standard_normal(sound.shape)
    return (np.rint(sound * 32768) / 32768).astype(np.float32)


def librosa_mels(samples: np.ndarray, power: float = 1.0) -> np.ndarray:
    return librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=17640, win_length=4410, hop_length=441, pad_mode="reflect", power=power,
        n_mels=512, fmin=0, fmax=10000, htk=True, norm=None,
    )  # fmt: skip


def test_pixels_are_riffusions_formula_on_librosas_mels() -> None:
    waveform = tones(2.0)
    mels = librosa_mels(waveform[0] * 32768)
    expected = (255 - 255 * (mels / mels.max()) ** 0.25).astype(np.uint8)[::-1]
    made = forward.encode(waveform, RATE, RIFFUSION)
    difference = np.abs(made.pixels.astype(int) - expected)
    assert made.max_value == pytest.approx(mels.max(), rel=1e-5)
    assert (difference == 0).mean() > 0.999
    assert difference.max() <= 1


def test_log_mel_is_librosas_power_to_db() -> None:
    waveform = tones(1.0)
    decibels = librosa.power_to_db(librosa_mels(waveform[0] * 32768, power=2.0), ref=np.max, top_db=80.0)
    made = forward.encode(waveform, RATE, RIFFUSION.model_copy(update={"form": "log_mel"}))
    difference = np.abs(made.pixels.astype(int) - np.rint(-decibels / 80 * 255)[::-1])
    assert (difference == 0).mean() > 0.999
    assert difference.max() <= 1


def test_filters_are_librosas() -> None:
    expected = librosa.filters.mel(sr=RATE, n_fft=17640, n_mels=512, fmin=0, fmax=10000, htk=True, norm=None)
    made = mel.bank_of(RIFFUSION)
    assert np.allclose(made.dense(), expected[:, : made.n_bins], atol=1e-5)
    assert not expected[:, made.n_bins :].any()


def test_frames_are_librosas_stft() -> None:
    samples = tones(0.5)[0]
    frames = np.concatenate(list(forward.windowed_frames(samples, RIFFUSION)))
    expected = librosa.stft(samples, n_fft=17640, win_length=4410, hop_length=441, pad_mode="reflect")
    assert np.allclose(np.abs(np.fft.rfft(frames, 17640)).T, np.abs(expected), atol=1e-3)


@given(st.integers(4410, 30000))
@settings(max_examples=20, deadline=None)
def test_width_counts_hops(n_samples: int) -> None:
    waveform = tones(0.7)[:, :n_samples]
    assert forward.encode(waveform, RATE, RIFFUSION).pixels.shape == (512, 1 + waveform.shape[1] // 441)


def test_mix_is_audioops_floor() -> None:
    samples = np.array([[3.0, -3.0, 5.0], [2.0, -2.0, 5.0]])
    assert forward.choose_channel(samples, "mix").tolist() == [[2.0, -3.0, 5.0]]


@pytest.mark.parametrize(("channel", "plane"), [("left", 1), ("right", 2)])
def test_stereo_planes_are_the_channels(channel: str, plane: int) -> None:
    waveform = tones(0.6, channels=2)
    stereo = forward.encode(waveform, RATE, RIFFUSION.model_copy(update={"channel": "stereo"}))
    single = forward.encode(waveform, RATE, RIFFUSION.model_copy(update={"channel": channel}))
    scaled = 255 - (255 - single.pixels.astype(float)) * (single.max_value / stereo.max_value) ** 0.25
    assert not stereo.pixels[:, :, 0].any()
    assert np.abs(stereo.pixels[:, :, plane] - scaled).max() <= 1.01


def test_silence_is_white() -> None:
    made = forward.encode(np.zeros((1, RATE), np.float32), RATE, RIFFUSION)
    assert made.max_value == 0
    assert (made.pixels == 255).all()


def test_low_frequencies_are_at_the_bottom() -> None:
    low = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)[None].astype(np.float32)
    pixels = forward.encode(low, RATE, RIFFUSION).pixels
    assert pixels[-100:].min() == 0
    assert pixels[:100].min() > 200


def test_another_rate_is_resampled() -> None:
    at_48k = np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000)[None].astype(np.float32)
    made = forward.encode(at_48k, 48000, RIFFUSION)
    loudest = int(made.pixels[::-1, 50].argmin())
    assert made.pixels.shape[1] == 101
    assert mel.mel_to_hz(np.linspace(0, mel.hz_to_mel(10000), 514))[loudest + 1] == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize(
    "waveform",
    [np.zeros((1, 0)), np.zeros(5000), np.zeros((3, 5000)), np.zeros((1, 4409)), np.full((1, 9000), np.nan),
     np.full((2, 9000), np.inf)],
)  # fmt: skip
def test_bad_waveforms_are_errors(waveform: np.ndarray) -> None:
    with pytest.raises(AudioError):
        forward.encode(waveform, RATE, RIFFUSION)


def test_loudness_is_pyloudnorms() -> None:
    waveform = tones(3.0, channels=2)
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    assert loudness(waveform, RATE) == pytest.approx(meter.integrated_loudness(waveform.T), abs=0.05)


def test_ten_seconds_are_two_tiles() -> None:
    assert windows.starts(1001, 512, overlap=0) == [0, 489]


@given(st.integers(1, 5000), st.integers(8, 600))
def test_tiles_cover_the_image(width: int, size: int) -> None:
    starts = windows.starts(width, size, overlap=0)
    covered = np.zeros(max(width, size), bool)
    for start in starts:
        covered[start : start + size] = True
    assert covered.all()
    assert starts[0] == 0
    assert starts[-1] + size == max(width, size)


def test_a_narrow_image_is_padded_with_silence() -> None:
    made = forward.encode(tones(1.0), RATE, RIFFUSION)
    [tile] = forward.tiles(made, RIFFUSION)
    assert (tile.first_column, tile.pixels.shape) == (0, (512, 512))
    assert (tile.pixels[:, 101:] == 255).all()


def test_a_narrow_stereo_image_keeps_red_empty() -> None:
    params = RIFFUSION.model_copy(update={"channel": "stereo"})
    [tile] = forward.tiles(forward.encode(tones(1.0), RATE, params), params)
    assert not tile.pixels[:, :, 0].any()
    assert (tile.pixels[:, 101:, 1:] == 255).all()


def test_a_square_remembers_its_columns() -> None:
    made = forward.encode(tones(2.0), RATE, RIFFUSION)
    [square] = forward.tiles(made, RIFFUSION.model_copy(update={"tiling": "square"}))
    assert square.pixels.shape == (512, 512)
    assert square.columns == 201


@pytest.mark.parametrize("channel", ["mix", "stereo"])
@pytest.mark.parametrize("form", ["riffusion", "log_mel"])
def test_a_file_gives_the_image_back(tmp_path, channel: str, form: str) -> None:
    params = RIFFUSION.model_copy(update={"channel": channel, "form": form, "top_db": 70.0})
    made = forward.encode(tones(0.5, channels=2), RATE, params)
    forward.save(made, tmp_path / "a.png")
    read = forward.load(tmp_path / "a.png")
    assert (read.pixels == made.pixels).all()
    assert (read.max_value, read.loudness_lufs, read.columns) == (made.max_value, made.loudness_lufs, made.columns)
    assert read.params == params


def test_a_resized_file_remembers_its_columns(tmp_path) -> None:
    made = forward.encode(tones(2.0), RATE, RIFFUSION)
    forward.save(forward.resized(made, 128, 128), tmp_path / "a.png")
    assert forward.load(tmp_path / "a.png").columns == 201


def test_tags_are_riffusions(tmp_path) -> None:
    made = forward.encode(tones(0.5), RATE, RIFFUSION)
    forward.save(made, tmp_path / "a.png", three_channels=True)
    with Image.open(tmp_path / "a.png") as image:
        exif, mode = dict(image.getexif()), image.mode
    assert mode == "RGB"
    assert exif == {
        11000: 44100, 11005: 0, 11010: 10, 11020: 100, 11030: 400, 11040: 512, 11050: 0, 11060: 10000,
        11070: 0.25, 11080: made.max_value,
    }  # fmt: skip


def test_tags_are_stored_as_riffusion_stores_them(tmp_path) -> None:
    forward.save(forward.encode(tones(0.5), RATE, RIFFUSION), tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    tiff = content[content.index(b"eXIf") + 4 :]
    short, double = 3, 12
    stored = [struct.unpack_from(">HHI", tiff, 10 + 12 * index) for index in range(tiff[9])]
    assert tiff[:8] == b"MM\0\x2a\0\0\0\x08"  # big-endian
    assert stored == [
        *((tag, short, 1) for tag in (11000, 11005, 11010, 11020, 11030, 11040, 11050, 11060)),
        *((tag, double, 1) for tag in (11070, 11080)),
    ]


def test_equal_images_give_equal_bytes(tmp_path) -> None:
    for name in ("a.png", "b.png"):
        forward.save(forward.encode(tones(0.5), RATE, RIFFUSION), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_an_image_without_tags_is_read_as_riffusions(tmp_path) -> None:
    Image.fromarray(np.full((512, 60), 9, np.uint8)).save(tmp_path / "a.png")
    read = forward.load(tmp_path / "a.png")
    assert read.params == RIFFUSION
    assert read.max_value == RIFFUSION_MAX_VALUE


def test_nearly_grey_channels_are_averaged(tmp_path) -> None:
    pixels = np.full((64, 64, 3), 100, np.uint8) + np.array([0, 2, 4], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (forward.load(tmp_path / "a.png").pixels == 102).all()


def photograph(path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)


def sixteen_bits(path) -> None:
    Image.fromarray(np.full((64, 64), 4000, np.uint16)).save(path)


def text(path) -> None:
    path.write_text("not an image")


def absurd_tags(path) -> None:
    exif = Image.Exif()
    exif[11000], exif[11040] = 3, 0
    Image.new("L", (64, 64)).save(path, exif=exif)


def cut_short(path) -> None:
    photograph(path)
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize("write", [photograph, sixteen_bits, text, absurd_tags, cut_short])
def test_no_spectrogram_is_an_error(tmp_path, write) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png"):
        forward.load(tmp_path / "a.png")


def test_resizing_keeps_the_mean() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    small = forward.resized(SpectrogramImage(pixels, 1.0, None, RIFFUSION), 128, 128)
    expected = pixels.reshape(128, 4, 128, 4).mean(axis=(1, 3))
    assert np.abs(small.pixels - expected).max() <= 1
    assert small.columns == 512
