"""segment: 10 s windows of the songs as rows -> data/segments."""

from typing import Any

import pandas as pd
from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import hashes, run
from tasks.core.layout import SEGMENT_TABLE, SEGMENTS, WAV_MANIFEST
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams
from tasks.segment.params import SegmentParams
from tasks.segment.segments import write_table


@task(
    name="cut windows",
    task_run_name="cut windows of {bucket.name}",
    cache_policy=Content(function=write_table),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=3600,
)
def cut_windows(bucket: Bucket, params: SegmentParams) -> list[dict[str, Any]]:
    """The windows of all songs as one table."""
    return in_process(bucket, write_table, manifest=WAV_MANIFEST, target=SEGMENT_TABLE, params=params)


@flow(name="segment")
def segment(params: SegmentParams, compute: ComputeParams) -> dict[str, int]:
    """The windows of every song as rows; no audio is copied."""
    songs = Item("segments", hashes(WAV_MANIFEST), {}, outputs=(SEGMENTS.as_posix(),))
    done = run(cut_windows, [songs], compute, params=params)
    n_segments = len(pd.read_parquet(SEGMENT_TABLE, columns=["song_id"]))
    return {"segments": n_segments, "from cache": n_segments if done[0].cached else 0}
