"""generate: emotion prompts x seeds -> clips in data/generated/EXPERIMENT, one item per batch."""

from pathlib import Path
from typing import Any

from prefect import flow, task

from flows.engine.content import Content
from flows.engine.run import counts, hashes, run
from tasks.codec.params import SpectrogramParams
from tasks.core.files import digest, write_parquet
from tasks.core.layout import generated, model
from tasks.core.storage import remove_temporaries
from tasks.execution.buckets import in_pool, process_pool
from tasks.execution.cache import prune
from tasks.execution.items import Bucket, Item
from tasks.execution.params import ComputeParams
from tasks.generate.generate import generate_clips
from tasks.generate.manifest import FILES, manifest
from tasks.generate.params import GenerateParams


@task(
    name="generate clips",
    task_run_name="generate {experiment} {bucket.name}",
    cache_policy=Content(function=generate_clips, ignored=("params.prompts", "params.clips_per_prompt")),
    persist_result=True,
    result_serializer="json",
    timeout_seconds=7 * 24 * 3600,
)
def generate_batches(
    bucket: Bucket, experiment: str, params: GenerateParams, spectrogram: SpectrogramParams, seed: int
) -> list[dict[str, Any]]:
    """Pictures from the model, sound from the pictures."""
    return in_pool(
        bucket,
        generate_clips,
        files=FILES,
        item_seconds=12 * 3600,
        model=model(experiment),
        folder=generated(experiment),
        experiment=experiment,
        params=params,
        spectrogram=spectrogram,
        seed=seed,
    )


@flow(name="generate", flow_run_name="generate {experiment}")
def generate(
    params: GenerateParams, spectrogram: SpectrogramParams, experiment: str, seed: int, compute: ComputeParams
) -> dict[str, int]:
    """Pictures and audio of every emotion x seed, and their manifest."""
    target = generated(experiment)
    remove_temporaries(target)
    weights = digest(hashes(model(experiment)))
    items = [
        Item(
            f"{prompt} {first}",
            {"model": weights, "seeds": str(seeds)},
            {"emotion": prompt, "seeds": seeds},
            folder=target.as_posix(),
        )
        for prompt in params.prompts
        for first in range(0, params.clips_per_prompt, params.batch)
        for seeds in [list(range(first, min(first + params.batch, params.clips_per_prompt)))]
    ]
    shared: dict[str, Any] = {"experiment": experiment, "params": params, "spectrogram": spectrogram, "seed": seed}
    with process_pool(compute.workers):
        done = run(generate_batches, items, compute, **shared)
    table, file = manifest([row for one in done for row in one.rows]), target / "manifest.parquet"
    write_parquet(file, table)
    prune(target, [file, *(Path(file) for one in done for file in one.files)])
    return counts(done, clips=len(table))
