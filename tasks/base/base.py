"""The model that is fine-tuned: data/dataset, or a hub -> **models/base** -> training.

riffusion-model-v1 (or any Stable Diffusion) at a pinned revision, checked; or the demo's own small one, pre-trained
on unlabelled spectrograms, the way riffusion-model-v1 knows music but not emotions.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.base.params import BaseParams
from tasks.core.errors import ParameterError

Progress = Callable[[int, int, str], None]


def make_base(
    dataset: Path,
    params: BaseParams,
    resolution: int,
    seed: int,
    target: Path,
    work: Path,
    progress: Progress | None,
) -> dict[str, Any]:
    """`models/base` as the parameters say; gives a row about it.

    Raises:
        ParameterError: neither a repository nor a demo model is asked for, or both.
        ModelError: the repository holds no Stable Diffusion that can be used.
    """
    show = progress or (lambda done, total, note: None)
    if (params.repository is None) == (params.demo is None):
        raise ParameterError(
            "one of base.repository and base.demo must be set, the other null",
            where="params.yaml, base",
            got=f"repository {params.repository}, demo {'set' if params.demo else 'null'}",
        )
    # torch takes seconds to load, also where all comes from the cache
    if params.demo is not None:
        from tasks.base.pretraining import make_demo

        return make_demo(dataset, params.demo, resolution, seed, target, work, show)
    from tasks.base.adoption import adopt

    return adopt(params, resolution, target, work, show)
