"""Conditioning of the U-Net on an emotion beside the prompt: a learned vector, and group norms modulated by it.

The vector of "no emotion" is fixed at zero and every layer here starts at zero, so a pre-trained U-Net starts
unchanged, and a saved one without these parts (stock diffusers) is exactly the one conditioned on "no emotion".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tasks.core.errors import InputError, ModelError
from tasks.core.files import write_json
from tasks.core.reading import json_of
from tasks.core.storage import replacing


class EmotionConditioning(nn.Module):
    """Adds a vector per emotion to the time embedding; with `adaptive_norm` it also scales and shifts the second
    group norm of every residual block (AdaGN, Dhariwal & Nichol 2021; the statistics are AdaIN's, Huang &
    Belongie 2017, per group).

    `labels` int64 [n] is set before each pass of the U-Net; `len(emotions)` stands for "no emotion".
    """

    def __init__(self, emotions: Sequence[str], unet: Any, adaptive_norm: bool) -> None:
        super().__init__()
        self.emotions, self.adaptive_norm = list(emotions), adaptive_norm
        width = unet.time_embedding.linear_2.out_features
        self.vectors = nn.Parameter(torch.zeros(len(emotions), width))
        self.norms = nn.ModuleDict()
        self.labels: torch.Tensor | None = None
        unet.time_embedding.register_forward_hook(lambda _module, _inputs, output: output + self.embedded())
        if adaptive_norm:
            for name, module in norms_of(unet):
                layer = nn.Linear(width, 2 * module.num_channels, bias=False)
                nn.init.zeros_(layer.weight)
                self.norms[name] = layer
                module.register_forward_hook(self._modulate(layer))

    def embedded(self) -> torch.Tensor:
        """The vectors of the current labels [n, width]; zero for "no emotion"."""
        if self.labels is None:
            return self.vectors.new_zeros(())
        table = torch.cat([self.vectors, self.vectors.new_zeros(1, self.vectors.shape[1])])
        return table[self.labels.to(table.device)]

    def _modulate(self, layer: nn.Linear) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            if self.labels is None:
                return output
            scale, shift = layer(self.embedded())[:, :, None, None].chunk(2, dim=1)
            return output * (1 + scale) + shift

        return hook

    def set_labels(self, emotions: Sequence[str], guided: bool) -> None:
        """Labels of a sampling batch: an emotion per image, unknown words are "no emotion".

        With classifier-free guidance the first half of the batch is unconditional ("no emotion").
        """
        no_emotion = len(self.emotions)
        labels = [self.emotions.index(name) if name in self.emotions else no_emotion for name in emotions]
        self.labels = torch.tensor([no_emotion] * len(labels) * guided + labels)


def norms_of(unet: Any) -> list[tuple[str, nn.GroupNorm]]:
    """The second group norm of every residual block, by a name fit for a module dictionary."""
    return [
        (name.replace(".", "_"), module)
        for name, module in unet.named_modules()
        if name.endswith(".norm2") and isinstance(module, nn.GroupNorm)
    ]


def save(conditioning: EmotionConditioning, folder: Path) -> None:
    """Write `emotion.json` and `emotion.safetensors` into `folder`."""
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in conditioning.state_dict().items()}
    write_json(
        folder / "emotion.json", {"emotions": conditioning.emotions, "adaptive_norm": conditioning.adaptive_norm}
    )
    with replacing(folder / "emotion.safetensors") as temporary:
        save_file(tensors, temporary)


def attach(pipeline: Any, model: Path) -> EmotionConditioning | None:
    """The emotion conditioning of a model folder, hooked into the pipeline's U-Net; None: it has none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = model / "emotion"
    if not folder.is_dir():
        return None
    try:
        facts = json_of(folder / "emotion.json")
        conditioning = EmotionConditioning(facts["emotions"], pipeline.unet, facts["adaptive_norm"])
        conditioning.load_state_dict(load_file(folder / "emotion.safetensors"))
    except (InputError, SafetensorError, OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise ModelError(
            "the emotion conditioning does not fit the U-Net", where=folder, got=error, todo="train it again"
        ) from error
    return conditioning.to(pipeline.unet.device)
