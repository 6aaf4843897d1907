"""models/NAME -> **a diffusers pipeline in memory** -> training, generation."""

from pathlib import Path
from typing import Any

import torch

from tasks.core.errors import ModelError


def read_pipeline(folder: Path) -> Any:
    """The folder's stock StableDiffusionPipeline in float32, on the CPU; pickled weights are not read.

    Raises:
        ModelError: the folder holds no Stable Diffusion, or its weights are in another format.
    """
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
