"""`emoriff serve`: Prefect's server and a worker on loopback, with the deployments of prefect.yaml."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

import psutil

from flows.engine.run import alive, echo
from flows.engine.server import DATABASE, LOCAL, START_SECONDS, answers, copy_database, new_database, settings, words_of
from tasks.core.errors import EmoriffError
from tasks.core.layout import REPORTS

POOL = "emoriff"
ENGINE = "prefect.engine"  # the module in which a worker runs a flow
STOP_SECONDS = 30.0
ZOMBIES = "crash runs whose worker was killed"


def serve(port: int) -> int:
    """Serve until Ctrl-C, a signal to end, or until the worker ends; the exit code.

    A run under way is ended, too, and marked as crashed: what it has finished is kept.
    """
    for ending in (signal.SIGTERM, signal.SIGHUP):  # else server and worker would outlive us
        if signal.getsignal(ending) == signal.SIG_DFL:
            signal.signal(ending, signal.default_int_handler)
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
            echo(f"{name} was left running by a worker that has ended: marked as crashed")
        echo(f"Prefect's UI: http://127.0.0.1:{port}   (Ctrl-C ends server and worker)")
        worker = started("prefect", "worker", "start", "--pool", POOL)
        try:
            return worker.wait()
        finally:
            end_worker(worker)
    except KeyboardInterrupt:
        return 0
    finally:
        ignore_signals()
        for process in (pages, server):
            process.terminate()
        for process in (pages, server):
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


def started(*words: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """A Python module under way, out of Ctrl-C's reach: we end worker and server in their order.

    What Prefect's worker ends by is SIGINT, which a shell's background job (`nohup`) ignores with all it starts.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([sys.executable, "-m", *words], stdout=output, stderr=output, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, before)


def ignore_signals() -> None:
    """While things are ended, a second Ctrl-C would leave some of them behind."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)


def end_worker(worker: subprocess.Popen[bytes]) -> None:
    """End the worker and its runs while the server still hears of it.

    By itself a worker that is asked to end waits for its run, which may take days; and one that was killed leaves
    its run behind.
    """
    ignore_signals()
    worker.terminate()
    known: list[psutil.Process] = []  # runs, and all that they have started
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        for run in runs_here():
            if run not in known:
                echo("a run is under way: it is ended, what it has finished is kept")
                known += family(run)
                with suppress(psutil.Error):
                    run.terminate()
        left = [process for process in known if alive(process)]
        if not left and worker.poll() is not None:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    deaf = [each for process in left for each in family(process)]
    for process in deaf:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(deaf, timeout=5)
    worker.kill()


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that it has started."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def runs_here() -> list[psutil.Process]:
    """The processes of Prefect's runs that report to our server."""
    return [process for process in psutil.process_iter() if is_run_here(process)]


def is_run_here(process: psutil.Process) -> bool:
    """Whether it runs a flow for our server."""
    try:
        ours = ENGINE in words_of(process) and process.status() != psutil.STATUS_ZOMBIE
        return ours and process.environ().get("PREFECT_API_URL") == os.environ["PREFECT_API_URL"]
    except psutil.Error:
        return False


def start_pages(port: int) -> subprocess.Popen[bytes]:
    """A small server of reports/, so that the links in Prefect's UI lead to the page and its pictures."""
    REPORTS.mkdir(exist_ok=True)
    words = ["http.server", str(port), "--bind", "127.0.0.1", "--directory", REPORTS.as_posix()]
    with (LOCAL / "serve.log").open("ab") as output:
        return started(*words, output=output)


def start_server(port: int) -> subprocess.Popen[bytes]:
    """The server, answering."""
    copy_database(new_database(), DATABASE)
    with (LOCAL / "serve.log").open("ab") as output:
        server = started("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), output=output)
    deadline = time.monotonic() + START_SECONDS
    try:
        while not answers(os.environ["PREFECT_API_URL"]):
            if server.poll() is not None or time.monotonic() > deadline:
                raise EmoriffError(
                    "Prefect's server does not start",
                    where=LOCAL / "serve.log",
                    todo=f"read that file's last lines; is port {port} taken? try --port {port + 1}",
                )
            time.sleep(0.5)
    except BaseException:
        server.terminate()
        raise
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
