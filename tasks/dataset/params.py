"""The parameters of the stage dataset: params.yaml, `dataset`."""

from pydantic import Field

from tasks.core.params_base import Block


class DatasetParams(Block):
    """dataset: spectrograms + labels -> data/dataset."""

    resolution: int = Field(ge=32, description="side of the pictures that the base model knows (pixels)")
    min_images_per_class: int = Field(ge=1, description="fewer training pictures of a class stop the stage")
