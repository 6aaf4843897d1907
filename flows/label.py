"""label: annotations and metadata -> checked, corrected labels and splits in data/labels."""

from typing import Any

import pandas as pd
from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import hashes, run
from tasks.core.files import digest
from tasks.core.layout import ANNOTATIONS, LABELS, METADATA, RAW, SEGMENT_TABLE, SEGMENTS, SONG_LABELS
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams
from tasks.label.labels import write_labels
from tasks.label.params import LabelParams


@task(
    name="label songs",
    task_run_name="label {bucket.name}",
    cache_policy=Content(function=write_labels),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=3600,
)
def label_songs(bucket: Bucket, params: LabelParams, seed: int) -> list[dict[str, Any]]:
    """All annotation files read, checked, corrected and split by artist."""
    return in_process(bucket, write_labels, raw=RAW, segments=SEGMENT_TABLE, target=LABELS, params=params, seed=seed)


@flow(name="label")
def label(params: LabelParams, seed: int, compute: ComputeParams) -> dict[str, int]:
    """Checked, corrected, normalised labels of songs and segments, classes, and the split by artist."""
    content = hashes(ANNOTATIONS) | hashes(METADATA) | hashes(SEGMENTS)
    songs = Item("labels", {"files": digest(content)}, {}, outputs=(LABELS.as_posix(),))
    done = run(label_songs, [songs], compute, params=params, seed=seed)
    table = pd.read_parquet(SONG_LABELS, columns=["status", "swapped"])
    return {
        "songs": len(table),
        "from cache": len(table) if done[0].cached else 0,
        "corrected": int(table.swapped.sum()),
        "excluded": int((table.status != "ok").sum()),
    }
