"""One local Prefect server for all stages of a run (loopback only); it also shows the UI meanwhile.

`ensure` uses the server of PREFECT_API_URL where one answers, else starts ours: `python -m flows.engine.server PORT`
serves until every run that has put its process into .emoriff/prefect/server.json is gone.
"""

import base64
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import psutil
from packaging.version import InvalidVersion, parse
from pydantic import StringConstraints

from tasks.core import layout
from tasks.core.errors import EmoriffError
from tasks.core.files import write_json
from tasks.core.messages import shown
from tasks.core.reading import record_in
from tasks.core.storage import replacing
from tasks.execution.locks import Pid, lock, runs

LOCAL = layout.LOCAL / "prefect"
STATE = LOCAL / "server.json"
DATABASE = LOCAL / "prefect.db"
START_SECONDS = 600.0  # seconds of a busy machine: seen to take 270 where 20 processes shared 2 cores
OWN = r"http://127\.0\.0\.1:[0-9]{1,5}/api"  # the only addresses that we ever write down
ANSWER_SECONDS = 5.0
IDLE = ("SCHEDULER", "LATE_RUNS", "FOREMAN", "CANCELLATION_CLEANUP", "PAUSE_EXPIRATIONS", "REPOSSESSOR", "TRIGGERS")


@dataclass(frozen=True)
class State:
    """Our server, and the processes that use it."""

    url: Annotated[str, StringConstraints(pattern=f"^{OWN}$")]
    pids: list[Pid]


def settings() -> dict[str, str]:
    """Prefect's settings for our runs: everything below .emoriff, calm logs, no telemetry."""
    home = LOCAL.resolve()
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "results"),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # Prefect's own default is pickle
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


def ensure(echo: Callable[[str], None]) -> str:
    """The address of a Prefect API that answers; sets the environment for Prefect's import."""
    for name, value in settings().items():
        os.environ.setdefault(name, value)
    given = os.environ.get("PREFECT_API_URL")
    if given:
        trouble = trouble_with(given)
        if not trouble:
            return given
        echo(f"the Prefect server at {shown(given)} {trouble}; this run uses a server of its own")
    os.environ["PREFECT_API_URL"] = own()
    return os.environ["PREFECT_API_URL"]


def trouble_with(url: str) -> str | None:
    """Why the API at `url` cannot be used; None: it answers in time, and is not older than this client."""
    there, here = answers(url), version("prefect")
    if not there:
        return f"does not answer within {ANSWER_SECONDS:.0f} s"
    try:
        fits = parse(there).major == parse(here).major and parse(there) >= parse(here)
    except InvalidVersion:
        return f"is no Prefect server (it calls itself {there[:40]!r})"
    return None if fits else f"has version {there}, here is {here} (install the pinned versions on both)"


def own() -> str:
    """The address of our server, started when it does not run; it stays until this run has ended too."""
    LOCAL.mkdir(parents=True, exist_ok=True)
    with lock(LOCAL / "server.lock", wait=True, echo=lambda message: None):
        state = read_state()
        if not state or not answers(state.url):
            state = State(start(), [])
        write_json(STATE, asdict(State(state.url, sorted({*state.pids, watched()}))))
        return state.url


def read_state() -> State | None:
    """Address of our server and the processes it serves; None when there is none."""
    return record_in(STATE, State)


def start() -> str:
    """Start a server that lives while a process of its state file lives; wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    write_json(STATE, asdict(State(url, [os.getpid()])))
    is_first = not DATABASE.exists()
    copy_database(new_database(), DATABASE)
    with (LOCAL / "server.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.engine.server", str(port)],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise EmoriffError(
                "Prefect's local server does not start", where=LOCAL / "server.log", todo="read that file's last lines"
            )
        time.sleep(0.2)
    if is_first:
        copy_database(DATABASE, new_database())
    return url


def new_database() -> Path:
    """Where the user's copy of a new database of this Prefect is kept: making one takes most of a first start."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "emoriff" / f"prefect-{version('prefect')}.db"


def copy_database(source: Path, target: Path) -> None:
    """A copy of the database `source` where there is none yet; nothing where that cannot be: Prefect makes its own."""
    if source.is_file() and not target.exists():
        with (
            suppress(EmoriffError, OSError, sqlite3.Error),
            replacing(target) as temporary,
            closing(sqlite3.connect(source)) as there,
            closing(sqlite3.connect(temporary)) as here,
        ):
            there.backup(here)


def answers(url: str) -> str | None:
    """The version of the API at `url`, or None when it does not answer in time."""
    login = os.environ.get("PREFECT_API_AUTH_STRING")
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    try:
        request = urllib.request.Request(f"{url}/admin/version", headers=headers)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            return str(json.load(response))
    except (OSError, ValueError, http.client.HTTPException):
        return None


def above() -> list[psutil.Process]:
    """The processes between us and the outermost `dvc` or `emoriff` (but `emoriff serve`) above us, nearest first."""
    parents = psutil.Process().parents()
    ours = [place for place, process in enumerate(parents) if is_run(process)]
    return parents[: ours[-1] + 1] if ours else []


def is_run(process: psutil.Process) -> bool:
    """Whether it is a command of DVC or of ours that ends with the run."""
    words = words_of(process)
    return bool(words & {"dvc", "emoriff", "flows"}) and "serve" not in words


def words_of(process: psutil.Process) -> set[str]:
    """The first words of a process's command without their folders; none when it has ended."""
    try:
        return {Path(word).name for word in process.cmdline()[:4]}
    except psutil.Error:
        return set()


def watched() -> int:
    """The process whose end ends the server: the outermost of those above us, or ourselves."""
    return next((process.pid for process in reversed(above())), os.getpid())


def serve(port: int) -> None:
    """Run the server until every process that uses it is gone; without the services that only deployments need."""
    arguments = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    idle = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in IDLE}
    child = subprocess.Popen([sys.executable, "-m", *arguments], env=os.environ | settings() | idle)
    try:
        while child.poll() is None and not unused(port):
            time.sleep(1)
        time.sleep(3)  # let it store the last records
    finally:
        child.terminate()
        child.wait(timeout=30)


def unused(port: int) -> bool:
    """Whether all processes have ended; if so the state file goes, so that no new run counts on this server."""
    state = read_state()
    if state and any(map(runs, state.pids)):
        return False
    with lock(LOCAL / "server.lock", wait=True, echo=lambda message: None):
        state = read_state()
        if state and any(map(runs, state.pids)):
            return False
        if state and f":{port}/" in state.url:
            STATE.unlink()
        return True


if __name__ == "__main__":
    serve(int(sys.argv[1]))
