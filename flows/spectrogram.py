"""spectrogram: WAV and segments -> mel spectrogram images in data/spectrograms, one item per song."""

from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import counts, run
from tasks.codec.params import SpectrogramParams
from tasks.core.files import digest, write_parquet
from tasks.core.layout import SEGMENT_TABLE, SPECTROGRAM_MANIFEST, SPECTROGRAMS, WAV, WAV_MANIFEST
from tasks.core.storage import remove_temporaries
from tasks.execution.buckets import in_pool, process_pool
from tasks.execution.cache import prune
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams
from tasks.spectrogram.render import manifest, render_song


@task(
    name="render spectrograms",
    task_run_name="render spectrograms of {bucket.name}",
    cache_policy=Content(function=render_song),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=24 * 3600,
)
def render_spectrograms(bucket: Bucket, params: SpectrogramParams, seed: int) -> list[dict[str, Any]]:
    """STFT, mel and power law of every segment of the bucket's songs, as PNG."""
    return in_pool(
        bucket, render_song, files=["file"], item_seconds=3600, folder=SPECTROGRAMS, params=params, seed=seed
    )


@flow(name="spectrogram")
def spectrogram(params: SpectrogramParams, seed: int, compute: ComputeParams) -> dict[str, int]:
    """The pictures of every segment and their manifest."""
    remove_temporaries(SPECTROGRAMS)
    songs = pd.read_parquet(WAV_MANIFEST).set_index("song_id")
    segments = pd.read_parquet(SEGMENT_TABLE).sort_values(["song_id", "segment"])
    items = []
    for song_id, rows in groupby(segments.to_dict("records"), key=itemgetter("song_id")):
        windows = list(rows)
        items.append(
            Item(
                f"song {song_id}",
                {"wav": songs.sha256[song_id], "segments": digest(windows)},
                {"wav": WAV / songs.file[song_id], "segments": windows},
                folder=SPECTROGRAMS.as_posix(),
            )
        )
    with process_pool(compute.workers):
        done = run(render_spectrograms, items, compute, params=params, seed=seed)
    table = manifest([row for one in done for row in one.rows])
    write_parquet(SPECTROGRAM_MANIFEST, table)
    prune(SPECTROGRAMS, [SPECTROGRAM_MANIFEST, *(Path(file) for one in done for file in one.files)])
    return counts(done, pictures=len(table))
