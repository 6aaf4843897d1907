"""base: -> models/base, riffusion-model-v1 at its pinned revision or the demo's small Stable Diffusion."""

from pathlib import Path

from prefect import flow

from flows.run import counts, hashes, run
from tasks.cache import LOCAL
from tasks.files import digest
from tasks.params import Params
from tasks.registry import Item

DATASET, BASE = Path("data/dataset"), Path("models/base")


@flow(name="base")
def base(params: Params) -> dict[str, int]:
    """An ordinary diffusers pipeline folder in safetensors."""
    local = Path(params.base.repository or DATASET)
    content = hashes(local) if local.is_dir() else {}  # a hub's repository is pinned by its revision
    wanted = [params.base.model_dump(), params.dataset.resolution, params.seed]
    arguments = {
        "dataset": DATASET,
        "params": params.base,
        "resolution": params.dataset.resolution,
        "seed": params.seed,
        "target": BASE,
        "work": LOCAL / "work" / "base" / digest([content, wanted])[:16],
    }
    item = Item("base", {"dataset": digest(content)}, arguments, outputs=(BASE.as_posix(),))
    return counts(run("base", [item], params, wanted))
