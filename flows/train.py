"""train: data/dataset + models/base -> models/EXPERIMENT, by DreamBooth."""

from pathlib import Path

from prefect import flow

from flows.run import counts, hashes, run, tell
from tasks.cache import LOCAL
from tasks.experiments import experiment_of
from tasks.files import digest
from tasks.params import Params
from tasks.registry import Item

DATASET, BASE = Path("data/dataset"), Path("models/base")


@flow(name="train", flow_run_name="train {experiment}")
def train(params: Params, experiment: str) -> dict[str, int]:
    """A fine-tuned pipeline folder, and its loss curves in reports/train/EXPERIMENT."""
    chosen = experiment_of(params.train, experiment)
    content = {"dataset": digest(hashes(DATASET)), "base": digest(hashes(BASE))}
    target, curves = Path("models") / experiment, Path("reports/train") / experiment
    wanted = [experiment, chosen.model_dump(), params.seed]
    arguments = {
        "name": experiment,
        "dataset": DATASET,
        "base": BASE,
        "experiment": chosen,
        "seed": params.seed,
        "target": target,
        "work": LOCAL / "work" / experiment / digest([content, wanted])[:16],
        "reports": curves,
    }
    item = Item(experiment, content, arguments, outputs=(target.as_posix(), curves.as_posix()))
    done = run("train", [item], params, wanted)
    for note in done[0].rows[0]["notes"]:
        tell(f"train@{experiment}: {note}")
    return counts(done)
