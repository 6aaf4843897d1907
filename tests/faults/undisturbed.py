"""The undisturbed run: a snapshot before every stage, the hash of every artifact after it, and how long it took."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from flows.engine.server import answers
from tests.faults.network import free_port
from tests.repository import Repository, environment, overlaid, tiny_params

STAGES = (
    "download", "convert", "segment", "label", "spectrogram", "dataset", "base", "train@exp1", "train@ours",
    "generate_base", "generate@exp1", "generate@ours", "evaluate",
)  # fmt: skip
SMALLER = {"download": {"corpus": {"seconds": 12.0}}, "convert": {"channels": "mono"}}
PATIENCE_SECONDS = 900  # for one stage, on a machine that has other things to do


@dataclass(frozen=True)
class Stage:
    """One stage as it goes when nothing happens."""

    name: str
    before: str  # folder of the snapshot
    seconds: float  # from the command to its end
    starting_seconds: float  # of them until the stage holds its lock
    after: dict[str, str]  # artifact -> SHA-256

    def restored(self, folder: Path) -> Path:
        """`folder` as the repository was before the stage."""
        shutil.rmtree(folder, ignore_errors=True)
        copy(Path(self.before), folder)
        return folder


@dataclass(frozen=True)
class World:
    """What every fault is compared with."""

    folder: Path
    stages: dict[str, Stage]
    server: str  # address of the Prefect server that all runs share, which saves each the start of one


class Running:
    """A command of ours in a session of its own; what it prints goes to a file that no full disk holds up."""

    def __init__(self, repository: Path, words: list[str], variables: dict[str, str]) -> None:
        self.repository, self.began = repository, time.monotonic()
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 (read as long as the object lives)
        self.process = subprocess.Popen(
            words, cwd=repository, env=environment() | variables, stdout=self.output, stderr=self.output,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def until(self, happened: Any) -> bool:
        """Wait until `happened()` is true; false when the command ended first."""
        while not happened():
            if self.process.poll() is not None:
                return bool(happened())
            if time.monotonic() - self.began > PATIENCE_SECONDS:
                raise TimeoutError(f"{self.process.args} does not get there\n{self.said()[-3000:]}")
            time.sleep(0.02)
        return True

    def ended(self) -> int:
        """The exit code; a run that hangs is an error."""
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def said(self) -> str:
        """What it printed so far."""
        return os.pread(self.output.fileno(), 10_000_000, 0).decode(errors="replace")

    def group(self) -> list[psutil.Process]:
        """The processes of its session, itself included, that still run; Prefect's own server is another session."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (ProcessLookupError, psutil.Error):
                continue
        return found


def locked(repository: Path, stage: str) -> bool:
    """Whether the stage has begun: it holds its lock, and so has said its name there."""
    label = stage.replace("generate_base", "generate@base")
    file = repository / ".emoriff/locks" / f"{label}.lock"
    return file.is_file() and file.stat().st_size > 0


def repro(repository: Path, stage: str, server: str | None, before: tuple[str, ...] = (), **variables: str) -> Running:
    """`emoriff repro` of one stage, started; `before` are words before the command, as of `prlimit`."""
    given = {"PREFECT_API_URL": server} if server else {}
    words = [*before, sys.executable, "-m", "flows", "repro", "--single-item", stage]
    return Running(repository, words, given | variables)


def artifacts(repository: Path) -> dict[str, str]:
    """SHA-256 of every file that the pipeline made and of dvc.lock; timings are told apart from artifacts."""
    folders = [repository / name for name in ("data", "models", "reports")]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    lock = [repository / "dvc.lock"] if (repository / "dvc.lock").is_file() else []
    return {
        path.relative_to(repository).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*paths, *lock])
        if not path.name.startswith("timings.")
    }


def copy(source: Path, target: Path) -> None:
    """A copy of a folder with its times, so that no cache has to hash it again."""
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)


@contextmanager
def shared_server(home: Path) -> Iterator[str]:
    """A Prefect server on loopback for all runs; its address."""
    port = free_port()
    variables = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.txt").open("wb") as output:
        process = subprocess.Popen(command, env=environment() | variables, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}/api"
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"Prefect's server does not start: see {home / 'server.txt'}")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def undisturbed(folder: Path, server: str, names: tuple[str, ...] = STAGES) -> World:
    """The world of `folder`, made there when there is none yet; `names` are the first stages, or all."""
    kept = folder / "undisturbed.json"
    if not kept.is_file():
        kept.write_text(json.dumps([asdict(stage) for stage in run_all(folder, server, names)], indent=1))
    stages = [Stage(**values) for values in json.loads(kept.read_text())]
    return World(folder, {stage.name: stage for stage in stages}, server)


def run_all(folder: Path, server: str, names: tuple[str, ...]) -> Iterator[Stage]:
    """Every stage in order, each copied before it runs and timed."""
    repository = folder / "undisturbed"
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir(parents=True)
    make(repository)
    for name in names:
        before = folder / f"before-{name}"
        shutil.rmtree(before, ignore_errors=True)
        shutil.rmtree(repository / ".emoriff/locks", ignore_errors=True)
        copy(repository, before)
        run = repro(repository, name, server)
        run.until(lambda name=name: locked(repository, name))
        starting = time.monotonic() - run.began
        if run.ended():
            raise RuntimeError(f"{name} fails undisturbed\n{run.said()[-4000:]}")
        seconds = time.monotonic() - run.began
        print(f"undisturbed {name}: {seconds:.0f} s, of them {starting:.0f} s to start", flush=True)
        yield Stage(name, str(before), seconds, starting, artifacts(repository))


def make(folder: Path) -> None:
    """A repository with two experiments that is small enough to be run hundreds of times."""
    repository = Repository(folder)
    values = overlaid(tiny_params(), SMALLER)
    values["train"]["experiments"] = {name: values["train"]["experiments"][name] for name in ("exp1", "ours")}
    repository.set_params(values)
    repository.commit("smaller")
