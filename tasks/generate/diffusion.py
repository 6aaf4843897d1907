"""A Stable Diffusion pipeline in parts: models/EXPERIMENT -> **model** -> sampling.

Prediction type and betas come from the model's own scheduler, so one path serves the demo (v-prediction, zero
terminal SNR) and riffusion-model-v1 (epsilon). Everything runs in float32 on the accelerator, where there is
one; noise is always drawn on the CPU, so that a seed means the same everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.core import windows
from tasks.core.errors import ModelError
from tasks.core.seeding import generator
from tasks.generate.params import GenerateParams
from tasks.models import emotion_conditioning, pipelines
from tasks.models.pixels import scaled, unscaled

Tensor = torch.Tensor
Pixels = NDArray[np.uint8]
SCHEDULERS = {
    "ddim": "DDIMScheduler",  # Song, Meng and Ermon 2021
    "dpm_solver": "DPMSolverMultistepScheduler",  # Lu et al. 2022
    "euler": "EulerDiscreteScheduler",  # Karras et al. 2022, algorithm 2
}


@dataclass(frozen=True)
class Model:
    """A pipeline and, where the experiment trained one, what conditions its U-Net on the emotion beside the prompt."""

    pipeline: Any  # diffusers.StableDiffusionPipeline
    emotion: emotion_conditioning.EmotionConditioning | None

    @property
    def width(self) -> int:
        """Side of the latents that the U-Net was made for."""
        size = self.pipeline.unet.config.sample_size
        return int(size if isinstance(size, int) else size[-1])

    @property
    def scale(self) -> int:
        """Pixels per latent, each way."""
        return 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)

    @property
    def resolution(self) -> int:
        """Side of the images (pixels)."""
        return self.width * self.scale

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.pipeline.unet.device
        return device


@dataclass(frozen=True)
class Conditioning:
    """What the U-Net is conditioned on for n clips, window by window."""

    embeddings: Tensor  # float32 [n, windows, tokens, width]
    negative: Tensor  # float32 [tokens, width]
    emotions: list[list[str]]  # [n][windows]

    def of_window(self, index: int) -> tuple[Tensor, list[str]]:
        """Embeddings [n, tokens, width] and emotions of all clips in one window."""
        return self.embeddings[:, index], [words[index] for words in self.emotions]


@dataclass(frozen=True)
class Source:
    """What to start from instead of noise: only the last `strength` (0..1) of the steps are taken, from these
    latents with so much noise (SDEdit, Meng et al. 2022)."""

    latents: Tensor  # float32 [n, channels, width, length], on the model's device
    strength: float


def load_pipeline(folder: Path) -> Model:
    """The model of a diffusers folder, from safetensors only (no pickled code), ready to sample.

    Raises:
        ModelError: no such model, or it cannot be read.
    """
    if not (folder / "model_index.json").is_file():
        raise ModelError("no model", where=folder, expected="a diffusers pipeline folder (model_index.json)")
    pipeline = pipelines.load(folder)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    return Model(pipeline, emotion_conditioning.attach(pipeline, folder))


def scheduler_for(model: Model, name: Literal["ddim", "dpm_solver", "euler"], steps: int) -> Any:
    """A fresh sampler with the model's betas and prediction type, its time steps set.

    With zero terminal SNR the steps must be trailing, or sampling would not start from pure noise
    (Lin et al. 2024).
    """
    import diffusers

    config = {**model.pipeline.scheduler.config, "clip_sample": False}  # DDIM would clip latents, which know no bounds
    if config.get("rescale_betas_zero_snr"):
        config["timestep_spacing"] = "trailing"
    scheduler = getattr(diffusers, SCHEDULERS[name]).from_config(config)
    scheduler.set_timesteps(steps, device=model.device)
    return scheduler


def embed(model: Model, texts: Sequence[str]) -> Tensor:
    """The text encoder's last states, float32 [n, tokens, width]."""
    tokenizer, encoder = model.pipeline.tokenizer, model.pipeline.text_encoder
    tokens = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    )
    with torch.no_grad():
        states: Tensor = encoder(tokens.input_ids.to(model.device))[0]
    return states


def condition(model: Model, prompts: Sequence[str], negative: str, n_windows: int) -> Conditioning:
    """One prompt per clip, the same from its first to its last window."""
    embeddings = embed(model, prompts)[:, None].expand(-1, n_windows, -1, -1)
    return Conditioning(embeddings, embed(model, [negative])[0], [[prompt] * n_windows for prompt in prompts])


def draw_noise(model: Model, seed: int, length: int) -> Tensor:
    """Normal noise float32 [channels, width, length]; a longer piece of the same seed starts with the same."""
    channels = model.pipeline.unet.config.in_channels
    noise = torch.randn((length, channels, model.width), generator=generator("noise", seed))
    return noise.permute(1, 2, 0).contiguous()


@torch.no_grad()
def denoise(
    model: Model, conditioning: Conditioning, noise: Tensor, params: GenerateParams, source: Source | None = None
) -> Tensor:
    """Latents float32 [n, channels, width, length] from noise of the same shape."""
    scheduler = scheduler_for(model, params.scheduler, params.steps)
    skipped = 0 if source is None else params.steps - max(1, round(params.steps * source.strength))
    times = scheduler.timesteps[skipped:]
    if hasattr(scheduler, "set_begin_index"):  # samplers that count their steps
        scheduler.set_begin_index(skipped)
    noise = noise.to(model.device)
    if source is None:
        latents = noise * scheduler.init_noise_sigma
    else:
        latents = scheduler.add_noise(source.latents, noise, times[:1].expand(len(noise)))
    for time in times:
        output = predict(model, conditioning, scheduler.scale_model_input(latents, time), time, params)
        latents = scheduler.step(output, time, latents).prev_sample
    return latents


def predict(model: Model, conditioning: Conditioning, latents: Tensor, time: Tensor, params: GenerateParams) -> Tensor:
    """The U-Net's prediction [n, channels, width, length]: guided in each window, averaged where they overlap."""
    length = latents.shape[-1]
    firsts = windows.starts(length, model.width, params.overlap)

    def part(index: int) -> Tensor:
        window = latents[..., firsts[index] : firsts[index] + model.width]
        return guided(model, window, time, *conditioning.of_window(index), conditioning.negative, params)

    prediction: Tensor = windows.blended(part, firsts, length)
    return prediction


def guided(
    model: Model,
    latents: Tensor,
    time: Tensor,
    embeddings: Tensor,
    emotions: list[str],
    negative: Tensor,
    params: GenerateParams,
) -> Tensor:
    """Prediction with classifier-free guidance (Ho and Salimans 2022); a scale of 1 costs no second pass."""
    if params.guidance == 1:
        return unet(model, latents, time, embeddings, emotions, guided=False)
    both = torch.cat([negative.expand_as(embeddings), embeddings])
    output = unet(model, torch.cat([latents, latents]), time, both, emotions, guided=True)
    without, with_prompt = output.chunk(2)
    return rescaled(without + params.guidance * (with_prompt - without), with_prompt, params.guidance_rescale)


def unet(model: Model, latents: Tensor, time: Tensor, embeddings: Tensor, emotions: list[str], guided: bool) -> Tensor:
    """One pass of the U-Net."""
    if model.emotion is not None:
        model.emotion.set_labels(emotions, guided)
    output: Tensor = model.pipeline.unet(latents, time, encoder_hidden_states=embeddings).sample
    return output


def rescaled(prediction: Tensor, with_prompt: Tensor, share: float) -> Tensor:
    """Guidance raises the contrast; `share` of it is taken back, clip by clip (Lin et al. 2024, eq. 15, 16)."""
    if share == 0:
        return prediction
    axes = tuple(range(1, prediction.ndim))
    ratio = with_prompt.std(axes, keepdim=True) / prediction.std(axes, keepdim=True)
    return prediction * (share * ratio + 1 - share)


@torch.no_grad()
def decode(model: Model, latents: Tensor, overlap: float) -> Pixels:
    """Images uint8 [n, height, length * scale], the mean of the VAE's channels; window by window, cross-faded."""
    vae = model.pipeline.vae
    length = latents.shape[-1]
    firsts = windows.starts(length, model.width, overlap)
    plain = latents / vae.config.scaling_factor

    def part(index: int) -> Tensor:
        image: Tensor = vae.decode(plain[..., firsts[index] : firsts[index] + model.width]).sample
        return image

    images = windows.blended(part, firsts, length, model.scale)
    grey = images.clamp(-1, 1).mean(dim=1, keepdim=True)  # clamped first, as diffusers does
    return unscaled(grey.float().cpu().numpy())[..., 0]


@torch.no_grad()
def encode(model: Model, images: Pixels, overlap: float) -> Tensor:
    """Latents float32 [n, channels, width, length / scale] of grey images [n, resolution, length]."""
    vae = model.pipeline.vae
    rgb = torch.from_numpy(scaled(np.repeat(images[..., None], 3, axis=-1))).to(model.device)
    length = images.shape[-1] // model.scale
    firsts = windows.starts(length, model.width, overlap)

    def part(index: int) -> Tensor:
        first = firsts[index] * model.scale
        mean: Tensor = vae.encode(rgb[..., first : first + model.resolution]).latent_dist.mean
        return mean * vae.config.scaling_factor

    latents: Tensor = windows.blended(part, firsts, length)
    return latents


def slerp(start: Tensor, end: Tensor, share: Tensor | float, axis: int) -> Tensor:
    """Spherical interpolation along `axis` from `start` (share 0) to `end` (1): Shoemake 1985.

    Unlike the straight line it keeps the length of normal noise. Nearly parallel vectors, where the formula
    is 0/0, are interpolated straight.
    """
    unit = torch.nn.functional.normalize
    cosine = (unit(start, dim=axis) * unit(end, dim=axis)).sum(axis, keepdim=True).clamp(-1, 1)
    angle = torch.arccos(cosine)
    sine = torch.sin(angle)
    share = torch.as_tensor(share, dtype=start.dtype, device=start.device)
    curved = (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / sine.clamp_min(1e-6)
    return torch.where(sine < 1e-3, torch.lerp(start, end, share.expand_as(start)), curved)


def in_batches(n_clips: int, batch: int, one: Callable[[slice], Pixels]) -> Pixels:
    """`one` on slices of at most `batch` clips, joined.

    Raises:
        ModelError: the accelerator's memory is too small for a batch.
    """
    try:
        return np.concatenate([one(slice(first, first + batch)) for first in range(0, n_clips, batch)])
    except torch.OutOfMemoryError as error:
        raise ModelError(
            "out of memory while sampling",
            where="generate.batch",
            expected=f"memory for {batch} clips at once",
            got=" ".join(str(error).split())[:200],
            todo=f"set generate.batch to {max(1, batch // 2)}",
        ) from error
