"""The model that is fine-tuned: data/dataset, or a hub -> **models/base** -> training.

riffusion-model-v1 (or any Stable Diffusion) at a pinned revision, checked; or the demo's own small one, pre-trained
on unlabelled spectrograms, the way riffusion-model-v1 knows music but not emotions.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks import autoencoder, demo_model, export, hub, model_card, pictures, trainee, training
from tasks.errors import ParameterError
from tasks.files import sha256
from tasks.params import BaseParams, DemoBaseParams
from tasks.repeatable import drawn_from, pinned
from tasks.stored_pipeline import read_pipeline

Progress = Callable[[int, int, str], None]


def make_base(
    dataset: Path,
    params: BaseParams,
    resolution: int,
    seed: int,
    target: Path,
    work: Path,
    progress: Progress | None,
) -> dict[str, Any]:
    """`models/base` as the parameters say; gives a row about it.

    Raises:
        ParameterError: neither a repository nor a demo model is asked for, or both.
        ModelError: the repository holds no Stable Diffusion that can be used.
    """
    show = progress or (lambda done, total, note: None)
    if (params.repository is None) == (params.demo is None):
        raise ParameterError(
            "one of base.repository and base.demo must be set, the other null",
            where="params.yaml, base",
            got=f"repository {params.repository}, demo {'set' if params.demo else 'null'}",
        )
    if params.demo is not None:
        return make_demo(dataset, params.demo, resolution, seed, target, work, show)
    return adopt(params, resolution, target, work, show)


def make_demo(
    dataset: Path, params: DemoBaseParams, resolution: int, seed: int, target: Path, work: Path, progress: Progress
) -> dict[str, Any]:
    """A small Stable Diffusion, pre-trained on the training pictures without their labels.

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
        examples = pictures.examples(dataset, "train", params.training, seed)
        vae = autoencoder.obtain(examples, params, seed, work, lambda done, total, note: progress(done, in_all, note))
        export.save(assemble(vae, params, seed), start, "Not trained yet.\n", {})
    return training.train(
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


def assemble(vae: Any, params: DemoBaseParams, seed: int) -> Any:
    """A StableDiffusionPipeline of this VAE and of freshly drawn other parts."""
    from diffusers import StableDiffusionPipeline

    tokenizer = demo_model.build_tokenizer()
    with drawn_from(seed, "text encoder weights"):
        text_encoder = demo_model.build_text_encoder(params, tokenizer)
    with drawn_from(seed, "unet weights"):
        unet = demo_model.build_unet(params)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=demo_model.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def adopt(params: BaseParams, resolution: int, target: Path, work: Path, progress: Progress) -> dict[str, Any]:
    """A real Stable Diffusion as `target`: looked at, loaded by stock diffusers, saved again in safetensors."""
    repository = params.repository or ""
    folder, _ = hub.fetched(repository, params.revision, work, progress)
    pipeline = read_pipeline(folder)
    trainee.refuse_resolution(pipeline, resolution)
    name = Path(repository).name if Path(repository).is_dir() else repository
    facts = {
        "name": f"{name} at {params.revision}" if params.revision else name,
        "repository": name,
        "revision": params.revision,
        "weights": {
            path.relative_to(folder).as_posix(): sha256(path)
            for part in hub.WEIGHTS
            for path in sorted((folder / part).glob("*.safetensors"))
        },
    }
    card = model_card.card(
        "base",
        "The model that the experiments start from, unchanged.",
        "",
        resolution,
        "as its authors gave it; see its page on the hub",
        model_card.bullets({"taken from": facts["name"]}),
        "",
    )
    export.save(pipeline, target, card, facts)
    progress(2, 2, "saved")
    return {"name": facts["name"], "parameters": sum(p.numel() for p in pipeline.unet.parameters())}
