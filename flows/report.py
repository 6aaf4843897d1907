"""report: all results -> reports/index.html, the page to read and listen to."""

from pathlib import Path
from typing import Any

from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import counts, hashes, run
from flows.evaluate import TABLES
from tasks.core.files import digest
from tasks.core.layout import (
    DATASET_TABLE,
    EXCLUDED,
    FACTS,
    GENERATED,
    LABELS,
    MEDIA,
    MODELS,
    PAGE,
    REPORTS,
    SOURCES,
    TRAINING,
    WAV_MANIFEST,
)
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams
from tasks.report.report import TEMPLATES, write_report

READ = (LABELS, WAV_MANIFEST, SOURCES, DATASET_TABLE, EXCLUDED, GENERATED, TRAINING, *TABLES)


@task(
    name="write the page",
    task_run_name="write {bucket.name}",
    cache_policy=Content(function=write_report),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=24 * 3600,
)
def write_page(bucket: Bucket, profile: str) -> list[dict[str, Any]]:
    """Page, pictures and sound in one folder."""
    return in_process(bucket, write_report, root=Path(), target=REPORTS, profile=profile)


@flow(name="report")
def report(profile: str, compute: ComputeParams) -> dict[str, int]:
    """A folder that needs no network and no server."""
    content = {path.as_posix(): digest(hashes(path)) for path in READ}
    content |= {"models": digest(hashes(MODELS, FACTS)), "templates": digest(hashes(TEMPLATES))}
    item = Item("page", content, {}, outputs=(PAGE.as_posix(), MEDIA.as_posix()))
    return counts(run(write_page, [item], compute, profile=profile))
