"""What the U-Net is asked for and how its error is weighed; training and validation read it.

Everything is derived from alpha-bar [T], the share of signal left after each time step, so that one code path
serves an epsilon model (riffusion-model-v1) and a v model (the demo's).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import ModelError, TrainingError
from tasks.trainer.params import LossParams


@dataclass(frozen=True)
class Schedule:
    """The noise schedule: alpha-bar float32 [T], decreasing, and what is predicted."""

    alphas: Any
    prediction: str

    @property
    def n_steps(self) -> int:
        """Training time steps."""
        return len(self.alphas)

    def at(self, timesteps: Any) -> Any:
        """alpha-bar of each image, [n, 1, 1, 1]."""
        return self.alphas.to(timesteps.device)[timesteps].reshape(-1, 1, 1, 1)

    def noisy(self, clean: Any, noise: Any, timesteps: Any) -> Any:
        """sqrt(a) x + sqrt(1 - a) e (Ho et al. 2020, eq. 4)."""
        share = self.at(timesteps)
        return share.sqrt() * clean + (1 - share).sqrt() * noise

    def target(self, clean: Any, noise: Any, timesteps: Any) -> Any:
        """The noise, or the velocity sqrt(a) e - sqrt(1 - a) x (Salimans & Ho 2022)."""
        if self.prediction == "epsilon":
            return noise
        share = self.at(timesteps)
        return share.sqrt() * noise - (1 - share).sqrt() * clean

    def clean(self, noisy: Any, predicted: Any, timesteps: Any) -> Any:
        """The image that a prediction amounts to; an epsilon prediction says nothing at alpha-bar 0."""
        share = self.at(timesteps)
        if self.prediction == "epsilon":
            return (noisy - (1 - share).sqrt() * predicted) / share.sqrt().clamp(min=1e-4)
        return share.sqrt() * noisy - (1 - share).sqrt() * predicted

    def snr_weights(self, timesteps: Any, gamma: float) -> Any:
        """min-SNR weights [n] (Hang et al. 2023): min(snr, g) / snr for epsilon, min(snr, g) / (snr + 1) for v.

        For v the weight of the noisiest steps goes to 0 with their signal: with zero terminal SNR the mean
        brightness is then hardly learned. Measure before use.
        """
        share = self.at(timesteps).flatten()
        snr = share / (1 - share)
        divisor = snr if self.prediction == "epsilon" else snr + 1
        return snr.clamp(max=gamma) / divisor


def schedule_of(scheduler: Any, params: LossParams) -> Schedule:
    """The base's own schedule, with what the experiment changes.

    Raises:
        ModelError: a prediction type that is neither epsilon nor v.
        TrainingError: epsilon with zero terminal SNR: from pure noise it says nothing of the image.
    """
    import torch
    from diffusers import DDPMScheduler

    config = dict(scheduler.config)
    if params.zero_terminal_snr is not None:
        config["rescale_betas_zero_snr"] = params.zero_terminal_snr
    if params.prediction != "base":
        config["prediction_type"] = params.prediction
    if config["prediction_type"] not in ("epsilon", "v_prediction"):
        raise ModelError(
            "this prediction type is not trained here",
            where="scheduler/scheduler_config.json",
            expected="epsilon or v_prediction",
            got=config["prediction_type"],
        )
    alphas = DDPMScheduler.from_config(config).alphas_cumprod.to(torch.float32).clamp(0, 1)
    if config["prediction_type"] == "epsilon" and float(alphas[-1]) < 1e-7:
        raise TrainingError(
            "an epsilon model cannot have zero terminal SNR: its first sampling step would be 0/0",
            where="train: loss",
            expected="prediction: v_prediction (a long retraining for an epsilon base), or zero_terminal_snr: false",
            got="epsilon with zero terminal SNR",
        )
    return Schedule(alphas, config["prediction_type"])


def scheduler_for(scheduler: Any, params: LossParams) -> Any:
    """The scheduler that the trained model is saved with: the base's with what was changed.

    One that cannot have zero terminal SNR (PNDM, as riffusion-model-v1 comes with) gives way to DDIM.
    """
    from diffusers import DDIMScheduler

    kind = type(scheduler)
    changes: dict[str, Any] = {}
    if params.prediction != "base":
        changes["prediction_type"] = params.prediction
    if params.zero_terminal_snr is not None:
        changes["rescale_betas_zero_snr"] = params.zero_terminal_snr
        if params.zero_terminal_snr:
            changes["timestep_spacing"] = "trailing"
            if "rescale_betas_zero_snr" not in scheduler.config:
                kind = DDIMScheduler
                changes["clip_sample"] = False
    return kind.from_config(scheduler.config, **changes)


def draw_noise(shape: Sequence[int], offset: float, generator: Any) -> Any:
    """Gaussian noise [n, c, h, w]; with offset noise (Guttenberg 2023) each channel's mean wanders as well."""
    import torch

    noise = torch.randn(tuple(shape), generator=generator)
    if offset:
        noise = noise + offset * torch.randn((shape[0], shape[1], 1, 1), generator=generator)
    return noise


def draw_timesteps(count: int, n_steps: int, how: str, generator: Any) -> Any:
    """Time steps int64 [count], uniform over 0..n_steps-1; stratified: one in each of `count` equal parts."""
    import torch

    if how == "uniform":
        return torch.randint(n_steps, (count,), generator=generator)
    places = (torch.randperm(count, generator=generator) + torch.rand(1, generator=generator)) / count
    return (places * n_steps).long().clamp(max=n_steps - 1)


def class_weights(counts: Sequence[int]) -> Any:
    """Weights float32 [classes] with mean 1 over the images: 1 / effective number (Cui et al. 2019, eq. 4).

    beta = 1 - 1/n with n images in all.
    """
    import torch

    n = torch.tensor(counts, dtype=torch.float64)
    beta = 1 - 1 / n.sum()
    weights = (1 - beta) / (1 - beta**n)
    return (weights / ((weights * n).sum() / n.sum())).float()


def squared_errors(predicted: Any, target: Any) -> Any:
    """Mean squared error of each image, float32 [n]."""
    return (predicted.float() - target.float()).square().mean(dim=(1, 2, 3))


def weighted(errors: Any, timesteps: Any, labels: Any, schedule: Schedule, params: LossParams, classes: Any) -> Any:
    """Errors [n] times the weights that the experiment asks for."""
    if params.snr_gamma:
        errors = errors * schedule.snr_weights(timesteps, params.snr_gamma)
    if params.class_balanced:
        errors = errors * classes.to(errors.device)[labels]
    return errors
