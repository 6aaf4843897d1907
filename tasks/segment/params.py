"""The parameters of the stage segment: params.yaml, `segment`."""

from typing import Literal

from pydantic import Field

from tasks.core.params_base import Block


class SegmentParams(Block):
    """segment: data/wav -> data/segments."""

    length_seconds: float = Field(gt=0.5, le=600, description="a window (s)")
    hop_seconds: float = Field(ge=0.1, le=600, description="from one window's start to the next (s)")
    edge: Literal["drop", "pad", "shift"] = Field(
        description="what remains at the end: dropped, padded with silence, or a window moved back to fit"
    )
    min_remainder_seconds: float = Field(ge=0, description="a shorter remainder is dropped whatever the rule (s)")
