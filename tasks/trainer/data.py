"""What a run is trained and validated on: dataset + base -> **training data** -> loop.

Latents (cached by content), labels, prompts, the order of the images, prior images, and the fixed validation
batch. Nothing here changes while the run goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.files import digest, sha256
from tasks.core.params_base import key_values
from tasks.core.seeding import generator
from tasks.execution.closure import code_digest
from tasks.trainer import images, latents, losses, prior, validation
from tasks.trainer.batches import Order, Prompts
from tasks.trainer.images import Example
from tasks.trainer.params import ExperimentParams

Progress = Callable[[int, int, str], None]
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
WITHOUT_EFFECT = (  # knobs that change no weight and no curve, or only by way of which images are taken
    "data_licence",
    "augmented",
    "max_images_per_emotion",
    "preview",
    "checkpoints",
    "export",
    "export_both",
    "trackers",
)
WRITERS = (  # code that writes a run's results and changes none of its weights
    "tasks.models.pipelines",
    "tasks.models.model_card",
    "tasks.trainer.export",
    "tasks.trainer.preview",
    "tasks.trainer.trackers",
)


@dataclass(frozen=True)
class Batch:
    """One micro-batch on its way into the U-Net; rows beyond `labels` rehearse the base's own images."""

    noisy: Any
    target: Any
    clean: Any
    timesteps: Any
    prompts: Any
    labels: Any  # emotion of each image
    conditions: Any  # emotion label that the U-Net is conditioned on; "no emotion" where dropped and for prior images
    names: list[str]

    def to(self, device: Any) -> "Batch":
        """The same on a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if name != "names"}
        return replace(self, **tensors)


@dataclass(frozen=True)
class TrainingData:
    """Everything a step draws from."""

    params: ExperimentParams
    seed: int
    examples: Sequence[Example]
    labels: np.ndarray
    latents: latents.Latents
    prior: prior.Prior | None
    prompts: Prompts
    order: Order
    schedule: losses.Schedule
    class_weights: Any
    fixed: validation.FixedBatch
    inputs: dict[str, Any]

    def batch(self, step: int, micro: int, rank: int) -> Batch:
        """The micro-batch of this step: images, posterior draw, noise, time steps, prompts, all keyed by it."""
        import torch

        params, no_emotion = self.params, len(self.params.emotions)
        draw = generator(self.seed, "step", step, micro, rank)
        rows = self.order.rows_of(step, micro, rank)
        clean = self.latents.sample(rows, draw)
        labels = torch.from_numpy(self.labels[rows])
        dropped = torch.rand(len(rows), generator=draw) < params.conditioning.dropout
        prompts = self.prompts.draw(labels.tolist(), dropped, draw)
        conditions = torch.where(dropped, no_emotion, labels)
        if self.prior is not None:
            old = self.prior.draw(len(rows), draw)
            clean = torch.cat([clean, old.latents])
            prompts = torch.cat([prompts, old.prompts])
            conditions = torch.cat([conditions, torch.full((len(rows),), no_emotion)])
        noise = losses.draw_noise(clean.shape, params.loss.offset_noise, draw)
        timesteps = losses.draw_timesteps(len(clean), self.schedule.n_steps, params.loss.timesteps, draw)
        return Batch(
            noisy=self.schedule.noisy(clean, noise, timesteps),
            target=self.schedule.target(clean, noise, timesteps),
            clean=clean,
            timesteps=timesteps,
            prompts=prompts,
            labels=labels,
            conditions=conditions,
            names=[self.examples[row].name for row in rows],
        )


def load(
    pipeline: Any, dataset: Path, base: Path, params: ExperimentParams, seed: int, work: Path, progress: Progress
) -> TrainingData:
    """The training data of an experiment: images encoded, prior images drawn, the validation batch fixed.

    Raises:
        TrainingError: an emotion without images.
    """
    examples = images.examples(dataset, "train", params, seed)
    held_out = validation.fixed_examples(
        images.examples(dataset, "validation", params, seed),
        params.emotions,
        params.validation.images_per_emotion,
        seed,
    )
    key, content = latents.vae_key(base / "vae"), content_of(base)
    shared = work.parent  # what is named by content is shared by all experiments

    def encoded(chosen: Sequence[Example]) -> latents.Latents:
        return latents.encode(
            pipeline.vae, key, chosen, params.resolution, shared / "latents", lambda n, of: progress(n, of, "latents")
        )

    schedule = losses.schedule_of(pipeline.scheduler, params.loss)
    prompts = Prompts([*params.prompts, *(params.prior.prompts if params.prior else [])], params.emotions)
    prompts.n_templates = len(params.prompts)  # prior prompts are never drawn for new images
    labels = np.array([params.emotions.index(example.emotion) for example in examples])
    fixed = validation.fixed_batch(
        held_out,
        encoded(held_out).means,
        schedule,
        params.validation.time_bands,
        [prompts.row(0, example.emotion) for example in held_out],
        [params.emotions.index(example.emotion) for example in held_out],
        seed,
    )
    return TrainingData(
        params=params,
        seed=seed,
        examples=examples,
        labels=labels,
        latents=encoded(examples),
        prior=prior.load(pipeline, content, params, prompts, seed, shared / "prior", encoded, progress)
        if params.prior
        else None,
        prompts=prompts,
        order=Order(labels.tolist(), params, seed),
        schedule=schedule,
        class_weights=losses.class_weights(np.bincount(labels, minlength=len(params.emotions)).tolist()),
        fixed=fixed,
        inputs=inputs_of(content, [*examples, *held_out], params, seed),
    )


def content_of(base: Path) -> dict[str, str]:
    """Hashes of the files that make a pipeline what it is: weights, configurations, vocabulary."""
    files = [path for part in PARTS for path in sorted((base / part).glob("*")) if path.is_file()]
    return {path.relative_to(base).as_posix(): sha256(path) for path in files}


def code() -> str:
    """Digest of the code that decides weights and curves."""
    return code_digest("tasks.trainer.loop", WRITERS)


def inputs_of(base: dict[str, str], examples: Sequence[Example], params: ExperimentParams, seed: int) -> dict[str, Any]:
    """All that weights and curves follow from, by part: a checkpoint is valid for the same inputs.

    A knob at its default counts as if it were not there, so that one added later leaves old checkpoints valid. How
    often is validated stays in: it decides rows of the curves, and which weights are the best.
    """
    content = [(example.name, example.emotion, sha256(example.path)) for example in examples]
    effective = {name: value for name, value in key_values(params).items() if name not in WITHOUT_EFFECT}
    return {
        "base": base,
        "pictures": digest(content),
        "parameters": effective | {"best weights are saved": saves_best(params)},
        "seed": seed,
        "code": code(),
    }


def saves_best(params: ExperimentParams) -> bool:
    """Whether the weights of the lowest validation loss are saved on the way."""
    return params.export == "best" or params.export_both
