"""The demo's own base: images without labels -> VAE -> U-Net and text encoder -> **models/base**."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.base import demo_model, vae
from tasks.base.params import DemoBaseParams
from tasks.core.errors import ParameterError
from tasks.core.seeding import drawn_from, pinned
from tasks.models import pipelines
from tasks.trainer import images, loop

Progress = Callable[[int, int, str], None]


def make_demo(
    dataset: Path, params: DemoBaseParams, resolution: int, seed: int, target: Path, work: Path, progress: Progress
) -> dict[str, Any]:
    """A small Stable Diffusion, pre-trained on the training images without their labels.

    First the VAE, then U-Net and text encoder together, by the same loop as the experiments.
    """
    if params.training.resolution != resolution:
        raise ParameterError(
            "the demo model is trained at another size than it is used at",
            where="base.demo.training.resolution",
            expected=f"dataset.resolution = {resolution}",
            got=params.training.resolution,
        )
    in_all = params.vae_steps + params.training.steps
    start = work / "untrained"
    with pinned(params.training.threads):
        examples = images.examples(dataset, "train", params.training, seed)
        autoencoder = vae.load_or_train(
            examples, params, seed, work, lambda done, total, note: progress(done, in_all, note)
        )
        pipelines.save(assemble(autoencoder, params, seed), start, "Not trained yet.\n", {})
    return loop.train(
        "base",
        dataset,
        start,
        params.training,
        seed,
        target,
        work,
        target / "curves",
        lambda done, total, note: progress(params.vae_steps + done, in_all, note),
    )


def assemble(autoencoder: Any, params: DemoBaseParams, seed: int) -> Any:
    """A StableDiffusionPipeline of this VAE and of freshly drawn other parts."""
    from diffusers import StableDiffusionPipeline

    tokenizer = demo_model.build_tokenizer()
    with drawn_from(seed, "text encoder weights"):
        text_encoder = demo_model.build_text_encoder(params, tokenizer)
    with drawn_from(seed, "unet weights"):
        unet = demo_model.build_unet(params)
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=demo_model.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
