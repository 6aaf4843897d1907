"""What a task declares in flows/STAGE.py really happens: a second try, a time-out, a cache by content."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow_tasks import STAGES, flow_of, tasks_of, tasks_of_all_flows
from tests.repository import ROOT, environment

SCRIPT = """
import json, sys, time
from pathlib import Path


def nap(seconds):
    time.sleep(seconds)
    return {"slept": seconds}


def unreachable_once():
    from tasks.core.errors import UnreachableError

    tried = Path("tried")
    if not tried.exists():
        tried.touch()
        raise UnreachableError("no answer")
    return {"tries": 2}


if __name__ == "__main__":
    from flows.engine import content, server
    server.ensure(print)
    from prefect import flow, task
    from flows.engine.retries import is_transient
    from flows.engine.run import in_time, run
    from tasks.core.errors import EmoriffError
    from tasks.execution.buckets import in_pool, in_process, process_pool
    from tasks.execution.items import Item
    from tasks.execution.params import ComputeParams

    content.code_digest = lambda module: "the code"
    compute = ComputeParams(workers=1, runner="threads", buckets=4)
    kept = {"persist_result": True, "result_serializer": "json"}

    @task(cache_policy=content.Content(function=nap), timeout_seconds=2, **kept)
    def naps(bucket):
        return in_pool(bucket, nap)

    @task(cache_policy=content.Content(function=unreachable_once), retries=1, retry_delay_seconds=0,
          retry_condition_fn=is_transient, **kept)
    def tries(bucket):
        return in_process(bucket, unreachable_once)

    @flow
    def twice():
        return [run(tries, [Item("a", {}, {})], compute)[0].cached for _ in range(2)]

    @flow
    def late():
        with process_pool(1):
            run(naps, [Item("long", {}, {"seconds": 300})], compute)

    told = {"cached": twice()}
    state = late(return_state=True)
    try:
        with in_time("late"):
            state.result()
    except EmoriffError as error:
        told |= {"error": str(error), "state": state.name}
    print(json.dumps(told))
"""


def test_a_second_try_a_cache_and_a_time_out(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )
    told = json.loads(done.stdout.strip().split("\n")[-1])
    assert told["cached"] == [False, True]
    assert told["state"] == "TimedOut"
    assert "a task took too long" in told["error"]
    assert "finished items are kept" in told["error"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_flow_shows_its_parameters_with_their_meaning(stage: str) -> None:
    """As Prefect's UI has them: typed, each knob with its description."""
    schema = flow_of(stage).parameters.model_dump()
    assert set(schema["required"]) == set(schema["properties"])
    for block in schema.get("definitions", {}).values():
        assert block.get("description"), block["title"]
    assert flow_of(stage).description


def test_every_task_has_a_name_a_run_name_and_a_cache_by_content() -> None:
    tasks = tasks_of_all_flows()
    assert len(tasks) == len(STAGES) + 1  # download has two
    assert len({task.name for task in tasks}) == len(tasks)
    for task in tasks:
        assert "{bucket.name}" in task.task_run_name
        assert task.cache_policy.function.__module__.startswith("tasks.")
        assert task.description
        assert task.persist_result


def test_what_may_hang_has_a_time_out_and_what_crosses_the_network_a_second_try() -> None:
    with_time_out = {stage for stage in STAGES if any(task.timeout_seconds for task in tasks_of(stage))}
    assert with_time_out == set(STAGES) - {"base", "train"}  # a training goes on from its checkpoint, for days
    assert {stage for stage in STAGES if any(task.retries for task in tasks_of(stage))} == {"base", "download"}
