"""The parameters of the stage convert: params.yaml, `convert`."""

from typing import Literal

from pydantic import Field

from tasks.core.params_base import Block, Share


class ConvertParams(Block):
    """convert: data/raw -> data/wav."""

    sample_rate_hz: int = Field(ge=8000, le=192000, description="of the WAV files (Hz)")
    channels: Literal["keep", "mono"] = Field(description="keep mono/stereo, or mix down")
    min_seconds: float = Field(ge=0, description="shorter songs are rejected (s)")
    silence_dbfs: float = Field(le=0, description="a song whose peak is below is rejected as silent (dBFS)")
    clipped_share: Share = Field(description="flag a song with more full-scale samples than this share")
    max_rejected_share: Share = Field(description="the stage fails when more songs are rejected")
