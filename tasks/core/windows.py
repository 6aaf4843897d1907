"""Overlapping windows over a long picture: length -> **windows** -> tiles, sampling; and their weighted mean.

MultiDiffusion (Bar-Tal, Yariv, Lipman and Dekel 2023): a model that knows pictures of one width denoises each
window of a wider one; where windows overlap, their predictions are averaged in every step. For samplers that
are linear in the prediction, as all here are, that is the same as averaging the denoised windows (their eq. 5).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = Any  # torch.Tensor, which is not imported for its name only


def starts(length: int, width: int, overlap: float) -> list[int]:
    """First positions of windows of `width` that cover `length`, evenly spread, the last one at the end.

    Neighbours share at least `overlap` (0..1) of their width, so far as whole positions allow.
    """
    if length <= width:
        return [0]
    stride = max(1, int(width * (1 - overlap)))
    n_windows = 1 + -(-(length - width) // stride)
    return [round(index * (length - width) / (n_windows - 1)) for index in range(n_windows)]


def ramp(width: int) -> NDArray[np.float32]:
    """Weights of a window, sine squared, [width]: nearly 0 at its edges, so that entering a window is no step."""
    return (np.sin(np.pi * (np.arange(width) + 0.5) / width) ** 2).astype(np.float32)


def blended(part: Callable[[int], Tensor], firsts: list[int], length: int, scale: int = 1) -> Tensor:
    """The weighted mean over windows of `part(index)`, tensors [..., width * scale], as [..., length * scale].

    One window is returned as it is, bit by bit.
    """
    import torch

    first_part = part(0)
    if len(firsts) == 1:
        return first_part
    weights = torch.from_numpy(ramp(first_part.shape[-1])).to(first_part)
    total = first_part.new_zeros((*first_part.shape[:-1], length * scale))
    weight = weights.new_zeros(length * scale)
    for index, first in enumerate(firsts):
        here = slice(first * scale, first * scale + weights.numel())
        total[..., here] += weights * (part(index) if index else first_part)
        weight[here] += weights
    return total / weight
