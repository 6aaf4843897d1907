"""Images through the VAE once, cached by content: images -> **latents** -> training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.files import digest, sha256
from tasks.core.reading import json_of
from tasks.core.storage import replacing
from tasks.execution.closure import code_digest
from tasks.models.pixels import scaled
from tasks.trainer.images import Example, read_image


@dataclass(frozen=True)
class Latents:
    """The VAE's posterior of n images, scaled as the U-Net takes it: means and deviations float32 [n, c, h, w]."""

    means: Any
    deviations: Any

    def sample(self, rows: Any, generator: Any) -> Any:
        """A draw from the posterior of these rows, float32 [rows, c, h, w]."""
        import torch

        means = self.means[rows]
        return means + self.deviations[rows] * torch.randn(means.shape, generator=generator)


def vae_key(folder: Path) -> str:
    """What the latents depend on beside the image: the VAE's weights and configuration, however written."""
    weights = {path.name: sha256(path) for path in sorted(folder.glob("*.safetensors"))}
    config = json_of(folder / "config.json")
    return digest([weights, {name: value for name, value in config.items() if not name.startswith("_")}])


def code() -> str:
    """Digest of the code that turns an image into latents: edited code finds no old ones."""
    return code_digest(__name__)


def encode(
    vae: Any,
    key: str,
    examples: Sequence[Example],
    resolution: int,
    cache: Path,
    progress: Callable[[int, int], None],
) -> Latents:
    """Latents of the examples, in their order; each image is encoded alone, so its bits do not depend on others.

    Args:
        vae: an AutoencoderKL on its device.
        key: `vae_key` of it.
        cache: folder with one file an image, named by content.
        progress: called with images done and in all.
    """
    import torch

    means, deviations = [], []
    for index, example in enumerate(examples):
        mean, deviation = encode_one(vae, key, example.path, resolution, cache)
        means.append(mean)
        deviations.append(deviation)
        progress(index + 1, len(examples))
    return Latents(torch.stack(means), torch.stack(deviations))


def encode_one(vae: Any, key: str, image: Path, resolution: int, cache: Path) -> tuple[Any, Any]:
    """Mean and deviation [c, h, w] of one image, from the cache when it is there."""
    import torch
    from safetensors.torch import save_file

    name = digest([key, sha256(image), resolution, code()])
    path = cache / name[:2] / f"{name}.safetensors"
    stored = read_cached(path)
    if stored is None:
        pixels = torch.from_numpy(scaled(read_image(image, resolution))[None])
        with torch.no_grad():
            posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
        scale = vae.config.scaling_factor
        tensors = {
            "mean": (posterior.mean[0].float() * scale).cpu().contiguous(),
            "deviation": (posterior.std[0].float() * scale).cpu().contiguous(),
        }
        with replacing(path) as temporary:
            save_file(tensors, temporary)
        stored = tensors["mean"], tensors["deviation"]
    return stored


def read_cached(path: Path) -> tuple[Any, Any] | None:
    """Mean and deviation of a cached file; None: there is none, or it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
        mean, deviation = stored["mean"], stored["deviation"]
    except (OSError, KeyError, SafetensorError):
        return None
    sound = mean.ndim == 3 and mean.shape == deviation.shape and mean.dtype == deviation.dtype
    return (mean, deviation) if sound and mean.is_floating_point() else None
