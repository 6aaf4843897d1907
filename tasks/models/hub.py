"""A Stable Diffusion from a hub or a local folder, checked before it is loaded: repository -> **folder** -> base.

Configurations and safetensors only: pickled weights can run any code when read, so they are not even fetched.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.core.errors import DownloadError, InputError, ModelError, ParameterError, UnreachableError
from tasks.core.reading import json_of

WEIGHTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
PARTS = (*WEIGHTS, "tokenizer", "scheduler")
LIBRARIES = ("diffusers", "transformers")
WANTED = ["model_index.json", *(f"{part}/*.json" for part in PARTS), *(f"{part}/*.txt" for part in PARTS)]
WANTED += [f"{part}/{name}*.safetensors" for part, name in WEIGHTS.items()]
UNWANTED = ["*.fp16.safetensors", "*.non_ema.safetensors"]


def download(repository: str, revision: str | None, work: Path) -> Path:
    """The folder of a pipeline: `repository` itself when it is one, else what the hub holds at `revision`.

    The hub's address is HF_ENDPOINT's, as huggingface_hub reads it; what was fetched before is taken up again.

    Raises:
        ParameterError: a hub repository without a pinned commit.
        DownloadError: the hub cannot be reached or has no such repository.
    """
    if Path(repository).is_dir():
        return Path(repository)
    if not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise ParameterError(
            "the base's revision is not pinned",
            where="base.revision",
            expected="the 40 hexadecimal digits of a commit, or base.repository: a local folder",
            got=revision,
            todo=f"take the newest commit from the hub's page of {repository}; a branch can change under you",
        )
    from httpx2 import HTTPError  # what the hub's client lets through when a line breaks or is silent
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                cache_dir=work / "hub",
                endpoint=os.environ.get("HF_ENDPOINT"),
                allow_patterns=WANTED,
                ignore_patterns=UNWANTED,
            )
        )
    except (HTTPError, HFValidationError, OSError) as error:
        silent = isinstance(error, HTTPError) and getattr(error, "response", None) is None
        raise (UnreachableError if silent else DownloadError)(
            "the base model cannot be fetched",
            where=f"{repository} at {revision}",
            got=str(error).strip().partition("\n")[0] or type(error).__name__,
            todo="check the name, the network and HF_ENDPOINT (and HF_TOKEN for a gated model), "
            "or set base.repository to a local copy of the folder",
        ) from error


def inspect(folder: Path) -> dict[str, Any]:
    """The pipeline's index, when the folder holds a Stable Diffusion in safetensors.

    Raises:
        ModelError: no pipeline, another kind of pipeline, a part missing, or pickled weights only.
    """
    path = folder / "model_index.json"
    try:
        index = json_of(path)
    except InputError as error:
        raise ModelError(
            "no diffusers pipeline",
            where=path,
            expected="the model_index.json of a StableDiffusionPipeline",
            got=error.got,
            todo="a single .ckpt file is not read: convert it to a diffusers folder first",
        ) from error
    parts = {name for name in PARTS if is_part(index.get(name))}
    if "StableDiffusion" not in str(index.get("_class_name")) or len(parts) < len(PARTS):
        raise ModelError(
            "the base is no Stable Diffusion",
            where=path,
            expected=f"a StableDiffusionPipeline with {', '.join(PARTS)}",
            got=f"{index.get('_class_name')} with {', '.join(sorted(parts)) or 'none of them'}",
        )
    if index["unet"][1] != "UNet2DConditionModel" or index["text_encoder"][1] != "CLIPTextModel":
        raise ModelError(
            "the base is another kind of Stable Diffusion",
            where=path,
            expected="UNet2DConditionModel and one CLIPTextModel (versions 1 and 2)",
            got=f"{index['unet'][1]} and {index['text_encoder'][1]}",
        )
    for part in WEIGHTS:
        refuse_pickles(folder / part)
    return index


def is_part(entry: Any) -> bool:
    """Whether an entry of the index names a class of the two libraries; others would be imported to load it."""
    return isinstance(entry, list) and len(entry) == 2 and entry[0] in LIBRARIES and isinstance(entry[1], str)


def refuse_pickles(part: Path) -> None:
    """Raise unless the part's weights are there in safetensors."""
    if any(part.glob("*.safetensors")):
        return
    pickles = sorted(path.name for path in part.glob("*") if path.suffix in (".bin", ".ckpt", ".pt", ".pth"))
    raise ModelError(
        "pickled weights are refused: reading them can run any code" if pickles else "weights are missing",
        where=part,
        expected="*.safetensors",
        got=", ".join(pickles) or "no weights",
        todo="take a revision with safetensors, or convert the folder on a machine where you can afford it: "
        "StableDiffusionPipeline.from_pretrained(...).save_pretrained(FOLDER), and set base.repository: FOLDER",
    )


def fetch(
    repository: str, revision: str | None, work: Path, progress: Callable[[int, int, str], None]
) -> tuple[Path, dict[str, Any]]:
    """The folder and its index, downloaded and checked."""
    progress(0, 2, f"fetching {repository}")
    folder = download(repository, revision, work)
    index = inspect(folder)
    progress(1, 2, "checking")
    return folder, index
