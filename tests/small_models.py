"""A dataset of a few drawn pictures and a Stable Diffusion with 8 channels: the real classes, small enough to test."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tasks.base import pretraining
from tasks.base.params import DemoBaseParams
from tasks.models import pipelines
from tasks.settings import Params, load
from tasks.trainer.params import ExperimentParams, changed

ROOT = Path(__file__).parents[1]
EMOTIONS = ["happy", "sad", "calm"]
TINY: dict[str, Any] = {
    "emotions": EMOTIONS,
    "prompts": ["{emotion}"],
    "resolution": 32,
    "batch": 2,
    "accumulation": 1,
    "steps": 4,
    "sampling": "as_is",
    "precision": "none",
    "optimizer": {"name": "adamw", "learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 0},
    "conditioning": {"dropout": 0.2},
    "prior": None,
    "validation": {"every_steps": 2, "images_per_emotion": 1, "time_bands": 2},
    "checkpoints": {"every_steps": 1, "keep": 1},
    "threads": 1,
}


def picture(emotion: str, index: int, side: int = 64) -> np.ndarray:
    """uint8 [side, side]: stripes whose width says the emotion, with a little noise."""
    noise = np.random.default_rng(index).integers(0, 20, (side, side))
    stripes = 110 * (1 + np.sin(np.arange(side) / (1 + EMOTIONS.index(emotion)) + index))
    return (stripes[None, :] + noise).astype(np.uint8)


def make_dataset(folder: Path, counts: dict[str, int] | None = None) -> Path:
    """data/dataset with `counts` training pictures of each emotion (4 unless said), 2 in the other splits."""
    rows = []
    for split in ("train", "validation", "test"):
        for emotion in EMOTIONS:
            n = (counts or {}).get(emotion, 4) if split == "train" else 2
            for index in range(n):
                name = f"{split}/{EMOTIONS.index(emotion):05d}_{index:03d}_0.png"
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture(emotion, index + 10 * len(split))).save(path)
                rows.append({"file_name": name, "emotion": emotion, "split": split, "augmentation": ""})
    pd.DataFrame(rows).to_parquet(folder / "dataset.parquet")
    return folder


@cache
def dataset() -> Path:
    """The dataset, made once a session."""
    return make_dataset(Path(mkdtemp()) / "dataset")


@cache
def demo_params() -> Params:
    """The demo profile, read once a session."""
    return load(ROOT / "profiles" / "demo.yaml")


def experiment(**changes: Any) -> ExperimentParams:
    """The demo's defaults, made tiny, then changed."""
    return changed(changed(demo_params().train.defaults, TINY), changes)


def sizes(**changes: Any) -> DemoBaseParams:
    """A demo model of a few thousand weights."""
    demo = demo_params().base.demo
    assert demo is not None
    small = {
        "vae_channels": [4, 4, 8, 8],
        "vae_steps": 3,
        "vae_crop": 32,
        "unet_channels": [8, 16],
        "text_width": 16,
        "training": experiment(prompts=["music", ""], steps=2),
    }
    return demo.model_copy(update={**small, **changes})


@cache
def model() -> Path:
    """An untrained pipeline folder, made once a session."""
    from tasks.base.demo_model import build_vae

    folder = Path(mkdtemp()) / "base"
    pipelines.save(
        pretraining.assemble(build_vae(sizes()).eval(), sizes(), seed=1), folder, "A test.\n", {"name": "a test"}
    )
    return folder


def weights(folder: Path) -> dict[str, Any]:
    """All weights of a pipeline folder by part and name."""
    from safetensors.torch import load_file

    return {
        f"{path.parent.name}/{name}": tensor
        for path in sorted(folder.glob("*/*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def pipeline() -> Any:
    """The untrained pipeline, loaded."""
    return pipelines.load(model())
