"""The demo's VAE: images -> trained, whitened **autoencoder** -> latents.

It learns on crops (it is convolutional), then its latents are shifted and scaled to mean 0 and deviation 1 a
channel, inside its own 1x1 convolutions, so that the noise schedule meets data of unit size.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.base import demo_model
from tasks.base.params import DemoBaseParams
from tasks.core.files import digest, sha256
from tasks.core.params_base import key_values
from tasks.core.seeding import drawn_from, generator
from tasks.core.storage import replacing
from tasks.execution.closure import code_digest
from tasks.models.pixels import scaled
from tasks.trainer import checkpoints
from tasks.trainer.images import Example, read_image
from tasks.trainer.optimizers import learning_rate_share

KL_WEIGHT = 1e-6  # as latent diffusion's (Rombach et al. 2022): just enough to keep the latents bounded
WHITENED_ON = 256  # images
WARMUP_STEPS = 20
CHECKPOINT_EVERY = 100  # steps between checkpoints
FLOOR = 1e-6


def train(
    vae: Any,
    examples: Sequence[Example],
    params: DemoBaseParams,
    seed: int,
    runs: Path,
    inputs: dict[str, Any],
    progress: Callable[[int, int, str], None],
) -> Any:
    """`vae` after `vae_steps` of reconstruction on random crops, whitened; float32, in evaluation mode.

    The learning rate climbs at first and falls along half a cosine. What was killed goes on from the newest checkpoint
    below `runs` that was made of the same `inputs`, bit by bit.
    """
    import torch

    pixels = torch.from_numpy(
        np.stack([read_image(example.path, params.training.resolution)[..., :1] for example in examples])
    )
    vae = vae.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=params.vae_learning_rate, weight_decay=0.0, fused=True)
    for step in range(resume(vae, optimizer, runs, inputs), params.vae_steps):
        share = learning_rate_share(step, params.vae_steps, WARMUP_STEPS, "cosine")
        optimizer.param_groups[0]["lr"] = share * params.vae_learning_rate
        draw = generator(seed, "vae step", step)
        crops = random_crops(pixels, params.vae_batch, params.vae_crop, draw)
        loss = reconstruction_loss(vae, crops, draw)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        progress(step + 1, params.vae_steps, f"VAE, error {float(loss.detach()):.4f}")
        if (step + 1) % CHECKPOINT_EVERY == 0:
            save_checkpoint(vae, optimizer, step + 1, runs, inputs)
    vae = vae.to(memory_format=torch.contiguous_format).eval().requires_grad_(False)
    means, deviations = latent_statistics(vae, pixels[:: max(1, len(pixels) // WHITENED_ON)])
    whiten(vae, means, deviations)
    return vae


def save_checkpoint(vae: Any, optimizer: Any, step: int, runs: Path, inputs: dict[str, Any]) -> None:
    """Write a checkpoint into the folder of the run with these inputs."""
    folder = checkpoints.run_folder(runs, inputs)
    tensors, numbers = checkpoints.flatten_optimizer(optimizer)
    tensors |= {f"weight.{name}": value for name, value in vae.state_dict().items()}
    facts = {"fingerprint": checkpoints.fingerprint(inputs), "inputs": inputs, "numbers": numbers, "step": step}
    checkpoints.save(folder / "checkpoints", step, tensors, facts, keep=1)
    checkpoints.remove_other_runs(folder)


def resume(vae: Any, optimizer: Any, runs: Path, inputs: dict[str, Any]) -> int:
    """Put both where the newest checkpoint stands; the steps that it had done, 0 without one."""
    import torch

    folder = checkpoints.run_folder(runs, inputs)
    found = checkpoints.latest(folder / "checkpoints", checkpoints.fingerprint(inputs))
    if found is None:
        checkpoints.warn_of_other_run(folder, inputs)
        return 0
    tensors, facts = found
    weights = {name.removeprefix("weight."): value for name, value in tensors.items() if name.startswith("weight.")}
    vae.load_state_dict(weights)
    for value in tensors.values():
        if value.ndim == 4:  # the fused optimizer wants its state laid out as the weights are
            value.data = value.contiguous(memory_format=torch.channels_last)
    checkpoints.restore_optimizer(optimizer, tensors, facts["numbers"])
    return int(facts["step"])


def random_crops(pixels: Any, count: int, side: int, draw: Any) -> Any:
    """float32 [count, 3, side, side] in -1..1 out of uint8 [n, H, W, 1]; places on the latents' grid."""
    import torch

    side = min(side, pixels.shape[1])
    rows = torch.randint(len(pixels), (count,), generator=draw).tolist()
    places = torch.randint((pixels.shape[1] - side) // 8 + 1, (count, 2), generator=draw).mul(8).tolist()
    crops = torch.stack(
        [pixels[row, top : top + side, left : left + side] for row, (top, left) in zip(rows, places, strict=True)]
    )
    crops = torch.from_numpy(scaled(crops.numpy())).expand(-1, 3, -1, -1)
    return crops.contiguous(memory_format=torch.channels_last)


def reconstruction_loss(vae: Any, images: Any, draw: Any) -> Any:
    """Mean absolute error of the reconstruction, plus a trace of KL divergence from the unit Gaussian."""
    posterior = vae.encode(images).latent_dist
    restored = vae.decode(posterior.sample(generator=draw)).sample
    return (restored - images).abs().mean() + KL_WEIGHT * posterior.kl().mean()


def latent_statistics(vae: Any, pixels: Any) -> tuple[Any, Any]:
    """Mean and deviation [c] of the posterior means over images uint8 [n, H, W, 1]."""
    import torch

    latents = []
    with torch.no_grad():
        for one in pixels:
            image = torch.from_numpy(scaled(one.numpy()[None])).expand(-1, 3, -1, -1)
            latents.append(vae.encode(image).latent_dist.mean)
    values = torch.cat(latents).double()
    return values.mean(dim=(0, 2, 3)), values.std(dim=(0, 2, 3)).clamp(min=FLOOR)


def whiten(vae: Any, means: Any, deviations: Any) -> None:
    """Fold z' = (z - mean) / deviation into `quant_conv` and its inverse into `post_quant_conv`.

    Images are encoded and decoded as before; only the latents between have mean 0 and deviation 1 a channel.
    """
    import torch

    into, out_of = vae.quant_conv, vae.post_quant_conv
    channels = len(means)
    with torch.no_grad():
        scale, shift = deviations.to(into.weight.dtype), means.to(into.weight.dtype)
        into.weight[:channels] /= scale[:, None, None, None]
        into.bias[:channels] = (into.bias[:channels] - shift) / scale
        into.bias[channels:] -= 2 * scale.log()  # the second half is the log of the variance
        out_of.bias += out_of.weight[:, :, 0, 0] @ shift
        out_of.weight *= scale[None, :, None, None]


def load_or_train(
    examples: Sequence[Example],
    params: DemoBaseParams,
    seed: int,
    work: Path,
    progress: Callable[[int, int, str], None],
) -> Any:
    """The trained VAE, from `work` when it was trained on the same images before."""
    from safetensors.torch import load_file, save_file

    with drawn_from(seed, "vae weights"):
        vae = demo_model.build_vae(params)
    inputs = inputs_of(examples, params, seed)
    path = work / f"vae-{checkpoints.fingerprint(inputs)[:16]}.safetensors"
    if path.is_file():
        vae.load_state_dict(load_file(path))
        return vae.eval().requires_grad_(False)
    vae = train(vae, examples, params, seed, work / "vae", inputs, progress)
    with replacing(path) as temporary:
        save_file(vae.state_dict(), temporary)
    for other in work.glob("vae-*.safetensors"):
        if other != path:
            other.unlink()
    return vae


def inputs_of(examples: Sequence[Example], params: DemoBaseParams, seed: int) -> dict[str, Any]:
    """All that the VAE's weights follow from, by part; as for a training run, a knob at its default is not there."""
    others = ("training", "unet_channels", "text_width")
    own = {name: value for name, value in key_values(params).items() if name not in others}
    own |= {name: getattr(params.training, name) for name in ("resolution", "threads")}
    content = digest([sha256(example.path) for example in examples])
    return {"parameters": own, "seed": seed, "pictures": content, "code": code_digest(__name__)}
