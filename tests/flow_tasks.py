"""The Prefect tasks of all stages."""

from importlib import import_module
from pathlib import Path

from prefect import Flow, Task

ROOT = Path(__file__).parent.parent
STAGES = [path.stem for path in sorted(ROOT.glob("flows/[a-z]*.py"))]


def flow_of(stage: str) -> Flow:
    """The flow of flows/STAGE.py."""
    return getattr(import_module(f"flows.{stage}"), stage)


def tasks_of(stage: str) -> list[Task]:
    """The tasks of flows/STAGE.py."""
    return [value for value in vars(import_module(f"flows.{stage}")).values() if isinstance(value, Task)]


def tasks_of_all_flows() -> list[Task]:
    """The tasks of every stage."""
    return [task for stage in STAGES for task in tasks_of(stage)]
