"""dataset: images joined to their emotion -> data/dataset."""

from typing import Any

import pandas as pd
from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import hashes, run
from tasks.core.files import digest
from tasks.core.layout import DATASET, DATASET_TABLE, EXCLUDED, LABELS, SOURCES, SPECTROGRAMS
from tasks.dataset.dataset import write_dataset
from tasks.dataset.params import DatasetParams
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams


@task(
    name="join pictures and labels",
    task_run_name="join {bucket.name}",
    cache_policy=Content(function=write_dataset),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=24 * 3600,
)
def join_labels(bucket: Bucket, params: DatasetParams) -> list[dict[str, Any]]:
    """The imagefolder, its metadata and its card."""
    return in_process(
        bucket,
        write_dataset,
        spectrograms=SPECTROGRAMS,
        labels=LABELS,
        sources=SOURCES,
        target=DATASET,
        params=params,
    )


@flow(name="dataset")
def dataset(params: DatasetParams, compute: ComputeParams) -> dict[str, int]:
    """Every picture joined to its emotion by song id, or a row that says why not."""
    content = hashes(LABELS) | hashes(SPECTROGRAMS) | hashes(SOURCES)
    item = Item("dataset", {"files": digest(content)}, {}, outputs=(DATASET.as_posix(),))
    done = run(join_labels, [item], compute, params=params)
    rows = len(pd.read_parquet(DATASET_TABLE, columns=["song_id"]))
    excluded = len(pd.read_parquet(EXCLUDED))
    return {"pictures": rows, "from cache": rows if done[0].cached else 0, "excluded": excluded}
