"""dataset: data/spectrograms + data/labels -> data/dataset."""

from pathlib import Path

import pandas as pd
from prefect import flow

from flows.run import hashes, run
from tasks.files import digest
from tasks.params import Params
from tasks.registry import Item

SPECTROGRAMS, LABELS, DATASET = Path("data/spectrograms"), Path("data/labels"), Path("data/dataset")


@flow(name="dataset")
def dataset(params: Params) -> dict[str, int]:
    """Every picture joined to its emotion by song id, or a row that says why not."""
    arguments = {
        "spectrograms": SPECTROGRAMS,
        "labels": LABELS,
        "sources": Path("data/raw/sources.json"),
        "target": DATASET,
        "params": params.dataset,
    }
    content = hashes(LABELS) | hashes(SPECTROGRAMS) | hashes(Path("data/raw/sources.json"))
    item = Item("dataset", {"files": digest(content)}, arguments, outputs=(DATASET.as_posix(),))
    done = run("dataset", [item], params, params.dataset.model_dump())
    rows = len(pd.read_parquet(DATASET / "dataset.parquet", columns=["song_id"]))
    excluded = len(pd.read_parquet(DATASET / "excluded.parquet"))
    return {"pictures": rows, "from cache": rows if done[0].cached else 0, "excluded": excluded}
