"""Parameters of sampling: params.yaml `generate` -> **GenerateParams** -> generate, evaluate."""

from typing import Literal

from pydantic import Field, field_validator

from tasks.codec.params import DecodeParams, DenoiseParams
from tasks.core.files import slug
from tasks.core.params_base import Block, Share


class GenerateParams(Block):
    """generate: models -> data/generated/EXPERIMENT."""

    prompts: list[str] = Field(min_length=1, description="the emotions asked for")
    clips_per_prompt: int = Field(ge=1, description="clips per emotion; seeds 0, 1, ...")
    seconds: float = Field(
        gt=0,
        description="length of a clip (s), at most segment.length_seconds; one image is a tile (5.12 s), with "
        "spectrogram.tiling: square a whole segment",
    )
    scheduler: Literal["ddim", "dpm_solver", "euler"] = Field(description="sampler")
    steps: int = Field(ge=1, le=1000, description="denoising steps")
    guidance: float = Field(ge=0, description="classifier-free guidance scale; 1: off")
    guidance_rescale: Share = Field(description="share of guidance's gain in contrast that is taken back; 0: none")
    negative_prompt: str = Field(description="what to move away from; empty: nothing")
    overlap: float = Field(ge=0, le=0.9, description="share of an image that the next one overlaps in longer pieces")
    batch: int = Field(ge=1, description="clips denoised together")
    decode: DecodeParams
    denoise: DenoiseParams
    listening_format: Literal["mp3", "ogg"] = Field(description="MP3, or Opus in Ogg")

    @field_validator("prompts")
    @classmethod
    def _named_apart(cls, prompts: list[str]) -> list[str]:
        if "" in (names := {slug(prompt) for prompt in prompts}) or len(names) < len(prompts):
            raise ValueError(f"the letters and digits of each name its clips' files and must differ: {prompts}")
        return prompts
