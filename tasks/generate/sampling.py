"""Emotions x seeds as images: models/EXPERIMENT -> **images** -> audio files.

Every clip has its own generator, seeded by the stage's seed, its emotion and its number: what is drawn does not
depend on the other clips of a batch. The arithmetic does, a little: matrix kernels may add in another order
for another batch size, which moves latents by about 1e-6 and now and then a pixel by 1 of 255. With batches of
the same size the bits agree (measured on CPU in float32; tests/generate/test_sampling.py holds both).
"""

import difflib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.codec.params import SpectrogramParams
from tasks.core import windows
from tasks.core.errors import ModelError, ParameterError
from tasks.core.files import seed_from
from tasks.generate import clip_writer, diffusion
from tasks.generate.diffusion import Conditioning, Model, Pixels, load_pipeline
from tasks.generate.params import GenerateParams

__all__ = [
    "Model",
    "check_emotion",
    "generate_batch",
    "generate_images",
    "generate_long",
    "interpolate",
    "load_pipeline",
    "trained_model",
    "vary",
]


def generate_batch(
    model: Path,
    experiment: str,
    emotion: str,
    seeds: list[int],
    params: GenerateParams,
    spectrogram: SpectrogramParams,
    folder: Path,
    seed: int,
) -> list[dict[str, Any]]:
    """As `tasks.generate.generate.generate_clips`."""
    check_emotion(emotion, params.prompts)
    loaded = cached_model(trained_model(model.name, model.parent))
    length = latent_length(loaded, params.seconds, spectrogram)
    noise_seeds = [seed_from(seed, emotion, number) for number in seeds]
    images = generate_long(loaded, [emotion] * len(seeds), noise_seeds, params, length)
    requests = [clip_writer.Request(experiment, emotion, number, params.seconds, {}) for number in seeds]
    return [
        clip_writer.write_clip(image, request, params, spectrogram, folder, seed)
        for image, request in zip(images, requests, strict=True)
    ]


def check_emotion(emotion: str, known: Sequence[str]) -> None:
    """Refuse an emotion that is not among `known`, suggesting near misses.

    Raises:
        ParameterError: unknown.
    """
    if emotion in known:
        return
    near = difflib.get_close_matches(emotion.lower(), known, n=2, cutoff=0.5)
    raise ParameterError(
        "unknown emotion",
        expected=" or ".join(known),
        got=repr(emotion),
        todo=f"did you mean {' or '.join(near)}?" if near else "add it to generate.prompts if the model knows it",
    )


def trained_model(experiment: str, models: Path) -> Path:
    """The folder of an experiment's model.

    Raises:
        ModelError: not trained; the message names those that are.
    """
    if (models / experiment / "model_index.json").is_file():
        return models / experiment
    there = sorted(path.parent.name for path in models.glob("[!.]*/model_index.json"))
    raise ModelError(
        f"no trained model of experiment {experiment!r}",
        where=models,
        expected=" or ".join(there) if there else "at least one model",
        got="no model_index.json there",
        todo=f"`dvc repro train@{experiment}`" if there else "`make repro` trains all experiments",
    )


def cached_model(folder: Path) -> Model:
    """The model, cached for the next batch of this process while its files stay the same."""
    return _loaded(folder, tuple(path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()))


@lru_cache(maxsize=1)
def _loaded(folder: Path, stamp: tuple[int, ...]) -> Model:
    return load_pipeline(folder)


def latent_length(model: Model, seconds: float, params: SpectrogramParams) -> int:
    """Latent columns that hold so many seconds, at least one image, whose `tile_columns` are `model.width`."""
    columns = clip_writer.n_columns(seconds, params)
    return max(model.width, -(-columns * model.width // params.tile_columns))


def generate_images(model: Model, prompts: Sequence[str], seeds: Sequence[int], params: GenerateParams) -> Pixels:
    """One image per prompt and seed, grey uint8 [n, resolution, resolution], in batches of `params.batch`."""
    return generate_long(model, prompts, seeds, params, model.width)


def generate_long(
    model: Model, prompts: Sequence[str], seeds: Sequence[int], params: GenerateParams, length: int
) -> Pixels:
    """Images of `length` latent columns, uint8 [n, resolution, length * scale].

    Longer than an image, overlapping windows are denoised together (see `tasks.core.windows`), so that no seam is
    heard. A length of one image is `generate_images`, bit by bit.
    """

    def one(part: slice) -> Pixels:
        conditioning = diffusion.condition(
            model, prompts[part], params.negative_prompt, n_windows(model, length, params)
        )
        noise = torch.stack([diffusion.draw_noise(model, seed, length) for seed in seeds[part]])
        return diffusion.decode(model, diffusion.denoise(model, conditioning, noise, params), params.overlap)

    return diffusion.in_batches(len(prompts), params.batch, one)


def n_windows(model: Model, length: int, params: GenerateParams) -> int:
    """Windows over `length` latent columns."""
    return len(windows.starts(length, model.width, params.overlap))


def interpolate(
    model: Model, start: str, end: str, seed: int, params: GenerateParams, length: int
) -> NDArray[np.uint8]:
    """One piece that glides from one emotion to another, uint8 [resolution, length * scale].

    Spherical both in the text embedding, window by window, and in the noise, column by column, between two
    draws. The first and the last window are wholly `start` and `end`.
    """
    conditioning = glide(model, start, end, window_shares(model, length, params), params)
    latents = diffusion.denoise(model, conditioning, glide_noise(model, seed, length)[None], params)
    return diffusion.decode(model, latents, params.overlap)[0]


def glide(model: Model, start: str, end: str, shares: Sequence[float], params: GenerateParams) -> Conditioning:
    """Conditioning window by window: the spherical mixture of both embeddings, `shares` (0..1) of `end`."""
    embeddings = diffusion.embed(model, [start, end])
    between = [diffusion.slerp(embeddings[0], embeddings[1], share, axis=-1) for share in shares]
    words = [start if share < 0.5 else end for share in shares]
    return Conditioning(torch.stack(between)[None], diffusion.embed(model, [params.negative_prompt])[0], [words])


def glide_noise(model: Model, seed: int, length: int) -> torch.Tensor:
    """Noise float32 [channels, width, length] that turns from one draw into another, column by column."""
    first, last = (diffusion.draw_noise(model, seed_from(seed, side), length) for side in ("start", "end"))
    noise = diffusion.slerp(first.flatten(0, 1), last.flatten(0, 1), torch.linspace(0, 1, length), axis=0)
    return noise.view_as(first)


def window_shares(model: Model, length: int, params: GenerateParams) -> list[float]:
    """How far each window is on the way, 0 to 1; a single window is half-way."""
    count = n_windows(model, length, params)
    return [index / (count - 1) for index in range(count)] if count > 1 else [0.5]


def vary(
    model: Model,
    images: Pixels,
    prompts: Sequence[str],
    seeds: Sequence[int],
    params: GenerateParams,
    strength: float,
) -> Pixels:
    """Variations of given images, the same shape: the larger `strength` (0..1), the farther from them.

    Args:
        images: grey uint8 [n, resolution, columns]; columns a multiple of the model's pixels per latent.

    Raises:
        ParameterError: images that do not fit the model, or a strength out of range.
    """
    _check_variation(model, images, strength)

    def one(part: slice) -> Pixels:
        latents = diffusion.encode(model, images[part], params.overlap)
        length = latents.shape[-1]
        conditioning = diffusion.condition(
            model, prompts[part], params.negative_prompt, n_windows(model, length, params)
        )
        noise = torch.stack([diffusion.draw_noise(model, seed, length) for seed in seeds[part]])
        changed = diffusion.denoise(model, conditioning, noise, params, diffusion.Source(latents, strength))
        return diffusion.decode(model, changed, params.overlap)

    return diffusion.in_batches(len(prompts), params.batch, one)


def _check_variation(model: Model, images: Pixels, strength: float) -> None:
    if not 0 < strength <= 1:
        raise ParameterError("strength out of range", expected="0 < strength <= 1", got=strength)
    rows, columns = images.shape[-2:]
    if rows != model.resolution or columns < model.resolution or columns % model.scale:
        raise ParameterError(
            "the image does not fit the model",
            expected=f"{model.resolution} rows, at least as many columns, a multiple of {model.scale}",
            got=f"{rows} x {columns}",
        )
