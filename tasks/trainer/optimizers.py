"""Which weights move, how fast, and by which rule: experiment -> **optimizer** -> training."""

import math
from collections.abc import Iterable
from typing import Any

from tasks.core.errors import ParameterError
from tasks.trainer.params import OptimizerParams

PROBE_ELEMENTS = 8192  # bitsandbytes keeps 8-bit state from 4,096 elements on


def choose_layers(unet: Any, parts: list[str]) -> None:
    """Only parameters whose name contains one of `parts` get gradients; `all` means every one.

    Raises:
        ParameterError: nothing has such a name.
    """
    chosen = 0
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_("all" in parts or any(part in name for part in parts))
        chosen += parameter.requires_grad
    if not chosen:
        known = sorted({name.split(".")[0] for name, _ in unet.named_parameters()})
        raise ParameterError(
            "no layer of the U-Net has such a name",
            where="train: unet_layers",
            expected=f"all, or parts of names such as {', '.join(known)}, attn1, attn2, resnets",
            got=", ".join(parts),
        )


def learning_rate_share(step: int, steps: int, warmup: int, schedule: str) -> float:
    """The share of the peak learning rate at optimizer step `step` (from 0), as diffusers' schedules have it.

    Warm-up climbs linearly from 0; then constant, or down to 0 at the last step: linear, half a cosine, or
    polynomial (square).
    """
    if step < warmup:
        return step / warmup
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    shares = {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "polynomial": (1 - done) ** 2,
    }
    return shares[schedule]


def set_learning_rates(optimizer: Any, share: float) -> None:
    """Each group's learning rate is `share` of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def build(groups: Iterable[tuple[list[Any], float]], params: OptimizerParams, device: Any) -> tuple[Any, str]:
    """The optimizer over (parameters, peak learning rate) groups, and the name of what really runs.

    8-bit AdamW that cannot take a step here is replaced by AdamW; the name says so.
    """
    import torch

    sets = [{"params": list(parameters), "lr": peak, "peak": peak} for parameters, peak in groups if parameters]
    common: dict[str, Any] = {"weight_decay": params.weight_decay, "betas": (0.9, 0.999), "eps": 1e-8}
    if params.name == "adamw_8bit":
        trouble = eight_bit_trouble(device)
        if trouble is None:
            import bitsandbytes

            return bitsandbytes.optim.AdamW8bit(sets, **common), "adamw_8bit"
        return torch.optim.AdamW(sets, fused=True, **common), f"adamw (adamw_8bit cannot run here: {trouble})"
    return torch.optim.AdamW(sets, fused=True, **common), "adamw"


def eight_bit_trouble(device: Any) -> str | None:
    """Why bitsandbytes cannot step on this device; None: it can. Some versions import and then fail to step."""
    import torch

    try:
        import bitsandbytes

        weight = torch.nn.Parameter(torch.zeros(PROBE_ELEMENTS, device=device))
        weight.grad = torch.ones_like(weight)
        bitsandbytes.optim.AdamW8bit([weight], lr=1e-3).step()
    except (ImportError, RuntimeError, NotImplementedError, AttributeError, OSError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None if float(weight.detach().abs().min()) > 0 else "its step moved nothing"


class MovingAverage:
    """Exponential moving average of parameters; early steps average less, so that the start is forgotten."""

    def __init__(self, parameters: list[Any], decay: float) -> None:
        self.decay = decay
        self.shadows = [parameter.detach().clone() for parameter in parameters]

    def update(self, parameters: list[Any], step: int) -> None:
        """Take in the parameters after optimizer step `step` (from 0)."""
        import torch

        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for shadow, parameter in zip(self.shadows, parameters, strict=True):
                shadow.lerp_(parameter.detach(), 1 - decay)

    def swap(self, parameters: list[Any]) -> None:
        """Exchange the averages with the parameters; twice gives the old state."""
        for shadow, parameter in zip(self.shadows, parameters, strict=True):
            shadow.data, parameter.data = parameter.data, shadow.data
