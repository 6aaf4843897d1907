"""convert: MP3 and other audio of data/raw -> 44.1 kHz WAV in data/wav, one item per song."""

from pathlib import Path
from typing import Any

from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import counts, hashes, run
from tasks.convert.convert import check_rejected, convert_song, manifest, song_files
from tasks.convert.params import ConvertParams
from tasks.core.files import write_parquet
from tasks.core.layout import AUDIO, WAV, WAV_MANIFEST
from tasks.core.storage import remove_temporaries
from tasks.execution.buckets import in_pool, process_pool
from tasks.execution.cache import prune
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams


@task(
    name="convert songs",
    task_run_name="convert {bucket.name}",
    cache_policy=Content(function=convert_song, ignored=("params.max_rejected_share",)),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=24 * 3600,
)
def convert_songs(bucket: Bucket, params: ConvertParams) -> list[dict[str, Any]]:
    """Each song of the bucket decoded to a WAV, or rejected with its reason."""
    return in_pool(bucket, convert_song, files=["file"], item_seconds=3600, folder=WAV, params=params)


@flow(name="convert")
def convert(params: ConvertParams, compute: ComputeParams) -> dict[str, int]:
    """A WAV per song and data/wav/manifest.parquet, rejected songs as rows with their reason."""
    remove_temporaries(WAV)
    content = hashes(AUDIO)
    items = [
        Item(
            f"song {song_id}",
            {"source": content[source.name]},
            {"song_id": song_id, "source": source},
            folder=WAV.as_posix(),
        )
        for song_id, source in song_files(AUDIO).items()
    ]
    with process_pool(compute.workers):
        done = run(convert_songs, items, compute, params=params)
    table = manifest([row for one in done for row in one.rows])
    check_rejected(table, params)
    write_parquet(WAV_MANIFEST, table.sort_values("song_id"))
    prune(WAV, [WAV_MANIFEST, *(Path(file) for one in done for file in one.files)])
    return counts(done, rejected=int((table.status == "rejected").sum()))
