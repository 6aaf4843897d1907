"""train: fine-tune the base model by DreamBooth -> models/EXPERIMENT."""

from typing import Any

from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import counts, echo, hashes, run
from tasks.core.files import digest
from tasks.core.layout import BASE, DATASET, model, training, work
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams
from tasks.train.params import TrainParams, experiment_of
from tasks.train.train import fine_tune
from tasks.trainer.params import ExperimentParams


@task(
    name="fine-tune",
    task_run_name="fine-tune {bucket.name}",
    cache_policy=Content(function=fine_tune),
    persist_result=True,
    result_serializer="json",
)
def fine_tune_model(bucket: Bucket, experiment: ExperimentParams, seed: int) -> list[dict[str, Any]]:
    """DreamBooth on the base model; a killed run goes on from its last checkpoint, so there is no time-out."""
    return in_process(bucket, fine_tune, dataset=DATASET, base=BASE, experiment=experiment, seed=seed)


@flow(name="train", flow_run_name="train {experiment}")
def train(params: TrainParams, experiment: str, seed: int, compute: ComputeParams) -> dict[str, int]:
    """A fine-tuned pipeline folder, and its loss curves in reports/train/EXPERIMENT."""
    chosen = experiment_of(params, experiment)
    content = {"dataset": digest(hashes(DATASET)), "base": digest(hashes(BASE))}
    target, curves = model(experiment), training(experiment)
    arguments = {
        "name": experiment,
        "target": target,
        "reports": curves,
        "work": work(experiment),
    }
    item = Item(experiment, content, arguments, outputs=(target.as_posix(), curves.as_posix()))
    done = run(fine_tune_model, [item], compute, experiment=chosen, seed=seed)
    for note in done[0].rows[0]["notes"]:
        echo(f"train@{experiment}: {note}")
    return counts(done)
