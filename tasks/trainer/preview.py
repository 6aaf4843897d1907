"""Images drawn while a run goes on, to look at: training -> **work/runs/KEY/previews**."""

from typing import TYPE_CHECKING

from tasks.core.seeding import generator
from tasks.core.storage import replacing
from tasks.trainer.batches import filled
from tasks.trainer.prior import draw_images

if TYPE_CHECKING:
    from tasks.trainer.run import Run


def draw(run: "Run") -> None:
    """A few images of each emotion by the weights of now, the same seeds each time: EMOTION_SEED_step-N.png."""
    params = run.params.preview
    if params is None or not run.accelerator.is_main_process:
        return
    run.pipeline.to(run.accelerator.device)
    for emotion in run.params.emotions:
        if run.unwrapped_model.emotion is not None:
            run.unwrapped_model.emotion.set_labels([emotion] * params.images_per_emotion, params.guidance > 1)
        images = draw_images(
            run.pipeline,
            [filled(run.params.prompts[0], emotion)] * params.images_per_emotion,
            [generator(run.data.seed, "preview", index) for index in range(params.images_per_emotion)],
            run.params.resolution,
            params.steps,
            params.guidance,
        )
        for index, image in enumerate(images):
            path = run.folder / "previews" / f"{emotion}_{index:02d}_step-{run.state.step:07d}.png"
            with replacing(path) as temporary:
                image.save(temporary, format="PNG")
