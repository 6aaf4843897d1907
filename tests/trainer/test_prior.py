"""Images of the base itself: one concept per emotion, drawn once, the same however they were interrupted."""

from pathlib import Path

from tasks.trainer import prior
from tasks.trainer.batches import Prompts
from tests import small_models

BLOCK = {"prompts": ["{emotion} music"], "images_per_prompt": 3, "weight": 1.0, "steps": 2, "guidance": 2.0}


def load(pipeline, folder: Path, **changes) -> prior.Prior:
    """Prior images; in place of latents, the examples themselves."""
    params = small_models.experiment(prior={**BLOCK, **changes})
    prompts = Prompts([*params.prompts, *params.prior.prompts], params.emotions)
    return prior.load(pipeline, {"unet": "1"}, params, prompts, 1, folder, lambda examples: examples, lambda *_: None)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_several_concepts_are_drawn_once_and_the_same_after_an_interruption(tmp_path):
    pipeline = small_models.pipeline()
    found = load(pipeline, tmp_path)
    assert [example.emotion for example in found.latents] == [
        f"{name} music" for name in small_models.EMOTIONS for _ in "123"
    ]
    first = bytes_of(tmp_path)
    assert len(set(first.values())) == 9
    load(None, tmp_path)  # no model at hand: all are cached
    sorted(tmp_path.rglob("*.png"))[4].unlink()
    load(pipeline, tmp_path)
    assert bytes_of(tmp_path) == first


def test_other_settings_do_not_use_the_same_images(tmp_path):
    pipeline = small_models.pipeline()
    load(pipeline, tmp_path, images_per_prompt=1)
    load(pipeline, tmp_path, images_per_prompt=1, guidance=3.0)
    assert len(bytes_of(tmp_path)) == 6
