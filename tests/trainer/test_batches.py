"""What a step sees depends on the seed and the step alone."""

from collections import Counter

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.trainer.batches import Order, Prompts
from tests.small_models import experiment

counts = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def labels_of(numbers: list[int]) -> list[int]:
    return [label for label, count in enumerate(numbers) for _ in range(count)]


@given(counts, st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_an_epoch_holds_every_image_once(numbers, batch, accumulation):
    labels = labels_of(numbers)
    order = Order(labels, experiment(batch=batch, accumulation=accumulation), seed=3)
    seen = [
        row for step in range(len(labels)) for micro in range(accumulation) for row in order.rows_of(step, micro, 0)
    ]
    for epoch in range(len(seen) // len(labels)):
        part = seen[epoch * len(labels) : (epoch + 1) * len(labels)]
        assert sorted(part) == list(range(len(labels)))


@given(counts)
@settings(max_examples=30, deadline=None)
def test_balanced_sampling_takes_the_classes_in_turn(numbers):
    labels = np.array(labels_of(numbers))
    order = Order(labels.tolist(), experiment(batch=len(numbers), sampling="balanced"), seed=3)
    for step in range(5):
        assert sorted(labels[order.rows_of(step, 0, 0)]) == list(range(len(numbers)))


def test_processes_share_the_images_between_them():
    order = Order(labels_of([8]), experiment(batch=2, processes=2, accumulation=2), seed=3)
    seen = Counter(row for micro in range(2) for rank in range(2) for row in order.rows_of(0, micro, rank))
    assert seen == Counter(range(8))


def test_dropped_images_get_the_empty_prompt():
    prompts = Prompts(["{emotion}", "a {emotion} song"], ["happy", "sad"])
    rows = prompts.draw([0, 1], torch.tensor([True, False]), torch.Generator().manual_seed(0))
    assert prompts.texts[int(rows[0])] == ""
    assert prompts.texts[int(rows[1])] in ("sad", "a sad song")
