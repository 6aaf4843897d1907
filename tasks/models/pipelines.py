"""A Stable Diffusion on the disk and in memory: training <-> **models/NAME** <-> training, generation.

A folder is written by diffusers in safetensors, and stock tools read it. Two things are repaired on the way:
transformers 5 saves the text encoder without the prefix `text_model.`, which transformers 4 then loads as random
weights with a mere warning, and its tokenizer folder lacks the files that transformers 4 reads.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from tasks.core.errors import ModelError
from tasks.core.files import write_json, write_text
from tasks.core.storage import replacing
from tasks.models import emotion_conditioning


def load(folder: Path) -> Any:
    """The folder's stock StableDiffusionPipeline in float32, on the CPU; pickled weights are not read.

    Raises:
        ModelError: the folder holds no Stable Diffusion, or its weights are in another format.
    """
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        return StableDiffusionPipeline.from_pretrained(
            folder,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            use_safetensors=True,
            dtype=torch.float32,
            local_files_only=True,
        )
    except Exception as error:  # whatever a damaged folder makes three libraries raise
        raise ModelError(
            "no Stable Diffusion can be loaded",
            where=folder,
            expected="a diffusers pipeline folder: model_index.json, and unet, vae, text_encoder as .safetensors",
            got=" ".join(str(error).split()),
            todo="run the stage that makes it again, e.g. `dvc repro base`",
        ) from error


def save(pipeline: Any, target: Path, card: str, facts: dict[str, Any], emotion: Any = None) -> None:
    """The pipeline's folder, whole or not at all, with README.md (card) and emoriff.json (facts).

    `emotion`: an EmotionConditioning, saved beside; stock tools do without it.
    """
    with replacing(target) as temporary:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        prefix_text_encoder(temporary / "text_encoder")
        write_tokenizer(pipeline.tokenizer, temporary / "tokenizer")
        for path in sorted(temporary.rglob("*.json")):
            remove_source_path(path)
        if emotion is not None:
            emotion_conditioning.save(emotion, temporary / "emotion")
        write_text(temporary / "README.md", card)
        write_json(temporary / "emoriff.json", facts)
        if target.exists():
            shutil.rmtree(target)


def prefix_text_encoder(folder: Path) -> None:
    """Keys of the text encoder as transformers 4 wrote them (`text_model.`); transformers 5 reads both."""
    from safetensors.torch import load_file, save_file

    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        named = {
            name if name.startswith("text_model.") or "projection" in name else f"text_model.{name}": tensor
            for name, tensor in tensors.items()
        }
        save_file(named, path, metadata={"format": "pt"})


def write_tokenizer(tokenizer: Any, folder: Path) -> None:
    """vocab.json, merges.txt and special_tokens_map.json beside what the tokenizer saved of itself."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    write_text(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False) + "\n")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *merges]) + "\n")
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    write_json(folder / "special_tokens_map.json", {name: str(getattr(tokenizer, name)) for name in names})
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, config | {"tokenizer_class": "CLIPTokenizer"})


def remove_source_path(path: Path) -> None:
    """Take the folder that a part was loaded from out of its configuration."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(values, dict) and values.pop("_name_or_path", None) is not None:
        write_json(path, values)
