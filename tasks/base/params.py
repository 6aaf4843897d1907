"""Parameters of the base model: params.yaml `base` -> **BaseParams** -> base."""

from pydantic import Field

from tasks.core.params_base import Block
from tasks.trainer.params import ExperimentParams


class DemoBaseParams(Block):
    """The demo's small Stable Diffusion, pre-trained on unlabelled spectrograms."""

    vae_channels: list[int] = Field(min_length=4, max_length=4, description="three halvings: 8 pixels a latent")
    vae_steps: int = Field(ge=1, description="training steps of the VAE")
    vae_batch: int = Field(ge=1, description="crops a step")
    vae_crop: int = Field(ge=32, multiple_of=8, description="side of the crops that the VAE learns on (pixels)")
    vae_learning_rate: float = Field(gt=0, description="peak learning rate of the VAE")
    unet_channels: list[int] = Field(min_length=1, description="attention on all levels but the first")
    text_width: int = Field(ge=8, multiple_of=8, description="width of the text encoder")
    training: ExperimentParams = Field(description="how the U-Net is pre-trained, on generic prompts")


class BaseParams(Block):
    """base: -> models/base."""

    repository: str | None = Field(description="hub repository or local folder of a pipeline; null: demo model")
    revision: str | None = Field(pattern="^[0-9a-f]{40}$", description="pinned commit of the repository")
    demo: DemoBaseParams | None = Field(description="sizes of the demo model; null with a repository")
