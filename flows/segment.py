"""segment: data/wav/manifest.parquet -> data/segments/segments.parquet."""

from pathlib import Path

import pandas as pd
from prefect import flow

from flows.run import hashes, run
from tasks.params import Params
from tasks.registry import Item

WAV, SEGMENTS = Path("data/wav"), Path("data/segments")


@flow(name="segment")
def segment(params: Params) -> dict[str, int]:
    """The windows of every song as rows; no audio is copied."""
    arguments = {
        "manifest": WAV / "manifest.parquet",
        "target": SEGMENTS / "segments.parquet",
        "params": params.segment,
    }
    inputs = hashes(WAV, "manifest.parquet")
    item = Item("segments", inputs, arguments, outputs=(SEGMENTS.as_posix(),))
    done = run("segment", [item], params, params.segment.model_dump())
    n_segments = len(pd.read_parquet(SEGMENTS / "segments.parquet", columns=["song_id"]))
    return {"segments": n_segments, "from cache": n_segments if done[0].cached else 0}
