"""evaluate: generated and held-out real clips -> reports/metrics.json and the tables of the page."""

from pathlib import Path
from typing import Any

from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import counts, hashes, run
from tasks.codec.params import DecodeParams, SpectrogramParams
from tasks.core.files import digest
from tasks.core.layout import (
    BASE,
    CONFUSION,
    DATA,
    KAD_MATRIX,
    LABELS,
    METRICS,
    PREDICTIONS,
    REAL_CLIPS,
    REPORTS,
    SEGMENTS,
    WAV,
    generated,
)
from tasks.dataset.params import DatasetParams
from tasks.evaluate.evaluation import measure_clips
from tasks.evaluate.params import EvaluateParams
from tasks.execution.buckets import in_process
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams
from tasks.generate.params import GenerateParams
from tasks.train.params import TrainParams

TABLES = (METRICS, PREDICTIONS, REAL_CLIPS, KAD_MATRIX, CONFUSION)


@task(
    name="measure clips",
    task_run_name="measure {bucket.name}",
    cache_policy=Content(function=measure_clips, ignored=("workers",)),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=24 * 3600,
)
def measure(
    bucket: Bucket,
    experiments: list[str],
    params: EvaluateParams,
    spectrogram: SpectrogramParams,
    decode: DecodeParams,
    prompts: list[str],
    resolution: int,
    seed: int,
    workers: int,
) -> list[dict[str, Any]]:
    """Every clip described, judged and compared with held-out real ones."""
    return in_process(
        bucket,
        measure_clips,
        experiments=experiments,
        data=DATA,
        base=BASE,
        target=REPORTS,
        params=params,
        spectrogram=spectrogram,
        decode=decode,
        prompts=prompts,
        resolution=resolution,
        seed=seed,
        workers=workers,
    )


@flow(name="evaluate")
def evaluate(
    params: EvaluateParams,
    spectrogram: SpectrogramParams,
    generate: GenerateParams,
    dataset: DatasetParams,
    train: TrainParams,
    seed: int,
    compute: ComputeParams,
) -> dict[str, int]:
    """Every measure of every experiment, beside the base model, chance and the judge's own limits."""
    experiments = ["base", *train.experiments]
    content = {folder.name: digest(hashes(folder)) for folder in (WAV, SEGMENTS, LABELS)}
    content |= {name: digest(hashes(generated(name))) for name in experiments}
    content |= {"vae": digest(hashes(BASE / "vae")), "embedding": embedding_hash(params.embedding)}
    item = Item("measures", content, {}, outputs=tuple(path.as_posix() for path in TABLES))
    done = run(
        measure,
        [item],
        compute,
        experiments=experiments,
        params=params,
        spectrogram=spectrogram,
        decode=generate.decode,
        prompts=generate.prompts,
        resolution=dataset.resolution,
        seed=seed,
        workers=compute.workers,
    )
    return counts(done)


def embedding_hash(name: str) -> str:
    """The content of the file that `evaluate.embedding` names; nothing for the built-in one."""
    return digest(hashes(Path(name))) if Path(name).is_file() else ""
