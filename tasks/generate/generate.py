"""The stage's entry: models/EXPERIMENT -> **images and sound of a batch of clips**; the work is sampling's."""

from pathlib import Path
from typing import Any

from tasks.codec.params import SpectrogramParams
from tasks.generate.params import GenerateParams


def generate_clips(
    model: Path,
    experiment: str,
    emotion: str,
    seeds: list[int],
    params: GenerateParams,
    spectrogram: SpectrogramParams,
    folder: Path,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of the manifest: one clip per seed, its files written below `folder`.

    Args:
        seeds: the clips' numbers; the noise comes from `seed` (the stage's), the emotion and the number.

    Raises:
        ParameterError: an emotion that the parameters do not name.
        ModelError: the experiment was not trained.
    """
    from tasks.generate import sampling  # torch takes seconds to load, also where all comes from the cache

    return sampling.generate_batch(model, experiment, emotion, seeds, params, spectrogram, folder, seed)
