"""How a stage runs: lock, server, flow, record. The flows themselves say only what is done to what."""

import inspect
import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from flows.engine import server
from flows.engine.progress import Progress
from tasks.core.errors import EmoriffError
from tasks.core.files import write_json, write_text
from tasks.core.layout import LOCAL, TIMINGS
from tasks.core.reading import record_in
from tasks.execution.buckets import PROGRESS
from tasks.execution.cache import Cache, disturbed
from tasks.execution.items import Done, Item, buckets
from tasks.execution.locks import lock
from tasks.execution.params import ComputeParams
from tasks.lineage import records
from tasks.lineage.machine import package_versions
from tasks.settings import Params, load

KEYS: list[str] = []  # of the items of this process's stage


def echo(message: str) -> None:
    """A plain line for the person at the terminal or the night's log."""
    print(message, flush=True)


def stage(name: str, argument: str | None = None) -> None:
    """Run the flow of stage `name` (of one experiment, where there is one each), locked and recorded."""
    label = f"{name}@{argument}" if argument else name
    load()
    quieten()
    stop_with(server.above())
    with (
        lock(LOCAL / "locks" / f"{label}.lock", wait=True, echo=echo),
        forgetting(),
        records.recorded(Path(), name, argument) as summary,
    ):
        params = load()  # again: who held the lock may have done so for hours
        server.ensure(echo)
        started = time.monotonic()
        flow = flow_of(name).with_options(task_runner=task_runner(params.compute))
        with server_answering():
            state = flow(**arguments_of(flow.fn, params, argument), return_state=True)
        with in_time(name):
            summary.update(state.result())
        summary["flow_run"] = str(state.state_details.flow_run_id)
        check_outputs()
        seconds = time.monotonic() - started
    del summary["flow_run"]
    record_timing(label, seconds, summary)
    echo(f"{label}: {summary_line(summary)} in {seconds:.0f} s")


@contextmanager
def forgetting() -> Iterator[None]:
    """Drop what is remembered of items whose inputs changed in the block: their keys name other bytes."""
    try:
        yield
    except records.ChangedError:
        for key in KEYS:
            Cache().forget(key)
        raise


@contextmanager
def server_answering() -> Iterator[None]:
    """An error that says so when Prefect's server goes away in the block."""
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        raise EmoriffError(
            "Prefect's server does not answer any more",
            where=os.environ["PREFECT_API_URL"],
            got=f"{type(error).__name__}: {error}",
            todo=f"run the same command again: finished work is kept (our own server's log: {server.LOCAL}/server.log)",
        ) from error


@contextmanager
def in_time(name: str) -> Iterator[None]:
    """An error that says what to do when a task's time-out ended the stage."""
    try:
        yield
    except TimeoutError as error:
        raise EmoriffError(
            "a task took too long",
            where=f"flows/{name}.py",
            got=error,
            todo="run the same command again: finished items are kept; or raise timeout_seconds of the task there",
        ) from error


def check_outputs() -> None:
    """Refuse an end at which a file that was made is gone or altered: DVC would record it so.

    Raises:
        CacheError: names the first ones.
    """
    cache = Cache()
    altered = {name for key in KEYS for name in cache.altered(key)}
    if altered:
        raise disturbed(altered)


def stop(*_: object) -> None:
    """End at once, worker processes too: files are whole or absent, so nothing needs to be tidied up."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            if not {"flows.engine.server", "server"} & set(child.cmdline()):  # Prefect's server sees to its own end
                child.kill()
    os._exit(128 + signal.SIGTERM)


def stop_with(processes: list[psutil.Process]) -> None:
    """Stop when one of the processes above (DVC, `emoriff repro`) has ended: nobody would take what is made."""

    def watch() -> None:
        while all(map(alive, processes)):
            time.sleep(1)
        stop()

    threading.Thread(target=watch, daemon=True).start()


def alive(process: psutil.Process) -> bool:
    """Whether it still runs: not a zombie, not another process with its number."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def quieten() -> None:
    """Silence what libraries print and nobody here can act on; errors still show."""
    import logging

    os.environ.update(TRANSFORMERS_VERBOSITY="error", DIFFUSERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")
    for name in ("bitsandbytes", "dvclive", "dvc", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)


def flow_of(name: str) -> Any:
    """The Prefect flow of a stage (flows/NAME.py has a flow of that name)."""
    from importlib import import_module

    return getattr(import_module(f"flows.{name}"), name)


def arguments_of(flow: Callable[..., Any], params: Params, experiment: str | None) -> dict[str, Any]:
    """What a stage's flow is called with, by name: `params` is its own block, the others are those of their name."""
    named = {**dict(params), "params": getattr(params, flow.__name__, None), "experiment": experiment}
    return {name: named[name] for name in inspect.signature(flow).parameters}


def summary_line(summary: dict[str, int]) -> str:
    """Counts as a person reads them."""
    return ", ".join(f"{count} {what}" for what, count in summary.items() if count or what == "done")


def run(task: Any, items: list[Item], compute: ComputeParams, **parameters: Any) -> list[Done]:
    """All items through a Prefect task, a bucket each; Done in the items' order.

    `parameters` go to the task, and are what its result depends on beside the items.
    """
    from prefect.futures import as_completed

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)  # Prefect's own handler waits for the work to end
    keyed = task.cache_policy.keyed(task, items, parameters)
    KEYS.extend(item.key for item in keyed)
    progress = Progress(task.name)
    PROGRESS.append(progress)
    results: dict[str, Done] = {}
    try:
        futures = [task.submit(bucket, **parameters) for bucket in buckets(keyed, compute.buckets)]
        for future in as_completed(futures):
            for value in future.result():
                done = Done(**value)
                results[done.id] = done
            if len(items) > 1:  # one item tells of itself
                progress(len(results), len(items), "")
    finally:
        PROGRESS.pop()
        progress.close()
    return [results[item.id] for item in items]


def task_runner(compute: ComputeParams) -> Any:
    """Threads here (work goes to the process pool), or a Dask cluster: neither changes a byte."""
    if compute.runner == "dask":
        from prefect_dask import DaskTaskRunner

        address = os.environ.get("EMORIFF_DASK_ADDRESS")
        if address:
            return DaskTaskRunner(address=address)
        return DaskTaskRunner(
            cluster_kwargs={
                "n_workers": compute.workers,
                "threads_per_worker": 1,
                "dashboard_address": None,
            }
        )
    from prefect.task_runners import ThreadPoolTaskRunner

    return ThreadPoolTaskRunner(max_workers=compute.workers + 2)


def counts(done: list[Any], **more: int) -> dict[str, int]:
    """How many items there were, how many came from the cache."""
    return {"done": len(done), "from cache": sum(one.cached for one in done), **more}


def hashes(folder: Path, pattern: str = "*") -> dict[str, str]:
    """Content hashes of a file, or of the files below a folder."""
    if folder.is_file():
        return {folder.name: Cache().md5(folder)}
    return Cache().md5_of_folder(folder, pattern)


def record_timing(label: str, seconds: float, summary: dict[str, int]) -> None:
    """Keep what is not deterministic (seconds, machine, versions) out of the artifacts, for the page to load."""
    with lock(LOCAL / "locks" / "timings.lock", wait=True, echo=echo):
        timings = record_in(TIMINGS, dict[str, Any]) or {}
        timings.setdefault("stages", {})[label] = {"seconds": round(seconds, 1), **summary}
        timings["machine"] = machine()
        timings["versions"] = package_versions()
        write_json(TIMINGS, timings)
        write_text(TIMINGS.with_suffix(".js"), f"window.timings = {json.dumps(timings, sort_keys=True)};\n")


def machine() -> dict[str, Any]:
    """The machine, without its name."""
    return {"system": platform.platform(), "processors": os.cpu_count(), "python": sys.version.split()[0]}
