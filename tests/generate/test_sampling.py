"""Laws of sampling, on a Stable Diffusion of 32 x 32 pixels with random weights."""

import itertools
import json
import struct
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.apps import single_clip
from tasks.base import demo_model
from tasks.codec import forward, inversion
from tasks.core import windows
from tasks.core.errors import ImageError, ModelError, ParameterError
from tasks.core.seeding import drawn_from
from tasks.generate import clip_writer, diffusion, manifest, sampling
from tasks.generate.params import GenerateParams
from tasks.settings import Params

SIDE = 32
WIDTH = SIDE // 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/ours, as training leaves it."""
    from diffusers import StableDiffusionPipeline

    from tasks import settings as parameters

    demo = parameters.load(Path(__file__).parents[2] / "profiles" / "demo.yaml").base.demo
    assert demo is not None
    demo = demo.model_copy(update={"training": demo.training.model_copy(update={"resolution": SIDE})})
    with drawn_from(1, "test"):
        tokenizer = demo_model.build_tokenizer()
        pipeline = StableDiffusionPipeline(
            vae=demo_model.build_vae(demo),
            text_encoder=demo_model.build_text_encoder(demo, tokenizer),
            tokenizer=tokenizer,
            unet=demo_model.build_unet(demo),
            scheduler=demo_model.build_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    target = tmp_path_factory.mktemp("repository") / "models" / "ours"
    pipeline.save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def model(folder: Path) -> diffusion.Model:
    torch.set_num_threads(1)
    return sampling.load_pipeline(folder)


@pytest.fixture
def params(demo_params: Params) -> GenerateParams:
    decode = demo_params.generate.decode.model_copy(update={"iterations": 2})
    return demo_params.generate.model_copy(update={"steps": 3, "batch": 3, "decode": decode})


def test_latents_are_not_clipped_whatever_the_base_samples_with(
    model: diffusion.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.pipeline, "scheduler", diffusers.EulerDiscreteScheduler())
    assert not diffusion.scheduler_for(model, "ddim", 3).config.clip_sample


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("scheduler", ["ddim", "dpm_solver", "euler"])
def test_images_are_those_of_diffusers_own_pipeline(
    model: diffusion.Model, params: GenerateParams, monkeypatch: pytest.MonkeyPatch, scheduler: str, guidance: float
) -> None:
    wanted = {"scheduler": scheduler, "guidance": guidance, "negative_prompt": "tense"}
    noise = torch.stack([diffusion.draw_noise(model, seed, WIDTH) for seed in (1, 2)])
    monkeypatch.setattr(model.pipeline, "scheduler", diffusion.scheduler_for(model, scheduler, 3))
    oracle = model.pipeline(
        ["happy", "sad"], negative_prompt=["tense"] * 2, latents=noise, num_inference_steps=3, guidance_scale=guidance,
        height=SIDE, width=SIDE, output_type="np",
    ).images  # fmt: skip
    monkeypatch.undo()
    ours = sampling.generate_images(model, ["happy", "sad"], [1, 2], params.model_copy(update=wanted))
    assert np.abs(ours - 255 * oracle.mean(axis=-1)).max() < 0.51


def test_a_negative_prompt_leads_away_from_it(model: diffusion.Model, params: GenerateParams) -> None:
    negatives = [params.model_copy(update={"guidance": 50.0, "negative_prompt": word}) for word in ("", "tense", "sad")]
    plain, away, same = (sampling.generate_images(model, ["sad"], [1], one)[0] for one in negatives)
    unguided = sampling.generate_images(model, ["sad"], [1], params.model_copy(update={"guidance": 1.0}))[0]
    assert (plain != away).any()
    assert np.abs(same.astype(int) - unguided).max() <= 1  # away from the prompt itself: no way to go


@pytest.mark.parametrize("scheduler", ["ddim", "dpm_solver", "euler"])
def test_a_clip_does_not_depend_on_its_batch(model: diffusion.Model, params: GenerateParams, scheduler: str) -> None:
    params = params.model_copy(update={"scheduler": scheduler})
    together = sampling.generate_images(model, ["sad", "happy", "calm"], [1, 2, 3], params)
    mates = sampling.generate_images(model, ["happy", "tense", "sad"], [2, 8, 9], params)
    alone = sampling.generate_images(model, ["happy"], [2], params)
    assert np.array_equal(together[1], mates[0])  # equal batch size: equal bits
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1
    assert together.std() > 1


@pytest.mark.parametrize("scheduler", ["ddim", "dpm_solver", "euler"])
def test_sampling_starts_from_the_noisiest_step(model: diffusion.Model, scheduler: str) -> None:
    times = diffusion.scheduler_for(model, scheduler, 5).timesteps
    assert int(times[0]) == 999
    assert len(times) == 5


def test_a_prompt_and_a_seed_make_a_difference(model: diffusion.Model, params: GenerateParams) -> None:
    strong = params.model_copy(update={"guidance": 50.0})
    images = sampling.generate_images(model, ["happy", "happy", "sad"], [1, 2, 1], strong)
    assert (images[0] != images[1]).mean() > 0.5
    assert (images[0] != images[2]).any()


def test_one_tile_is_the_shortest_long_piece(model: diffusion.Model, params: GenerateParams) -> None:
    tile = sampling.generate_images(model, ["calm"], [4], params)
    assert np.array_equal(sampling.generate_long(model, ["calm"], [4], params, WIDTH), tile)
    assert sampling.generate_long(model, ["calm"], [4], params, 11).shape == (1, SIDE, 88)


def test_a_longer_piece_starts_from_the_same_noise(model: diffusion.Model) -> None:
    assert torch.equal(diffusion.draw_noise(model, 5, 9)[..., :WIDTH], diffusion.draw_noise(model, 5, WIDTH))


def test_a_border_between_windows_is_a_slope_not_a_step() -> None:
    starts = windows.starts(64, 16, 0.5)
    levels = torch.randn((len(starts), 1), generator=torch.Generator().manual_seed(0))
    blended = windows.blended(lambda index: levels[index].expand(16), starts, 64)
    steepest, step = blended.diff().abs().max(), levels.diff(dim=0).abs().max()
    assert steepest < step / 4  # half a window is 8 columns


@given(st.integers(1, 300), st.integers(1, 64), st.floats(0, 0.9))
def test_windows_cover_everything_and_overlap_as_asked(length: int, width: int, overlap: float) -> None:
    starts = windows.starts(length, width, overlap)
    covered = {column for first in starts for column in range(first, first + width)}
    assert set(range(length)) <= covered
    assert starts == sorted(starts)
    assert all(0 <= first <= max(0, length - width) for first in starts)
    assert all(b - a <= max(1, int(width * (1 - overlap))) for a, b in itertools.pairwise(starts))


@given(st.integers(5, 60), st.integers(1, 3))
def test_blended_windows_of_one_image_are_that_image(length: int, scale: int) -> None:
    whole = torch.arange(length * scale, dtype=torch.float32)[None]
    starts = windows.starts(length, 5, 0.5)
    parts = [whole[..., first * scale : (first + 5) * scale] for first in starts]
    assert torch.allclose(windows.blended(lambda index: parts[index], starts, length, scale), whole, rtol=1e-5)


@given(st.integers(0, 99), st.floats(0, 1))
def test_spherical_interpolation_keeps_the_length_of_noise(seed: int, share: float) -> None:
    a, b = torch.randn((2, 400), generator=torch.Generator().manual_seed(seed))
    between = diffusion.slerp(a, b, share, axis=-1)
    lengths = sorted([float(a.norm()), float(b.norm())])
    assert 0.95 * lengths[0] <= float(between.norm()) <= 1.05 * lengths[1]
    assert torch.allclose(diffusion.slerp(a, b, 0.0, axis=-1), a, atol=1e-5)
    assert torch.allclose(diffusion.slerp(a, b, 1.0, axis=-1), b, atol=1e-5)
    assert torch.allclose(diffusion.slerp(a, a, share, axis=-1), a, atol=1e-5)


def test_a_glide_starts_at_one_emotion_and_ends_at_the_other(model: diffusion.Model, params: GenerateParams) -> None:
    shares = sampling.window_shares(model, 5 * WIDTH, params)
    conditioning = sampling.glide(model, "calm", "tense", shares, params)
    ends = diffusion.condition(model, ["calm", "tense"], "", 1).embeddings[:, 0]
    assert (shares[0], shares[-1]) == (0, 1)
    assert shares == sorted(shares)
    assert torch.allclose(conditioning.embeddings[0, [0, -1]], ends, atol=1e-5)
    assert conditioning.emotions[0][0] == "calm"
    assert conditioning.emotions[0][-1] == "tense"
    assert sampling.interpolate(model, "calm", "tense", 1, params, 5 * WIDTH).shape == (SIDE, 5 * SIDE)


def test_a_glide_runs_between_two_noises_of_full_strength(model: diffusion.Model) -> None:
    noise = sampling.glide_noise(model, 1, 60)
    other = sampling.glide_noise(model, 2, 60)
    assert noise.std(dim=(0, 1)).mean() == pytest.approx(1.0, abs=0.1)  # a straight line would fall to 0.7
    assert not torch.allclose(noise, other)
    assert abs(torch.corrcoef(torch.stack([noise[..., 0].flatten(), noise[..., -1].flatten()]))[0, 1]) < 0.6


def test_a_variation_of_full_strength_forgets_its_source(model: diffusion.Model, params: GenerateParams) -> None:
    sources = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE), np.uint8)
    far = sampling.vary(model, sources, ["sad", "sad"], [1, 1], params, strength=1.0)
    near = sampling.vary(model, sources, ["sad", "sad"], [1, 1], params, strength=0.4)
    assert np.array_equal(far[0], far[1])
    assert (near[0] != near[1]).any()


@pytest.mark.parametrize("scheduler", ["ddim", "dpm_solver", "euler"])
def test_a_slight_variation_is_nearly_its_source(
    model: diffusion.Model, params: GenerateParams, scheduler: str
) -> None:
    params = params.model_copy(update={"scheduler": scheduler, "steps": 50})
    latents = torch.randn((2, 4, WIDTH, 2 * WIDTH), generator=torch.Generator().manual_seed(0))
    sources = diffusion.decode(model, latents, params.overlap)
    kept = diffusion.decode(model, diffusion.encode(model, sources, params.overlap), params.overlap).astype(int)
    near, far = (sampling.vary(model, sources, ["sad"] * 2, [1, 2], params, strength) for strength in (0.02, 1.0))
    assert near.shape == sources.shape
    assert np.abs(near - kept).mean() < 0.5 * np.abs(far - kept).mean()


def test_full_rescaling_takes_guidance_gain_in_contrast_back() -> None:
    guided, plain = torch.randn((2, 3, 4, 8, 8), generator=torch.Generator().manual_seed(0)) * 2
    rescaled = diffusion.rescaled(3 * guided, plain, 1.0)
    assert torch.allclose(rescaled.std((1, 2, 3)), plain.std((1, 2, 3)), rtol=1e-4)
    assert torch.equal(diffusion.rescaled(guided, plain, 0.0), guided)


def test_the_stage_writes_each_clip_and_its_row(
    folder: Path, demo_params: Params, params: GenerateParams, tmp_path: Path
) -> None:
    rows = sampling.generate_batch(folder, "ours", "sad", [0, 7], params, demo_params.spectrogram, tmp_path, 1)
    again = sampling.generate_batch(folder, "ours", "sad", [0, 7], params, demo_params.spectrogram, tmp_path / "b", 1)
    assert [row["png"] for row in rows] == ["sad_0000.png", "sad_0007.png"]
    assert rows == again
    assert [list(row) for row in rows] == 2 * [list(manifest.COLUMNS)]
    assert all((tmp_path / row[kind]).is_file() for row in rows for kind in ("png", "wav", "listening", "sidecar"))
    assert rows[0]["sha256"] != rows[1]["sha256"]
    assert rows[0]["seconds"] == pytest.approx(5.11)


def test_a_png_says_how_it_was_made_and_sounds_like_its_wav(
    folder: Path, demo_params: Params, params: GenerateParams, tmp_path: Path
) -> None:
    import soundfile

    row = sampling.generate_batch(folder, "ours", "calm", [2], params, demo_params.spectrogram, tmp_path, 1)[0]
    with Image.open(tmp_path / row["png"]) as image:
        facts = json.loads(image.info[clip_writer.GENERATION_KEY])
    assert (facts["experiment"], facts["emotion"], facts["seed"]) == ("ours", "calm", 2)
    assert facts["parameters"]["guidance"] == params.guidance
    seed = clip_writer.seed_from(1, "phases", "calm", 2)
    waveform = inversion.waveform_from_image(forward.load(tmp_path / row["png"]), params.decode, seed)
    stored, rate = soundfile.read(tmp_path / row["wav"], dtype="float32", always_2d=True)
    images = [forward.encode(sound, rate, demo_params.spectrogram) for sound in (waveform, stored.T)]
    assert np.abs(stored).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    assert np.abs(images[0].pixels.astype(float) - images[1].pixels).mean() < 3


def test_text_chunks_leave_the_pixels_alone(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    png = clip_writer.with_text((tmp_path / "a.png").read_bytes(), "key", "value")
    (tmp_path / "b.png").write_bytes(png)
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["key"] == "value"
        assert np.array_equal(np.asarray(image), pixels)
    assert png.endswith(struct.pack(">I", 0) + b"IEND\xaeB`\x82")


@pytest.mark.parametrize("change", [{}, {"to": "tense"}, {"like": "calm_0003.wav"}, {"like": "calm_0003.png"}])
def test_a_person_gets_one_clip(
    folder: Path, demo_params: Params, params: GenerateParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
) -> None:  # fmt: skip
    monkeypatch.chdir(folder.parent.parent)
    wanted = demo_params.model_copy(update={"generate": params})
    single_clip.generate_clip("calm", "ours", wanted, 6.0, 3, tmp_path)
    given = {key: tmp_path / value if key == "like" else value for key, value in change.items()}
    row = single_clip.generate_clip("sad", "ours", wanted, 6.0, 4, tmp_path, **given)
    names = {"": "sad_0004.wav", "to": "sad-tense_0004.wav", "like": "sad-like-calm-0003_0004.wav"}
    assert row["wav"] == names["".join(change)]
    assert row["seconds"] == pytest.approx(5.12 if "like" in change else 6.0, abs=0.03)
    assert (tmp_path / row["wav"]).is_file()


def test_a_person_hears_the_stages_own_clip(
    folder: Path, demo_params: Params, params: GenerateParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent.parent)
    wanted = demo_params.model_copy(update={"generate": params})
    row = single_clip.generate_clip("sad", "ours", wanted, params.seconds, 7, tmp_path)
    stage = sampling.generate_batch(folder, "ours", "sad", [7], params, demo_params.spectrogram, tmp_path / "s", 1)
    assert row == stage[0]


def test_a_glide_and_a_variation_at_once_are_refused(demo_params: Params, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="not both"):
        single_clip.generate_clip("sad", "ours", demo_params, 5.0, 1, tmp_path, to="calm", like=tmp_path / "a.wav")


def test_an_unknown_emotion_is_refused_with_near_misses() -> None:
    with pytest.raises(ParameterError, match="did you mean happy"):
        sampling.check_emotion("hapy", ["happy", "sad"])
    with pytest.raises(ParameterError, match="expected: happy or sad"):
        sampling.check_emotion("xyz", ["happy", "sad"])


def test_an_experiment_that_was_not_trained_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"'exp9'(.|\n)*expected: ours"):
        sampling.trained_model("exp9", folder.parent)


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match="safetensors"):
        sampling.load_pipeline(copy)


def test_an_image_shorter_than_asked_is_refused(demo_params: Params) -> None:
    with pytest.raises(ImageError, match="too short"):
        clip_writer.full_size_image(np.zeros((32, 32), np.uint8), 6.0, demo_params.spectrogram)


@pytest.mark.parametrize(("shape", "strength"), [((1, 16, 32), 0.5), ((1, 32, 33), 0.5), ((1, 32, 32), 0.0)])
def test_variations_of_what_does_not_fit_are_refused(
    model: diffusion.Model, params: GenerateParams, shape: tuple[int, ...], strength: float
) -> None:
    with pytest.raises(ParameterError):
        sampling.vary(model, np.zeros(shape, np.uint8), ["sad"], [1], params, strength)
