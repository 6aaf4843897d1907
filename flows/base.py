"""base: the base model, from a hub or pre-trained here -> models/base."""

from pathlib import Path
from typing import Any

from prefect import flow, task

from flows.engine.content import Content
from flows.engine.retries import is_transient
from flows.engine.run import counts, hashes, run
from tasks.base.base import make_base
from tasks.base.params import BaseParams
from tasks.core.files import digest
from tasks.core.layout import BASE, DATASET, work
from tasks.dataset.params import DatasetParams
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams


@task(
    name="make the base model",
    task_run_name="make {bucket.name}",
    cache_policy=Content(function=make_base),
    persist_result=True,
    result_serializer="json",
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=is_transient,
)
def make_base_model(bucket: Bucket, params: BaseParams, resolution: int, seed: int) -> list[dict[str, Any]]:
    """Fetched from the hub and checked, or pre-trained here."""
    return in_process(bucket, make_base, dataset=DATASET, params=params, resolution=resolution, seed=seed, target=BASE)


@flow(name="base")
def base(params: BaseParams, dataset: DatasetParams, seed: int, compute: ComputeParams) -> dict[str, int]:
    """An ordinary diffusers pipeline folder in safetensors."""
    local = Path(params.repository or DATASET)
    content = hashes(local) if local.is_dir() else {}  # a hub's repository is pinned by its revision
    item = Item("base", {"dataset": digest(content)}, {"work": work("base")}, outputs=(BASE.as_posix(),))
    return counts(run(make_base_model, [item], compute, params=params, resolution=dataset.resolution, seed=seed))
