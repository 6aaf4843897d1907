"""Pixels as Stable Diffusion's VAE takes and gives them: uint8 images <-> **float images in -1..1**."""

import numpy as np


def scaled(pixels: np.ndarray) -> np.ndarray:
    """uint8 [..., H, W, 3] in 0..255 -> float32 [..., 3, H, W] in -1..1, as a VAE takes it."""
    return np.moveaxis(pixels.astype(np.float32) / 127.5 - 1, -1, -3)


def unscaled(images: np.ndarray) -> np.ndarray:
    """float [..., 3, H, W] in -1..1 -> uint8 [..., H, W, 3], rounded and clipped: the inverse of `scaled`."""
    return np.moveaxis(np.clip(np.rint((images + 1) * 127.5), 0, 255), -3, -1).astype(np.uint8)
