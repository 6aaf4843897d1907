"""The parameters of the stage label: params.yaml, `label`."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.core.params_base import Block, Share


class ClusterParams(Block):
    """Classes by k-means instead of thresholds."""

    n_clusters: int = Field(ge=2, le=16, description="clusters of the valence-arousal plane")


class SplitParams(Block):
    """Split by artist."""

    validation: Share = Field(description="share of the songs for validation")
    test: Share = Field(description="share of the songs for the test")
    salt: int | None = Field(
        ge=0, description="which of the possible splits; null: the first that is as balanced as any, see tolerance"
    )
    tolerance: float = Field(
        gt=0, le=1, description="splits whose class shares are off by no more than this count as equally balanced"
    )

    @model_validator(mode="after")
    def _leaves_training(self) -> "SplitParams":
        if self.validation + self.test >= 1:
            raise ValueError("expected validation + test < 1")
        return self


class LabelParams(Block):
    """label: annotations -> data/labels."""

    scale_min: float = Field(description="lowest possible rating of the annotation files")
    scale_max: float = Field(description="highest possible rating of the annotation files")
    max_refused_share: Share = Field(description="the stage fails when more annotations than this are refused")
    correction: Literal["detect", "published"] = Field(
        description="detect and correct the valence/arousal swap, or keep the published values"
    )
    swap_margin: float = Field(
        gt=0, le=1, description="difference of the mean correlations that decides between swapped and as named"
    )
    swap_min_songs: int = Field(ge=4, description="a part with fewer songs to compare is not decided")
    scheme: Literal["quadrants", "five", "clusters"] = Field(description="how songs get their class")
    threshold: float = Field(description="border of low and high on the file's scale")
    comparison: Literal[">=", ">"] = Field(description="a value on the border is high (>=) or low (>)")
    dead_zone: float = Field(ge=0, description="songs nearer to a border get no label (points of the scale)")
    energetic_arousal: Share = Field(description="scheme five: happy songs from here on are energetic (0..1)")
    clusters: ClusterParams
    segment_labels: Literal["dynamic", "song"] = Field(
        description="per-second annotations anchored to the song's label, or the song's label alone"
    )
    split: SplitParams

    @model_validator(mode="after")
    def _border_on_the_scale(self) -> "LabelParams":
        if not self.scale_min < self.threshold < self.scale_max:
            raise ValueError("expected scale_min < threshold < scale_max")
        return self
