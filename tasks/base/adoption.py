"""A base from elsewhere: hub or folder -> checked, loaded by stock diffusers, **saved as models/base**."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.base.params import BaseParams
from tasks.core.files import sha256
from tasks.models import hub, model_card, pipelines
from tasks.trainer import model

Progress = Callable[[int, int, str], None]


def adopt(params: BaseParams, resolution: int, target: Path, work: Path, progress: Progress) -> dict[str, Any]:
    """A real Stable Diffusion as `target`: checked, loaded by stock diffusers, saved again in safetensors."""
    repository = params.repository or ""
    folder, _ = hub.fetch(repository, params.revision, work, progress)
    pipeline = pipelines.load(folder)
    model.refuse_resolution(pipeline, resolution)
    name = Path(repository).name if Path(repository).is_dir() else repository
    facts = {
        "name": f"{name} at {params.revision}" if params.revision else name,
        "repository": name,
        "revision": params.revision,
        "weights": {
            path.relative_to(folder).as_posix(): sha256(path)
            for part in hub.WEIGHTS
            for path in sorted((folder / part).glob("*.safetensors"))
        },
    }
    card = model_card.card(
        "base",
        "The model that the experiments start from, unchanged.",
        "",
        resolution,
        "as its authors gave it; see its page on the hub",
        model_card.bullets({"taken from": facts["name"]}),
        "",
    )
    pipelines.save(pipeline, target, card, facts)
    progress(2, 2, "saved")
    return {"name": facts["name"], "parameters": sum(p.numel() for p in pipeline.unet.parameters())}
