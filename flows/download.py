"""download: fetch, check and unpack the sources (archives, the demo corpus, a folder) -> data/raw."""

from pathlib import Path
from typing import Any

from prefect import flow, task

from flows.engine.content import Content
from flows.engine.retries import is_transient
from flows.engine.run import hashes, run
from tasks.core.files import digest
from tasks.core.layout import AUDIO, LOCAL, RAW
from tasks.demo_corpus.corpus import render
from tasks.download.params import CorpusParams, DownloadParams
from tasks.download.sources import obtain
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams

CORPUS = LOCAL / "corpus"


@task(
    name="render the demo corpus",
    task_run_name="render {bucket.name}",
    cache_policy=Content(function=render, ignored=("workers",)),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=6 * 3600,
)
def render_corpus(bucket: Bucket, params: CorpusParams, seed: int, workers: int) -> list[dict[str, Any]]:
    """The demo's own songs, packed as DEAM is."""
    return in_process(bucket, render, folder=CORPUS, params=params, seed=seed, workers=workers)


@task(
    name="obtain sources",
    task_run_name="obtain {bucket.name}",
    cache_policy=Content(
        function=obtain,
        ignored=tuple(
            f"params.{name}"
            for name in (
                *("corpus", "watch"),
                *("retries", "backoff_seconds", "stall_seconds", "max_unpacked_gib", "max_ratio"),
            )
        ),
    ),
    persist_result=True,
    result_serializer="json",
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=is_transient,
)
def obtain_sources(bucket: Bucket, params: DownloadParams) -> list[dict[str, Any]]:
    """Archives by HTTP or file, resumed, hash checked and unpacked; or a user's folder."""
    return in_process(bucket, obtain, params=params, target=RAW, work=LOCAL / "downloads")


@flow(name="download")
def download(params: DownloadParams, seed: int, compute: ComputeParams) -> dict[str, int]:
    """Audio, annotations and metadata below data/raw, each byte of it checked."""
    inputs = {}
    if params.corpus:
        corpus = Item("demo corpus", {}, {}, outputs=(CORPUS.as_posix(),))
        run(render_corpus, [corpus], compute, params=params.corpus, seed=seed, workers=compute.workers)
        inputs = hashes(CORPUS)
    if params.folder:
        inputs = {
            "audio": digest(hashes(Path(params.folder.audio))),
            "labels": digest(hashes(Path(params.folder.labels))),
        }
    done = run(obtain_sources, [Item("sources", inputs, {}, outputs=(RAW.as_posix(),))], compute, params=params)
    audio = sum(1 for path in AUDIO.iterdir() if path.is_file())
    return {"songs": audio, "from cache": audio if done[0].cached else 0}
