"""An emotion classifier on latents, whose opinion of the predicted image is one more loss.

Trained first, on the clean latents of the training images, then frozen. Its loss counts by the share of signal in
the noisy image: pure noise says nothing of the image.
"""

from typing import Any

import torch
from torch import nn

from tasks.core.seeding import drawn_from, generator
from tasks.trainer.latents import Latents
from tasks.trainer.losses import Schedule

STEPS, BATCH, LEARNING_RATE = 200, 32, 2e-3
NOISE = 0.3  # deviation of the noise on its training latents, so that it reads imperfect images too


def build(channels: int, n_emotions: int) -> nn.Module:
    """A small convolutional classifier of latents [n, c, h, w], any size."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(64, 64, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, n_emotions),
    )


def train(latents: Latents, labels: Any, n_emotions: int, seed: int) -> nn.Module:
    """The classifier after a fixed short training on balanced batches, frozen."""
    with drawn_from(seed, "auxiliary classifier"):
        classifier = build(latents.means.shape[1], n_emotions)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=LEARNING_RATE)
    labels = torch.as_tensor(labels)
    chance = (1 / torch.bincount(labels, minlength=n_emotions).float())[labels]
    for step in range(STEPS):
        draw = generator(seed, "auxiliary step", step)
        rows = torch.multinomial(chance, BATCH, replacement=True, generator=draw)
        clean = latents.sample(rows, draw)
        noisy = clean + NOISE * torch.randn(clean.shape, generator=draw)
        loss = nn.functional.cross_entropy(classifier(noisy), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return classifier.requires_grad_(False).eval()


def errors(classifier: nn.Module, schedule: Schedule, predicted: Any, batch: Any) -> Any:
    """Cross-entropy [n] of the predicted clean latents against their emotions, times the share of signal."""
    n = len(batch.labels)
    timesteps = batch.timesteps[:n]
    clean = schedule.clean(batch.noisy[:n], predicted[:n].float(), timesteps)
    return (
        nn.functional.cross_entropy(classifier(clean), batch.labels, reduction="none")
        * schedule.at(timesteps).flatten()
    )
