"""The conditioning on emotion: it starts without effect, is trained, saved, and needs no special loader."""

import pytest
import torch

from tasks.core.errors import ModelError
from tasks.models import emotion_conditioning
from tasks.models.emotion_conditioning import EmotionConditioning
from tests import small_models


def answer(unet, seed: int = 1):
    draw = torch.Generator().manual_seed(seed)
    noisy, text = torch.randn((2, 4, 4, 4), generator=draw), torch.randn((2, 16, 16), generator=draw)
    with torch.no_grad():
        return unet(noisy, torch.tensor([5, 900]), text).sample


def randomized(conditioning: EmotionConditioning) -> EmotionConditioning:
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in conditioning.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draw))
    return conditioning


@pytest.mark.parametrize("adaptive_norm", [False, True])
def test_a_fresh_conditioning_changes_nothing(adaptive_norm):
    unet = small_models.pipeline().unet
    before = answer(unet)
    conditioning = EmotionConditioning(small_models.EMOTIONS, unet, adaptive_norm)
    conditioning.set_labels(["happy", "sad"], guided=False)
    assert torch.equal(answer(unet), before)


@pytest.mark.parametrize("adaptive_norm", [False, True])
def test_a_trained_one_changes_the_conditioned_images_and_no_other(adaptive_norm):
    unet = small_models.pipeline().unet
    before = answer(unet)
    conditioning = randomized(EmotionConditioning(small_models.EMOTIONS, unet, adaptive_norm))
    conditioning.set_labels(["happy"], guided=True)  # an unconditional image, then the same batch's conditioned one
    after = answer(unet)
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1], atol=1e-3)


def test_it_comes_back_from_a_folder(tmp_path):
    pipeline, again = small_models.pipeline(), small_models.pipeline()
    conditioning = randomized(EmotionConditioning(small_models.EMOTIONS, pipeline.unet, True))
    emotion_conditioning.save(conditioning, tmp_path / "emotion")
    read = emotion_conditioning.attach(again, tmp_path)
    for one in (conditioning, read):
        one.set_labels(["sad", "an unknown word"], guided=False)
    assert torch.equal(answer(pipeline.unet), answer(again.unet))


def test_a_model_without_it_has_none(tmp_path):
    assert emotion_conditioning.attach(small_models.pipeline(), tmp_path) is None


def test_one_of_another_unet_is_refused(tmp_path):
    conditioning = EmotionConditioning(small_models.EMOTIONS, small_models.pipeline().unet, True)
    conditioning.vectors = torch.nn.Parameter(torch.zeros(3, 7))
    emotion_conditioning.save(conditioning, tmp_path / "emotion")
    with pytest.raises(ModelError, match="does not fit"):
        emotion_conditioning.attach(small_models.pipeline(), tmp_path)
