"""What is recorded of a run: a stage with its code, inputs and machine -> **one record** -> lineage, why."""

from dataclasses import dataclass, field
from typing import Any

from tasks.lineage.machine import Environment, GitState
from tasks.lineage.pipeline import Hash


@dataclass(frozen=True)
class Run:
    """One run of one stage."""

    id: str
    stage: str
    status: str  # complete or failed
    started: str  # ISO 8601, UTC
    ended: str
    git: GitState
    environment: Environment
    parameters: dict[str, Any]
    parameters_digest: str
    inputs: dict[str, Hash]  # path -> DVC's MD5
    outputs: dict[str, Hash]
    code: dict[str, Hash]  # path -> MD5; the text lies in objects/
    seeds: dict[str, int] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)  # repository, revision, hash
    counts: dict[str, int] = field(default_factory=dict)  # items, items from the cache, ...
    flow_run: str | None = None
    error: str | None = None
