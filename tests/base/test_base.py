"""The model that is fine-tuned: the demo's own, one from a folder, one from a hub; what is refused."""

import json
import shutil
from pathlib import Path

import httpx2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.base import base, demo_model, vae
from tasks.base.params import BaseParams
from tasks.core.errors import DownloadError, ModelError, ParameterError
from tasks.core.seeding import drawn_from
from tasks.models import hub
from tasks.trainer import images
from tests import small_models
from tests.hub_server import COMMIT, serving

REPOSITORY = "someone/small-model"


def params(**changes) -> BaseParams:
    return BaseParams(**{"repository": None, "revision": None, "demo": None, **changes})


def make(folder: Path, **changes) -> dict:
    return base.make_base(
        small_models.dataset(), params(**changes), 32, 1, folder / "base", folder / "work", progress=None
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    make(folder, demo=small_models.sizes())
    return folder / "base"


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(small_models.model(), tmp_path / "copy"))


def test_the_demo_model_is_an_ordinary_pipeline_that_stock_diffusers_draws_with(demo):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(demo)
    assert type(pipeline.unet).__name__ == "UNet2DConditionModel"
    assert type(pipeline.text_encoder).__name__ == "CLIPTextModel"
    drawn = pipeline("happy", height=32, width=32, num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, 32, 32, 3)


def test_the_demo_model_is_made_of_equal_bytes_again(demo, tmp_path):
    make(tmp_path, demo=small_models.sizes())
    for path in (one for one in demo.rglob("*") if one.is_file()):
        assert (tmp_path / "base" / path.relative_to(demo)).read_bytes() == path.read_bytes(), path


def test_every_word_of_the_vocabulary_is_one_token():
    tokenizer = demo_model.build_tokenizer()
    for word in [*demo_model.WORDS.split(), "happy", "energetic", "tense", "sad", "calm"]:
        assert tokenizer.tokenize(word) == [f"{word}</w>"]


def test_text_beyond_the_vocabulary_falls_into_bytes_and_not_into_unknown():
    tokenizer = demo_model.build_tokenizer()
    pieces = tokenizer.tokenize("zither é 漢")
    assert tokenizer.unk_token not in pieces
    assert len(pieces) > 3


def test_whitening_changes_the_latents_and_not_the_images():
    with drawn_from(1):
        small = demo_model.build_vae(small_models.sizes()).eval()
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (8, 32, 32, 1)).astype(np.uint8))
    batch = torch.from_numpy(vae.scaled(pixels.numpy())).expand(-1, 3, -1, -1)
    with torch.no_grad():
        before = small.decode(small.encode(batch).latent_dist.mean).sample
        deviation = small.encode(batch).latent_dist.std
        means, scales = vae.latent_statistics(small, pixels)
        vae.whiten(small, means, scales)
        after = small.decode(small.encode(batch).latent_dist.mean).sample
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    new_means, new_scales = vae.latent_statistics(small, pixels)
    torch.testing.assert_close(new_means, torch.zeros_like(means), rtol=0, atol=1e-3)
    torch.testing.assert_close(new_scales, torch.ones_like(means), rtol=1e-3, atol=0)
    relative = (small.encode(batch).latent_dist.std / deviation)[0, :, 0, 0].detach().double()
    torch.testing.assert_close(relative, 1 / scales, rtol=1e-3, atol=1e-6)


def test_a_killed_vae_goes_on_bit_by_bit(tmp_path, monkeypatch):
    def killed(done: int, *_: object) -> None:
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(vae, "CHECKPOINT_EVERY", 2)
    examples = images.examples(small_models.dataset(), "train", small_models.experiment(), seed=1)
    sizes, steps = small_models.sizes(vae_steps=5), []
    whole = vae.load_or_train(examples, sizes, 1, tmp_path / "whole", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        vae.load_or_train(examples, sizes, 1, tmp_path / "cut", killed)
    again = vae.load_or_train(examples, sizes, 1, tmp_path / "cut", lambda done, *_: steps.append(done))
    assert steps == [3, 4, 5]
    assert [
        name for name, value in whole.state_dict().items() if not torch.equal(value, again.state_dict()[name])
    ] == []


def test_a_killed_vae_goes_on_after_a_change_of_the_unets_training(tmp_path, monkeypatch):
    monkeypatch.setattr(vae, "CHECKPOINT_EVERY", 2)
    examples = images.examples(small_models.dataset(), "train", small_models.experiment(), seed=1)
    sizes = small_models.sizes(vae_steps=4)
    other = small_models.sizes(vae_steps=4, unet_channels=[8, 8], training=small_models.experiment(batch=5))
    assert vae.inputs_of(examples, sizes, 1) == vae.inputs_of(examples, other, 1)
    vae.load_or_train(examples, sizes, 1, tmp_path, lambda *_: None)
    steps: list[int] = []
    vae.load_or_train(examples, other, 1, tmp_path, lambda done, *_: steps.append(done))
    assert steps == []
    vae.load_or_train(examples, small_models.sizes(vae_steps=3), 1, tmp_path, lambda done, *_: steps.append(done))
    assert steps == [1, 2, 3]
    assert len(list(tmp_path.glob("vae-*.safetensors"))) == 1


def test_a_local_pipeline_is_taken_as_it_is(tmp_path):
    row = make(tmp_path, repository=str(small_models.model()))
    ours, theirs = small_models.weights(tmp_path / "base"), small_models.weights(small_models.model())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert row["name"] == "base"
    assert str(tmp_path) not in (tmp_path / "base/emoriff.json").read_text()


def test_a_hub_gives_configurations_and_safetensors_at_the_pinned_commit(copy, tmp_path, monkeypatch):
    (copy / "unet/diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (copy / "riffusion-model-v1.ckpt").write_bytes(b"a pickle")
    with serving(copy, REPOSITORY) as (address, fetched):
        monkeypatch.setenv("HF_ENDPOINT", address)
        make(tmp_path, repository=REPOSITORY, revision=COMMIT)
    assert "unet/diffusion_pytorch_model.safetensors" in fetched
    assert not [name for name in fetched if name.endswith((".bin", ".ckpt"))]
    assert COMMIT in (tmp_path / "base/README.md").read_text()


def test_a_hub_that_falls_silent_is_said(tmp_path, monkeypatch):
    def silent(*_, **__):
        raise httpx2.ReadTimeout("")

    monkeypatch.setattr("huggingface_hub.snapshot_download", silent)
    with pytest.raises(DownloadError, match="ReadTimeout"):
        hub.download(REPOSITORY, COMMIT, tmp_path)


def test_a_hub_without_the_repository_is_said(copy, tmp_path, monkeypatch):
    with serving(copy, REPOSITORY) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(DownloadError, match=r"(?s)someone/else.*HF_ENDPOINT"):
            make(tmp_path, repository="someone/else", revision=COMMIT)


def test_a_branch_is_no_pin(tmp_path):
    with pytest.raises(ValidationError, match=r"(?s)revision.*main"):
        make(tmp_path, repository=REPOSITORY, revision="main")
    with pytest.raises(ParameterError, match="not pinned"):
        make(tmp_path, repository=REPOSITORY, revision=None)


def test_pickled_weights_are_refused(copy, tmp_path):
    path = copy / "unet/diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"(?s)pickled.*unet.*diffusion_pytorch_model\.bin.*save_pretrained"):
        make(tmp_path, repository=str(copy))


def test_another_pipeline_is_refused(copy, tmp_path):
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, "_class_name": "FluxPipeline"}))
    with pytest.raises(ModelError, match=r"(?s)no Stable Diffusion.*FluxPipeline"):
        make(tmp_path, repository=str(copy))


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"(?s)no diffusers pipeline.*\.ckpt"):
        make(tmp_path, repository=str(tmp_path / "empty"))


def test_truncated_weights_are_refused(copy, tmp_path):
    path = copy / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="no Stable Diffusion can be loaded"):
        make(tmp_path, repository=str(copy))


def test_a_repository_and_a_demo_model_at_once_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="one of"):
        make(tmp_path, repository="x/y", demo=small_models.sizes())
