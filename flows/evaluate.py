"""evaluate: data/generated + held-out real audio -> reports/metrics.json and the tables of the page."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.run import counts, hashes, run
from tasks.files import digest
from tasks.params import Params
from tasks.registry import Item

DATA, REPORTS, BASE = Path("data"), Path("reports"), Path("models/base")
TABLES = ("metrics.json", "predictions.parquet", "real_clips.parquet", "kad_matrix.csv", "confusion.csv")


@flow(name="evaluate")
def evaluate(params: Params) -> dict[str, int]:
    """Every measure of every experiment, beside the base model, chance and the judge's own limits."""
    experiments = ["base", *params.train.experiments]
    content = {folder: digest(hashes(DATA / folder)) for folder in ("wav", "segments", "labels")}
    content |= {name: digest(hashes(DATA / "generated" / name)) for name in experiments}
    content |= {"vae": digest(hashes(BASE / "vae")), "embedding": embedding_hash(params.evaluate.embedding)}
    wanted: list[Any] = [
        params.evaluate.model_dump(),
        params.spectrogram.model_dump(),
        params.generate.decode.model_dump(),
    ]
    wanted += [params.generate.prompts, params.dataset.resolution, params.seed]
    arguments = {
        "experiments": experiments,
        "data": DATA,
        "base": BASE,
        "target": REPORTS,
        "params": params.evaluate,
        "spectrogram": params.spectrogram,
        "decode": params.generate.decode,
        "prompts": params.generate.prompts,
        "resolution": params.dataset.resolution,
        "seed": params.seed,
        "workers": params.compute.workers,
    }
    outputs = tuple((REPORTS / name).as_posix() for name in TABLES)
    item = Item("measures", content, arguments, outputs=outputs)
    return counts(run("evaluate", [item], params, wanted))


def embedding_hash(name: str) -> str:
    """The content of the file that `evaluate.embedding` names; nothing for the built-in one."""
    return digest(hashes(Path(name))) if Path(name).is_file() else ""
