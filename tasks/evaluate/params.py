"""The parameters of evaluate."""

from typing import Annotated

from pydantic import Field

from tasks.core.params_base import Block, Share


class EvaluateParams(Block):
    """evaluate: generated + held-out real -> reports/metrics.json."""

    embedding: str = Field(description="'builtin', a path to a TorchScript model, or a path to an .npz of arrays")
    pca_dimensions: int = Field(ge=2, le=512, description="dimensions for the Frechet distance")
    n_permutations: int = Field(ge=10, description="permutations for a p-value")
    confidence: Share = Field(description="of every interval")
    min_clips: int = Field(ge=2, description="a measure from fewer clips is refused")
    clips_per_training_song: int = Field(ge=1, description="real clips of each training song that teach the judge")
    clips_per_test_song: int = Field(ge=1, description="real clips of each held-out song to compare with")
    blurs: list[Annotated[int, Field(ge=2, le=16)]] = Field(
        description="every second training clip also teaches the judge with its picture so many times coarser, in turn"
    )
    vae_clips: int = Field(ge=0, description="held-out clips that also pass the base model's VAE; 0: none")
    n_raters: int = Field(ge=1, description="listeners behind each annotation, for the judge's ceiling")
