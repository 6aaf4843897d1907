"""The trainable model: cached text equals encoded text, and a tokenizer must tell the emotions apart."""

import pytest
import torch

from tasks.base import demo_model
from tasks.core.errors import ModelError
from tasks.trainer import model
from tests import small_models


def built(**changes):
    texts = ["", "happy", "sad"]
    return model.build(small_models.pipeline(), texts, small_models.experiment(**changes), seed=1)


def test_each_distinct_prompt_encoded_once_gives_the_states_of_all():
    trainable = built()
    prompts = torch.tensor([2, 0, 2, 1])
    torch.testing.assert_close(trainable.states(prompts), trainable.text_encoder(trainable.tokens[prompts])[0])


def test_a_frozen_text_encoder_gives_cached_states():
    trainable, prompts = built(text_encoder="frozen"), torch.tensor([2, 1])
    torch.testing.assert_close(trainable.states(prompts), built().states(prompts))
    assert not [name for name in trainable.trainable_parameters() if name.startswith("text_encoder")]


def test_adapters_are_all_that_learns():
    names = built(lora={"rank": 2, "alpha": 2}).trainable_parameters()
    assert names
    assert all("lora_" in name for name in names)


def test_a_word_in_pieces_is_noted():
    notes = model.word_notes(demo_model.build_tokenizer(), ["happy", "zany"])
    assert len(notes) == 1
    assert "'zany'" in notes[0]


def test_a_prompt_cut_before_its_emotion_is_refused():
    tokenizer, long = (
        demo_model.build_tokenizer(),
        "the music of a slow and quiet piece for piano and strings in a minor mood ",
    )
    model.refuse_cut_prompts(tokenizer, small_models.experiment(prompts=["{emotion} " + long, long]))
    with pytest.raises(ModelError, match=r"(?s)cut before its emotion.*at most 16 tokens"):
        model.refuse_cut_prompts(tokenizer, small_models.experiment(prompts=[long + "{emotion}"]))


def test_a_text_encoder_on_another_device_is_asked_there():
    text_encoder = small_models.pipeline().text_encoder.to("meta")
    trainable = model.TrainableModel(
        small_models.pipeline().unet, text_encoder, torch.zeros(2, 16, dtype=torch.long), None
    )
    assert trainable.embeddings.shape[:2] == (2, 16)


@pytest.mark.parametrize("words", [["sad", "SAD"], ["sad", " "]], ids=["same", "nothing"])
def test_words_that_cannot_be_told_apart_are_refused(words):
    with pytest.raises(ModelError, match="tell the emotion words apart"):
        model.word_notes(demo_model.build_tokenizer(), words)
