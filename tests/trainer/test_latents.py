"""Latents by content: an image is encoded once, whatever it is called and whatever stands beside it."""

import json
import shutil

import pytest
import torch

from tasks.core.errors import InputError
from tasks.models import pixels
from tasks.trainer import images, latents
from tests import small_models


@pytest.fixture(scope="module")
def vae():
    return small_models.pipeline().vae.eval()


@pytest.fixture
def examples():
    return images.examples(small_models.dataset(), "train", small_models.experiment(), seed=1)


def encode(vae, examples, cache):
    key = latents.vae_key(small_models.model() / "vae")
    return latents.encode(vae, key, examples, 32, cache, lambda *_: None)


def test_an_image_has_the_same_latents_alone_and_among_others(vae, examples, tmp_path):
    together = encode(vae, examples, tmp_path / "a")
    alone = encode(vae, examples[3:4], tmp_path / "b")
    assert torch.equal(together.means[3], alone.means[0])


def test_what_is_cached_is_not_encoded_again(vae, examples, tmp_path):
    first = encode(vae, examples, tmp_path)
    second = encode(None, examples, tmp_path)  # no VAE at hand
    assert torch.equal(first.means, second.means)


def test_a_changed_image_is_encoded_anew(vae, examples, tmp_path):
    encode(vae, examples[:1], tmp_path / "cache")
    other = images.Example(examples[5].path, examples[0].name, examples[0].emotion)
    encode(vae, [other], tmp_path / "cache")
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 2


def test_the_vae_is_known_by_weights_and_configuration_however_written(tmp_path):
    copy = shutil.copytree(small_models.model() / "vae", tmp_path / "vae")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "_name_or_path": "elsewhere"}))
    assert latents.vae_key(copy) == latents.vae_key(small_models.model() / "vae")
    (copy / "config.json").write_text(json.dumps({**config, "scaling_factor": 0.5}))
    assert latents.vae_key(copy) != latents.vae_key(small_models.model() / "vae")


def test_scaling_pixels_and_back_is_exact():
    values = images.read_image(next((small_models.dataset() / "train").glob("*.png")), 32)
    assert (pixels.unscaled(pixels.scaled(values)) == values).all()


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"(?s)not an image.*a\.png"):
        images.read_image(tmp_path / "a.png", 32)
