"""A loss curve one can read: fixed images of unseen artists, fixed noise, fixed time steps.

The training loss jumps because each step draws other images, other noise and other time steps. Here all three are
drawn once, so that a change of the figure is a change of the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.files import seed_from
from tasks.core.seeding import generator
from tasks.trainer.images import Example
from tasks.trainer.losses import Schedule, draw_noise, squared_errors


def fixed_examples(examples: Sequence[Example], emotions: Sequence[str], count: int, seed: int) -> list[Example]:
    """`count` images of each emotion (fewer where there are fewer), a seeded choice."""
    chosen: list[Example] = []
    for emotion in emotions:
        own = [example for example in examples if example.emotion == emotion]
        own.sort(key=lambda example: seed_from(seed, "validation", example.name))
        chosen += own[:count]
    return chosen


def band_steps(n_steps: int, n_bands: int) -> list[int]:
    """The middle time step of each of `n_bands` equal bands of 0..n_steps-1."""
    return [int((band + 0.5) * n_steps / n_bands) for band in range(n_bands)]


@dataclass(frozen=True)
class FixedBatch:
    """Noisy latents and what should be said of them, with each row's emotion and band."""

    noisy: Any
    target: Any
    timesteps: Any
    prompts: Any
    labels: Any
    emotions: list[str]
    bands: list[str]

    def parts(self, size: int) -> Iterator[slice]:
        """Slices of at most `size` rows."""
        return (slice(start, start + size) for start in range(0, len(self.emotions), size))


def fixed_batch(
    examples: Sequence[Example],
    latents: Any,
    schedule: Schedule,
    n_bands: int,
    prompt_rows: Sequence[int],
    labels: Sequence[int],
    seed: int,
) -> FixedBatch:
    """Every example once in every band; its noise depends on seed, name and band alone.

    Args:
        latents: means float32 [n, c, h, w] of the examples.
        prompt_rows: each example's row of the run's prompts.
    """
    import torch

    rows, noise, timesteps, bands = [], [], [], []
    for band, timestep in enumerate(band_steps(schedule.n_steps, n_bands)):
        for index, example in enumerate(examples):
            rows.append(index)
            shape = (1, *latents.shape[1:])
            noise.append(draw_noise(shape, 0.0, generator(seed, "validation noise", example.name, band)))
            timesteps.append(timestep)
            bands.append(f"{band}")
    clean, drawn, steps = latents[rows], torch.cat(noise), torch.tensor(timesteps)
    return FixedBatch(
        noisy=schedule.noisy(clean, drawn, steps),
        target=schedule.target(clean, drawn, steps),
        timesteps=steps,
        prompts=torch.tensor([prompt_rows[row] for row in rows]),
        labels=torch.tensor([labels[row] for row in rows]),
        emotions=[examples[row].emotion for row in rows],
        bands=bands,
    )


def fixed_losses(batch: FixedBatch, predict: Any, size: int) -> list[tuple[str, str, float]]:
    """(group, name, mean squared error) in total, by time band (0: least noise) and by emotion.

    `predict(noisy, timesteps, prompts, labels)` gives the model's prediction.
    """
    import torch

    with torch.no_grad():
        errors = torch.cat(
            [
                squared_errors(
                    predict(batch.noisy[part], batch.timesteps[part], batch.prompts[part], batch.labels[part]).cpu(),
                    batch.target[part],
                )
                for part in batch.parts(size)
            ]
        ).tolist()
    rows = [("total", "all", _mean(errors))]
    for group, names in (("time_band", batch.bands), ("emotion", batch.emotions)):
        for name in dict.fromkeys(names):
            rows.append((group, name, _mean([e for e, own in zip(errors, names, strict=True) if own == name])))
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
