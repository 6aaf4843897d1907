"""What comes out: keys and files that transformers 4 and 5 both read, no path of this machine, a card."""

import json

import torch
from safetensors.torch import load_file

from tests import small_models


def test_the_text_encoder_has_the_keys_of_transformers_4():
    keys = load_file(small_models.model() / "text_encoder/model.safetensors").keys()
    assert keys
    assert all(key.startswith("text_model.") for key in keys)


def test_transformers_5_reads_the_same_weights_back():
    stored = load_file(small_models.model() / "text_encoder/model.safetensors")
    loaded = small_models.pipeline().text_encoder.state_dict()
    for key, tensor in stored.items():
        assert torch.equal(tensor, loaded[key.removeprefix("text_model.")]), key


def test_the_tokenizer_has_the_files_of_transformers_4():
    folder = small_models.model() / "tokenizer"
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = (folder / "merges.txt").read_text().splitlines()
    tokenizer = small_models.pipeline().tokenizer
    assert vocabulary == tokenizer.get_vocab()
    assert merges[0].startswith("#version")
    assert all(left + right in vocabulary for left, right in (line.split() for line in merges[1:]))
    assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"] == "CLIPTokenizer"


def test_merges_and_vocabulary_alone_give_the_same_tokens():
    """A tokenizer built of the two files only, as transformers 4 builds it."""
    from transformers import CLIPTokenizer

    folder = small_models.model() / "tokenizer"
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = [tuple(line.split()) for line in (folder / "merges.txt").read_text().splitlines()[1:]]
    rebuilt, tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges), small_models.pipeline().tokenizer
    for text in ("A music spectrogram", "happy, energetic zebra"):
        assert rebuilt(text).input_ids == tokenizer(text).input_ids


def test_no_path_of_this_machine_is_in_the_folder():
    folder = small_models.model()
    for path in folder.rglob("*.json"):
        text = path.read_text()
        assert str(folder.parent) not in text
        assert "_name_or_path" not in text


def test_nothing_is_pickled():
    suffixes = {path.suffix for path in small_models.model().rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json", ".txt", ".md"}
