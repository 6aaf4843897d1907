"""How the work is run: processes, buckets, this machine or a cluster."""

from typing import Literal

from pydantic import Field

from tasks.core.params_base import Block


class ComputeParams(Block):
    """How the work is run; enters no cache key, changes no byte of a result."""

    workers: int = Field(ge=1, le=256, description="processes or threads inside a stage")
    runner: Literal["threads", "dask"] = Field(description="this machine, or a Dask cluster")
    buckets: int = Field(ge=1, le=1024, description="cached tasks a stage (bucket = hash of the song id)")
