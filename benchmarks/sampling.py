"""Seams, speed and repeatability of sampling: `python -m benchmarks.sampling [MODEL] [--pieces N] [--tiles N]`.

Seams: the spectral flux (mean absolute change from one picture column to the next) where windows begin or end,
against elsewhere, for pieces made by overlapping windows and, for comparison, by gluing independent tiles. A
ratio of 1 means that the seam is no more of a change than the music is; the interval is a bootstrap over pieces.
Elsewhere means other columns at the same place of the VAE's grid: a small VAE's pictures change more where one
latent ends and the next begins (printed too), seam or not.
Speed: CPU seconds a tile for each sampler on one thread. Repeatability: pixels that differ when a clip is made alone
and in a batch.
"""

import os

from tasks.execution.worker import THREAD_VARIABLES

os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # before numpy is imported

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import Report
from tasks.core import windows
from tasks.generate import sampling
from tasks.generate.diffusion import Model
from tasks.generate.params import GenerateParams
from tasks.settings import load

ROOT = Path(__file__).parent.parent


def flux(pictures: np.ndarray) -> np.ndarray:
    """Change at each border between columns, float [n, columns - 1]."""
    return np.abs(np.diff(pictures.astype(np.float32), axis=-1)).mean(axis=1)


def seam_ratio(pictures: np.ndarray, seams: np.ndarray, scale: int) -> tuple[float, float, float]:
    """Mean flux at the seams over the mean at other borders of latents, and its 95 % interval."""
    change = flux(pictures)
    elsewhere = np.setdiff1d(np.arange(scale - 1, change.shape[1], scale), seams)
    at_seams, at_rest = change[:, seams].mean(axis=1), change[:, elsewhere].mean(axis=1)
    rows = np.random.default_rng(0).integers(0, len(change), (2000, len(change)))
    draws = at_seams[rows].mean(axis=1) / at_rest[rows].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(at_seams.mean() / at_rest.mean()), float(low), float(high)


def show_seams(report: Report, model: Model, params: GenerateParams, n_pieces: int, n_tiles: int) -> None:
    side = model.resolution
    prompts = [params.prompts[index % len(params.prompts)] for index in range(n_pieces)]
    long = sampling.generate_long(model, prompts, range(n_pieces), params, n_tiles * model.width)
    parts = [
        sampling.generate_images(model, prompts, range(index * n_pieces, (index + 1) * n_pieces), params)
        for index in range(n_tiles)
    ]
    glued_seams = np.arange(1, n_tiles) * side - 1
    starts = windows.starts(n_tiles * model.width, model.width, params.overlap)[1:]
    ends = [first + model.width for first in starts[:-1]]
    borders = np.unique([latent * model.scale - 1 for latent in [*starts, *ends] if latent < n_tiles * model.width])
    report.say(f"spectral flux at seams / elsewhere, {n_pieces} pieces of {n_tiles} tiles (95 % interval)")
    for name, pictures, seams in (
        ("overlapping windows", long, borders),
        ("glued tiles", np.concatenate(parts, axis=-1), glued_seams),
    ):
        value, low, high = seam_ratio(pictures, seams, model.scale)
        report.say(f"  {name:22} {value:.2f} ({low:.2f} to {high:.2f})")
        if name == "overlapping windows":
            report.figure("spectral flux at seams / elsewhere", value, "times")
            report.figure("spectral flux at seams / elsewhere, lower end of the interval", low, "times", bar=1)
    change = flux(parts[0]).mean(axis=0)
    grid = change[model.scale - 1 :: model.scale].mean() / change.mean()
    report.say(f"  {'inside single tiles':22} {grid:.2f} (borders of latents / all columns)")


def show_speed(report: Report, model: Model, params: GenerateParams) -> None:
    report.say(f"CPU seconds a tile, {params.steps} steps, batch {params.batch}, one thread")
    for scheduler in ("ddim", "dpm_solver", "euler"):
        changed = params.model_copy(update={"scheduler": scheduler})
        started = time.process_time()
        sampling.generate_images(model, ["happy"] * params.batch, range(params.batch), changed)
        report.say(f"  {scheduler:22} {(time.process_time() - started) / params.batch:.3f}")


def show_repeatability(report: Report, model: Model, params: GenerateParams) -> None:
    together = sampling.generate_images(model, ["happy"] * params.batch, range(params.batch), params)
    alone = np.concatenate([sampling.generate_images(model, ["happy"], [seed], params) for seed in range(4)])
    difference = np.abs(together[:4].astype(int) - alone)
    share = (difference > 0).mean()
    report.say(
        f"alone against in a batch of {params.batch}: {share:.2%} of the pixels differ, at most by {difference.max()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=ROOT / "models" / "ours")
    parser.add_argument("--pieces", type=int, default=20)
    parser.add_argument("--tiles", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    params = load(ROOT / "params.yaml").generate
    model = sampling.load_pipeline(arguments.model)
    report = Report("sampling")
    show_seams(report, model, params, arguments.pieces, arguments.tiles)
    show_speed(report, model, params)
    show_repeatability(report, model, params)
    report.save()


if __name__ == "__main__":
    main()
