"""The dataset's images as a model sees them: data/dataset -> **images** -> latents -> training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tasks.codec.image import open_image
from tasks.core.errors import ImageError, InputError, TrainingError
from tasks.core.files import seed_from
from tasks.core.reading import parquet_of
from tasks.trainer.params import ExperimentParams

COLUMNS = ("file_name", "emotion", "split", "augmentation")


@dataclass(frozen=True)
class Example:
    """One image of the dataset and its class."""

    path: Path
    name: str  # file_name of dataset.parquet, e.g. train/00012_003_0.png
    emotion: str


def read_table(dataset: Path) -> pd.DataFrame:
    """dataset.parquet, sorted by file name.

    Raises:
        InputError: no such file, or columns missing.
    """
    path = dataset / "dataset.parquet"
    if not path.is_file():
        raise InputError("no dataset", where=path, todo="run the stages before: `dvc repro dataset`")
    return parquet_of(path, COLUMNS).sort_values("file_name", ignore_index=True)


def examples(dataset: Path, split: str, params: ExperimentParams, seed: int) -> list[Example]:
    """The images of a split that an experiment uses, sorted by name.

    Augmented copies only when asked for, and only in training; `max_images_per_emotion` takes a seeded choice.

    Raises:
        TrainingError: an emotion of the experiment has no image in this split.
    """
    table = read_table(dataset)
    table = table[(table["split"] == split) & table["emotion"].isin(params.emotions)]
    if not params.augmented or split != "train":
        table = table[table["augmentation"] == ""]
    refuse_empty_classes(table, split, params.emotions, dataset)
    if params.max_images_per_emotion is not None and split == "train":
        table = pd.concat(
            choose(table[table["emotion"] == emotion], params.max_images_per_emotion, seed)
            for emotion in params.emotions
        ).sort_values("file_name")
    return [
        Example(dataset / name, name, emotion)
        for name, emotion in zip(table["file_name"], table["emotion"], strict=True)
    ]


def refuse_empty_classes(table: pd.DataFrame, split: str, emotions: list[str], dataset: Path) -> None:
    """Raise when an emotion has no image."""
    counts = table["emotion"].value_counts()
    empty = [emotion for emotion in emotions if emotion not in counts.index]
    if empty:
        raise TrainingError(
            f"no images of {', '.join(empty)}",
            where=f"{dataset}, split {split}",
            expected="at least one image of each emotion that the experiment names",
            got=", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "no image at all",
            todo="take the emotion out of train.*.emotions, or add songs that have it (label.scheme, label.split)",
        )


def choose(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """`count` rows by the order of a hash of seed and name: adding a song changes at most one choice."""
    order = sorted(table.index, key=lambda row: seed_from(seed, "choice", table.loc[row, "file_name"]))
    return table.loc[order[:count]]


def read_image(path: Path, resolution: int) -> np.ndarray:
    """uint8 [resolution, resolution, 3]; area-averaged down, bicubic up.

    Raises:
        InputError: not an image.
    """
    try:
        rgb = open_image(path).convert("RGB")
    except (ImageError, ValueError, OSError) as error:
        got = error.got if isinstance(error, ImageError) else error
        raise InputError("not an image", where=path, got=got, todo="run the dataset stage again") from error
    method = Image.Resampling.BOX if rgb.width >= resolution else Image.Resampling.BICUBIC
    if rgb.size != (resolution, resolution):
        rgb = rgb.resize((resolution, resolution), method)
    return np.asarray(rgb)
