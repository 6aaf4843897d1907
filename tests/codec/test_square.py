"""One square image stands for a whole segment: clicks 1.00 s apart stay 1.00 s apart, whatever the way."""

import copy
from pathlib import Path

import numpy as np
import pytest

from tasks.apps import single_clip
from tasks.apps.playground import Playground
from tasks.codec import forward, inversion
from tasks.codec.image import SpectrogramImage
from tasks.codec.params import SpectrogramParams
from tasks.evaluate import clips, describe
from tasks.generate import sampling
from tasks.settings import Params, parse
from tests import small_models
from tests.clicks import RATE, clicks, seconds_apart

SEGMENT_SECONDS = 10.0
RESOLUTION = 128


@pytest.fixture(scope="module")
def params() -> Params:
    """The demo's parameters with one square image per segment of 10 s, and clips as long."""
    values = small_models.demo_params().model_dump()
    values["spectrogram"]["tiling"] = "square"
    values["generate"] |= {"seconds": SEGMENT_SECONDS, "decode": {"method": "pghi", "iterations": 2}}
    return parse(values, "params.yaml")


@pytest.fixture(scope="module")
def square(params: Params) -> SpectrogramImage:
    """The spectrogram stage's image of a segment of clicks."""
    [image] = forward.tiles(forward.encode(clicks(SEGMENT_SECONDS), RATE, params.spectrogram), params.spectrogram)
    return image


@pytest.fixture
def drawn(square: SpectrogramImage, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes the model draw that image, side by side where a piece is longer; the latent lengths asked for."""
    lengths = []
    pixels = forward.resized(square, RESOLUTION, RESOLUTION).pixels

    def draw(model: object, prompts: list[str], seeds: list[int], params: object, length: int) -> np.ndarray:
        lengths.append(length)
        return np.stack([np.tile(pixels, (1, length // model.width))] * len(prompts))

    monkeypatch.setattr(sampling, "generate_long", draw)
    return lengths


def sound(folder: Path, row: dict) -> np.ndarray:
    import soundfile

    return soundfile.read(folder / row["wav"], dtype="float32", always_2d=True)[0].T


def test_the_measure_knows_clicks() -> None:
    assert seconds_apart(clicks(8.0)) == pytest.approx(1.0, abs=0.005)
    assert seconds_apart(clicks(8.0, 0.51)) == pytest.approx(0.51, abs=0.005)


def test_there_and_back_through_a_file(square: SpectrogramImage, params: Params, tmp_path: Path) -> None:
    forward.save(square, tmp_path / "square.png")
    image = forward.load(tmp_path / "square.png")
    assert image.pixels.shape == (512, 512)
    waveform = inversion.waveform_from_image(image, params.generate.decode, seed=1)
    assert waveform.shape[1] / RATE == SEGMENT_SECONDS
    assert seconds_apart(waveform) == pytest.approx(1.0, rel=0.02)


def test_the_stages_clip_plays_at_its_true_speed(drawn: list[int], params: Params, tmp_path: Path) -> None:
    model = small_models.model()
    [row] = sampling.generate_batch(model, "x", "sad", [0], params.generate, params.spectrogram, tmp_path, 1)
    assert drawn == [sampling.load_pipeline(model).width]  # one image holds the whole clip
    assert row["seconds"] == pytest.approx(SEGMENT_SECONDS, abs=0.02)
    assert seconds_apart(sound(tmp_path, row)) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(("seconds", "images"), [(5.0, 1), (20.0, 2)])
def test_shorter_and_longer_pieces_play_at_their_true_speed(
    drawn: list[int], params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, images: int
) -> None:
    monkeypatch.setattr(sampling, "trained_model", lambda *_: small_models.model())
    row = single_clip.generate_clip("sad", "x", params, seconds, 1, tmp_path)
    assert drawn == [images * sampling.load_pipeline(small_models.model()).width]
    assert row["seconds"] == pytest.approx(seconds, abs=0.02)
    assert seconds_apart(sound(tmp_path, row)) == pytest.approx(1.0, rel=0.02)


def test_the_playground_plays_at_the_true_speed(
    drawn: list[int], params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    monkeypatch.setattr(sampling, "trained_model", lambda *_: small_models.model())
    played = Playground(tmp_path, params, tmp_path).of_emotion("x", "sad", 1, SEGMENT_SECONDS)
    [wav] = [file for file in played.files if file.suffix == ".wav"]
    assert seconds_apart(soundfile.read(wav, always_2d=True)[0].T) == pytest.approx(1.0, rel=0.02)


def test_a_glide_of_square_images_is_as_long_as_asked(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "trained_model", lambda *_: small_models.model())
    few = params.model_copy(update={"generate": params.generate.model_copy(update={"steps": 1})})
    row = single_clip.generate_clip("sad", "x", few, 25.0, 1, tmp_path, to="happy")
    assert row["seconds"] == pytest.approx(25.0, abs=0.02)


def test_a_generated_clip_can_be_varied_again(
    drawn: list[int], params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "trained_model", lambda *_: small_models.model())
    given = []
    monkeypatch.setattr(sampling, "vary", lambda model, images, *_: given.append(images) or images)
    first = single_clip.generate_clip("sad", "x", params, SEGMENT_SECONDS, 1, tmp_path)
    row = single_clip.generate_clip("sad", "x", params, 5.0, 2, tmp_path, like=tmp_path / first["png"])
    assert given[0].shape == (1, 32, 32)
    assert row["seconds"] == pytest.approx(SEGMENT_SECONDS, abs=0.02)


def test_a_real_clip_takes_the_same_way_through_codec_and_vae(params: Params, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "1.wav", clicks(SEGMENT_SECONDS)[0], RATE)
    codec = clips.Codec(params.spectrogram, params.generate.decode, RESOLUTION, seed=1)
    small = clips.small_picture((clips.Clip("1", tmp_path / "1.wav", 0.0, 9.99), codec))
    assert small.picture.pixels.shape == (RESOLUTION, RESOLUTION)
    again = clips.reconstructed(small, describe.through_vae(small_models.model()))
    assert again.picture.pixels.shape == (RESOLUTION, RESOLUTION)
    full = forward.full_size(small.picture)
    assert seconds_apart(inversion.waveform_from_image(full, codec.decode, 1)) == pytest.approx(1.0, rel=0.02)


def test_the_vae_takes_real_clips_of_any_length() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 75)).astype(np.uint8)
    reconstruct = describe.through_vae(small_models.model())
    assert reconstruct(pixels).shape == (32, 75)
    assert np.array_equal(reconstruct(pixels), reconstruct(np.pad(pixels, ((0, 0), (0, 5)), mode="edge"))[:, :75])


@pytest.mark.parametrize("seconds", [0.73, 1.0, 5.005, 10.0])
@pytest.mark.parametrize("rate", [22050, 44100])
def test_columns_of_a_segment_are_those_of_its_spectrogram(params: Params, seconds: float, rate: int) -> None:
    changed = copy.deepcopy(params.spectrogram.model_dump()) | {"sample_rate_hz": rate, "step_ms": 20}
    spectrogram = SpectrogramParams.model_validate(changed)
    n_samples = round(seconds * rate)
    assert spectrogram.columns_of(seconds) == forward.n_frames(n_samples, spectrogram)
