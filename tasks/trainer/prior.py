"""Prior preservation: images that the base itself draws, rehearsed so that it does not forget them.

models/base -> **prior images** (cached PNG) -> latents -> training. Ruiz et al. 2023, section 3.2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tasks.core.files import digest
from tasks.core.seeding import generator
from tasks.core.storage import replacing
from tasks.execution.closure import code_digest
from tasks.trainer.batches import Prompts, filled
from tasks.trainer.images import Example
from tasks.trainer.latents import Latents
from tasks.trainer.params import ExperimentParams, PriorParams

IMAGES_PER_CALL = 8


@dataclass(frozen=True)
class PriorBatch:
    """Latents [n, c, h, w] and rows of the run's prompts [n]."""

    latents: Any
    prompts: Any


@dataclass(frozen=True)
class Prior:
    """The base's own images as latents, and the prompt each was drawn with."""

    latents: Latents
    prompts: Any

    def draw(self, count: int, draw: Any) -> PriorBatch:
        """`count` images, drawn with replacement."""
        import torch

        rows = torch.randint(len(self.prompts), (count,), generator=draw)
        return PriorBatch(self.latents.sample(rows, draw), self.prompts[rows])


def load(
    pipeline: Any,
    base: dict[str, str],
    params: ExperimentParams,
    prompts: Prompts,
    seed: int,
    folder: Path,
    encoded: Callable[[Sequence[Example]], Latents],
    progress: Callable[[int, int, str], None],
) -> Prior:
    """The prior's images, generated where they are not there yet.

    Each has a seed of its own and is drawn in the same company again, so neither order nor an interruption changes
    one, nor the training after it.

    Args:
        base: hashes of the pipeline's files.
        folder: holds a folder a text, named by all that its images depend on; experiments share them.
    """
    import torch

    chosen: PriorParams = params.prior  # type: ignore[assignment]
    count = chosen.images_per_prompt
    settings = [base, params.resolution, chosen.steps, chosen.guidance, count, seed, code_digest(__name__)]
    wanted: list[tuple[str, int, Path]] = []
    parts: list[list[tuple[str, int, Path]]] = []
    for text in dict.fromkeys(filled(prompt, emotion) for prompt in chosen.prompts for emotion in params.emotions):
        place = folder / digest([*settings, text])[:16]
        own = [(text, index, place / f"{index:04d}.png") for index in range(count)]
        parts += [own[start : start + IMAGES_PER_CALL] for start in range(0, count, IMAGES_PER_CALL)]
        wanted += own
    for done, part in enumerate(parts):
        if all(path.is_file() for _, _, path in part):
            continue
        images = draw_images(
            pipeline,
            [text for text, _, _ in part],
            [generator(seed, "prior", text, index) for text, index, _ in part],
            params.resolution,
            chosen.steps,
            chosen.guidance,
        )
        for image, (_, _, path) in zip(images, part, strict=True):
            with replacing(path) as temporary:
                image.save(temporary, format="PNG")
        progress(done + 1, len(parts), "prior images")
    rows = torch.tensor([prompts.texts.index(text) for text, _, _ in wanted])
    return Prior(encoded([Example(path, path.name, text) for text, _, path in wanted]), rows)


def draw_images(
    pipeline: Any, texts: list[str], generators: list[Any], resolution: int, steps: int, guidance: float
) -> list[Image.Image]:
    """An image of each text, with the pipeline's own scheduler."""
    import torch

    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        return pipeline(
            texts,
            height=resolution,
            width=resolution,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
        ).images
