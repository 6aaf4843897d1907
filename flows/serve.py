"""`emoriff serve`: Prefect's server and a worker on loopback, with the deployments of prefect.yaml."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from flows.run import tell
from flows.server import DATABASE, LOCAL, START_SECONDS, answers, copy_database, new_database, settings
from tasks.errors import EmoriffError

POOL = "emoriff"
ZOMBIES = "crash runs whose worker was killed"


def serve(port: int) -> int:
    """Serve until Ctrl-C, a termination signal, or until the worker ends; the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else server and worker would outlive us
    os.environ.update(
        settings()
        | {
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "EMORIFF_ROOT": str(Path.cwd()),
            "EMORIFF_PAGES": f"http://127.0.0.1:{port + 1}",
        }
    )
    LOCAL.mkdir(parents=True, exist_ok=True)
    server, pages = start_server(port), start_pages(port + 1)
    try:
        if pages.poll() is not None:
            taken = f"127.0.0.1:{port + 1}"
            raise EmoriffError("the pictures' server does not start", where=taken, todo=f"try --port {port + 10}")
        prefect("work-pool", "create", POOL, "--type", "process", "--overwrite")
        prefect("work-pool", "set-concurrency-limit", POOL, "1")
        prefect("--no-prompt", "deploy", "--all")
        asyncio.run(clean_up_zombies())
        for name in asyncio.run(crash_leftovers()):
            tell(f"{name} was left running by a worker that has ended: marked as crashed")
        tell(f"Prefect's UI: http://127.0.0.1:{port}   (Ctrl-C ends server and worker)")
        worker = subprocess.Popen([sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL])
        try:
            return worker.wait()
        finally:
            worker.terminate()
            worker.wait(timeout=30)
    except KeyboardInterrupt:
        return 0
    finally:
        for process in (pages, server):
            process.terminate()
            process.wait(timeout=30)


def start_pages(port: int) -> subprocess.Popen[bytes]:
    """A small server of reports/, so that the links in Prefect's UI lead to the page and its pictures."""
    Path("reports").mkdir(exist_ok=True)
    words = ["-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", "reports"]
    with (LOCAL / "serve.log").open("ab") as output:
        return subprocess.Popen([sys.executable, *words], stdout=output, stderr=output)


def start_server(port: int) -> subprocess.Popen[bytes]:
    """The server, answering."""
    copy_database(new_database(), DATABASE)
    with (LOCAL / "serve.log").open("ab") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + START_SECONDS
    while not answers(os.environ["PREFECT_API_URL"]):
        if server.poll() is not None or time.monotonic() > deadline:
            server.terminate()
            raise EmoriffError(
                "Prefect's server does not start",
                where=LOCAL / "serve.log",
                todo=f"read that file's last lines; is port {port} taken? try --port {port + 1}",
            )
        time.sleep(0.5)
    return server


def prefect(*words: str) -> None:
    """One command of Prefect's own command line; its output is the message when it fails."""
    done = subprocess.run([sys.executable, "-m", "prefect", *words], capture_output=True, text=True)
    if done.returncode:
        raise EmoriffError(f"prefect {' '.join(words)} failed", got=done.stdout + done.stderr)


async def clean_up_zombies() -> None:
    """The automation that Prefect's documentation gives: a run without a heartbeat for 90 s has crashed."""
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.exceptions import ObjectNotFound

    try:
        await Automation.aread(name=ZOMBIES)
        return
    except (ObjectNotFound, ValueError):
        pass  # not there yet
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ends},
        match={"prefect.resource.id": ["prefect.flow-run.*"]},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=90),
    )
    action = ChangeFlowRunState(
        name=None, state=StateType.CRASHED, force=False, message="no heartbeat for 90 s: its worker was killed"
    )
    await Automation(name=ZOMBIES, trigger=trigger, actions=[action]).acreate()


async def crash_leftovers() -> list[str]:
    """Names of the runs that an earlier worker left running here, now marked as crashed: this is the only worker."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
    from prefect.states import Crashed

    under_way = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
    async with get_client() as client:
        runs = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(under_way),
            work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [POOL]}}),
        )
        for run in runs:
            await client.set_flow_run_state(run.id, Crashed(message="its worker has ended"), force=True)
    return [run.name for run in runs]
