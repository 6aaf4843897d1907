"""generate: models/EXPERIMENT -> data/generated/EXPERIMENT, one item a batch of clips of one emotion."""

from pathlib import Path

import pandas as pd
from prefect import flow

from flows.run import counts, hashes, run
from tasks import registry
from tasks.cache import prune
from tasks.files import digest, remove_temporaries, write_parquet
from tasks.params import Params


@flow(name="generate", flow_run_name="generate {experiment}")
def generate(params: Params, experiment: str) -> dict[str, int]:
    """Pictures and audio of every emotion x seed, and their manifest."""
    wanted, target = params.generate, Path("data/generated") / experiment
    remove_temporaries(target)
    model = digest(hashes(Path("models") / experiment))
    items = [
        registry.Item(
            f"{prompt} {first}",
            {"model": model, "seeds": str(seeds)},
            {
                "model": Path("models") / experiment,
                "experiment": experiment,
                "emotion": prompt,
                "seeds": seeds,
                "params": wanted,
                "spectrogram": params.spectrogram,
                "folder": target,
                "seed": params.seed,
            },
            folder=target.as_posix(),
        )
        for prompt in wanted.prompts
        for first in range(0, wanted.clips_per_prompt, wanted.batch)
        for seeds in [list(range(first, min(first + wanted.batch, wanted.clips_per_prompt)))]
    ]
    depends = wanted.model_dump(exclude={"prompts", "clips_per_prompt"})
    with registry.process_pool(params.compute.workers):
        done = run("generate", items, params, [depends, params.spectrogram.model_dump(), params.seed, experiment])
    table = pd.DataFrame([row for one in done for row in one.rows])
    write_parquet(target / "manifest.parquet", table.sort_values(["emotion", "seed"]))
    prune(target, [target / "manifest.parquet", *(Path(file) for one in done for file in one.files)])
    return counts(done, clips=len(table))
