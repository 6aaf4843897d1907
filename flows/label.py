"""label: data/raw/annotations and metadata -> data/labels."""

from pathlib import Path

import pandas as pd
from prefect import flow

from flows.run import hashes, run
from tasks.files import digest
from tasks.params import Params
from tasks.registry import Item

RAW, SEGMENTS, LABELS = Path("data/raw"), Path("data/segments"), Path("data/labels")


@flow(name="label")
def label(params: Params) -> dict[str, int]:
    """Checked, corrected, normalised labels of songs and segments, classes, and the split by artist."""
    arguments = {
        "raw": RAW,
        "segments": SEGMENTS / "segments.parquet",
        "target": LABELS,
        "params": params.label,
        "seed": params.seed,
    }
    content = hashes(RAW / "annotations") | hashes(RAW / "metadata") | hashes(SEGMENTS)
    item = Item("labels", {"files": digest(content)}, arguments, outputs=(LABELS.as_posix(),))
    done = run("label", [item], params, [params.label.model_dump(), params.seed])
    songs = pd.read_parquet(LABELS / "songs.parquet", columns=["status", "swapped"])
    return {
        "songs": len(songs),
        "from cache": len(songs) if done[0].cached else 0,
        "corrected": int(songs.swapped.sum()),
        "excluded": int((songs.status != "ok").sum()),
    }
