"""Killed runs, two runs at once, remotes, experiments, other machines, schedules: real processes, real servers."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.engine.run import alive
from tests.flows.test_pipeline import UP_TO_DATE, computed, ran
from tests.repository import EXPERIMENTS, Repository, environment, run
from tests.s3_server import Line, free_port, s3, wait_for

pytestmark = pytest.mark.slow
MOTO = "moto[server]==5.2.5"  # wants another botocore than dvc-s3, so it gets an environment of its own


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def started(repository: Repository, *words: str) -> "subprocess.Popen[str]":
    """A command under way."""
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=repository.folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture
def copied(reproduced: Repository, tmp_path: Path) -> Repository:
    """The sources of the reproduced repository, nothing computed from them yet."""
    copy = Repository(tmp_path / "copy")
    shutil.copytree(reproduced.folder / "data/raw", copy.folder / "data/raw")
    return copy


def clone_of(repository: Repository, folder: Path) -> Repository:
    """A colleague's fresh clone, with the address of the remote."""
    run("git", "clone", "-q", str(repository.folder), str(folder), folder=folder.parent)
    settings = repository.folder / ".dvc/config.local"
    if settings.is_file():
        shutil.copy(settings, folder / ".dvc/config.local")
    return Repository.at(folder)


# Interrupted


def some_wavs(repository: Repository) -> bool:
    return len(list((repository.folder / "data/wav").glob("[0-9]*.wav"))) >= 3


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_stage_continues_and_ends_with_the_same_bytes(
    reproduced: Repository, copied: Repository, by: signal.Signals
) -> None:
    process = started(copied, "flows", "convert")
    wait_for(lambda: some_wavs(copied), 120)
    process.send_signal(by)
    process.communicate(timeout=10)
    wav = copied.folder / "data/wav"
    assert not (wav / "manifest.parquet").exists()
    assert computed(copied.emoriff("convert"), "convert") < 30
    assert digests(wav) == digests(reproduced.folder / "data/wav")


def test_a_stage_orphaned_by_a_killed_dvc_ends_and_the_next_run_has_the_same_bytes(
    reproduced: Repository, copied: Repository
) -> None:
    process = started(copied, "dvc", "repro", "--single-item", "convert")
    wait_for(lambda: some_wavs(copied), 120)
    stages = [child for child in psutil.Process(process.pid).children(recursive=True) if "convert" in child.cmdline()]
    process.kill()
    process.wait()
    assert stages
    wait_for(lambda: not any(stage.is_running() for stage in stages), 15)
    copied.emoriff("repro", "--single-item", "convert")
    assert digests(copied.folder / "data/wav") == digests(reproduced.folder / "data/wav")


@pytest.mark.parametrize("words", [("flows", "convert"), ("flows", "repro", "--single-item", "convert")])
def test_two_runs_at_once_wait_for_each_other(reproduced: Repository, copied: Repository, words: tuple[str]) -> None:
    first = started(copied, *words)
    wait_for((copied.folder / ".emoriff/locks/convert.lock").is_file, 120)
    second = started(copied, *words)
    said = second.communicate()[0]
    first.communicate()
    assert first.returncode == second.returncode == 0
    assert f"waiting for another run: process {first.pid} (running)" in said
    assert digests(copied.folder / "data/wav") == digests(reproduced.folder / "data/wav")


# More than one machine


def test_dask_gives_the_same_bytes_and_the_same_keys(reproduced: Repository, copied: Repository) -> None:
    copied.change({"compute": {"runner": "dask"}})
    assert computed(copied.emoriff("convert"), "convert") == 30
    assert digests(copied.folder / "data/wav") == digests(reproduced.folder / "data/wav")
    copied.change({"compute": {"runner": "threads"}})
    assert computed(copied.emoriff("convert"), "convert") == 0


def test_a_server_that_is_down_does_not_stop_a_run(copied: Repository) -> None:
    output = copied.emoriff("convert", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert "does not answer" in output
    assert computed(output, "convert") == 30


# Remotes


def test_a_colleagues_clone_pulls_everything(reproduced: Repository, tmp_path: Path) -> None:
    reproduced.dvc("remote", "add", "--local", "--force", "--default", "shared", str(tmp_path / "storage"))
    reproduced.dvc("push", "--quiet")
    clone = clone_of(reproduced, tmp_path / "clone")
    clone.dvc("pull", "--quiet")
    for name in ("data", "models", "reports/media"):
        assert digests(clone.folder / name).items() <= digests(reproduced.folder / name).items()
    assert UP_TO_DATE in clone.dvc("status")
    assert not ran(clone.emoriff("repro"))


def test_a_clone_without_the_remote_computes_the_same_lock(reproduced: Repository, tmp_path: Path) -> None:
    """dvc.lock has the hash of every artifact, so two folders with the same lock hold the same bytes."""
    (reproduced.folder / ".dvc/config.local").unlink(missing_ok=True)
    clone = clone_of(reproduced, tmp_path / "clone")
    assert len(ran(clone.emoriff("repro"))) > 12
    assert (clone.folder / "dvc.lock").read_text() == (reproduced.folder / "dvc.lock").read_text()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with moto (EMORIFF_MOTO names one that is there already)."""
    if "EMORIFF_MOTO" in os.environ:
        return Path(os.environ["EMORIFF_MOTO"])
    folder = tmp_path_factory.mktemp("moto")
    run(sys.executable, "-m", "venv", str(folder), folder=folder)
    run(str(folder / "bin/python"), "-m", "pip", "install", "-q", MOTO, folder=folder)
    return folder / "bin/python"


def test_s3_remote_that_fails_half_way(reproduced: Repository, moto: Path, tmp_path: Path) -> None:
    with s3(moto) as port:
        line = Line(port)
        for words in (
            ["add", "--force", "--default", "s3", "s3://lab/emoriff"],
            ["modify", "s3", "endpointurl", f"http://127.0.0.1:{line.port}"],
            ["modify", "s3", "access_key_id", "key"],
            ["modify", "s3", "secret_access_key", "secret"],
        ):
            reproduced.dvc("remote", words[0], "--local", *words[1:])
        push = started(reproduced, "dvc", "push")
        listing = f"http://127.0.0.1:{port}/lab?list-type=2&max-keys=1000"
        wait_for(lambda: urllib.request.urlopen(listing, timeout=10).read().count(b"<Key>") > 5, 120)
        line.cut()
        said = push.communicate(timeout=300)[0]
        assert push.returncode != 0
        assert "ERROR" in said
        line = Line(port, line.port)
        reproduced.dvc("push", "--quiet")
        clone = clone_of(reproduced, tmp_path / "clone")
        clone.dvc("pull", "--quiet")
        line.cut()
    (reproduced.folder / ".dvc/config.local").unlink()
    assert digests(clone.folder / "models") == digests(reproduced.folder / "models")
    assert UP_TO_DATE in clone.dvc("status")


# DVC as its users know it


@pytest.fixture
def elsewhere(reproduced: Repository, tmp_path: Path) -> Repository:
    """A clone with all results, to experiment in."""
    clone = clone_of(reproduced, tmp_path / "clone")
    clone.dvc("cache", "dir", "--local", str(reproduced.folder / ".dvc/cache"))
    clone.dvc("checkout", "--quiet")
    return clone


def test_experiments_are_run_shown_compared_and_queued(elsewhere: Repository) -> None:
    output = elsewhere.dvc("exp", "run", "--name", "longer", "-S", "train.experiments.ours.steps=3")
    assert set(ran(output)) == {"train@ours", "generate@ours", "evaluate", "report"}
    elsewhere.dvc("exp", "run", "--queue", "--name", "queued", "-S", "train.experiments.ours.steps=4")
    elsewhere.dvc("queue", "start")
    wait_for(lambda: "Success" in elsewhere.dvc("queue", "status"), 600)
    shown = elsewhere.dvc("exp", "show", "--csv", "--no-pager")
    assert {"longer", "queued"} <= set(re.findall(r"longer|queued", shown))
    assert "train.experiments.ours.steps" in elsewhere.dvc("params", "diff", "HEAD")
    assert "reports/metrics.json" in elsewhere.dvc("metrics", "diff", "--all", "HEAD")


def test_plots_show_all_losses_in_one_plot_and_pictures(elsewhere: Repository) -> None:
    run(sys.executable, "-m", "flows.engine.graph", folder=elsewhere.folder)  # as after each change of the experiments
    output = elsewhere.dvc("plots", "show", "--json", "--split")
    assert "failed to load" not in output
    (plot,) = json.loads(output[output.index("{") : output.rindex("}") + 1])["data"]["loss"]
    names = {point["filename"] for point in plot["anchor_definitions"]["<DVC_METRIC_DATA>"]}
    assert names == {f"{experiment}/loss.csv" for experiment in EXPERIMENTS}
    elsewhere.dvc("plots", "show")
    page = (elsewhere.folder / "dvc_plots/index.html").read_text()
    assert page.count("<img") == 5 * (1 + len(EXPERIMENTS))  # five emotions, the base model too


# Deployments


@pytest.fixture
def served(reproduced: Repository) -> Iterator[str]:
    """Server and worker with a nightly deployment that is due every minute; the API's address."""
    file = reproduced.folder / "prefect.yaml"
    kept, values = file.read_text(), yaml.safe_load(file.read_text())
    values["deployments"][0]["schedules"] = [{"cron": "* * * * *", "timezone": "Europe/Berlin"}]
    file.write_text(yaml.safe_dump(values))
    port = free_port()
    process = serve(reproduced, port)
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()  # as a service manager does
        process.wait(timeout=60)
        file.write_text(kept)
        assert not any(map(alive, started))


def interrupt(process: "subprocess.Popen[bytes]") -> None:
    """As Ctrl-C does: to the program and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)


def serve(repository: Repository, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "flows", "serve", "--port", str(port)]
    return subprocess.Popen(command, cwd=repository.folder, env=environment(), start_new_session=True)


def ask(url: str, body: dict[str, Any]) -> Any:
    """The answer of Prefect's API; [] while it does not answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    except OSError:
        return []


def runs_in(api: str, *states: str) -> list[Any]:
    """Runs of `reproduce` that a schedule created, in one of these states."""
    wanted = {"flows": {"name": {"any_": ["reproduce"]}}, "flow_runs": {"state": {"type": {"any_": list(states)}}}}
    return [one for one in ask(f"{api}/flow_runs/filter", wanted) if one["auto_scheduled"]]


WITH_PROGRESS = """
from prefect import flow
from flows.progress import Progress

@flow
def long_work():
    shown = Progress("train", seconds=0)
    shown(1, 4)
    shown(4, 4)

long_work()
"""


def test_a_schedule_makes_a_run_that_reproduces_and_shows_what_it_did(reproduced: Repository, served: str) -> None:
    before = (reproduced.folder / "dvc.lock").read_bytes()
    found = wait_for(lambda: runs_in(served, "COMPLETED", "FAILED", "CRASHED"), 400)
    assert found[0]["state"]["type"] == "COMPLETED"
    assert (reproduced.folder / "dvc.lock").read_bytes() == before
    run(sys.executable, "-c", WITH_PROGRESS, folder=reproduced.folder, PREFECT_API_URL=served)
    artifacts = {one["key"]: one for one in ask(f"{served}/artifacts/filter", {})}
    assert {"stages", "measures", "report", "pictures", "progress-train"} <= artifacts.keys()
    assert artifacts["progress-train"]["type"] == "progress"
    (page,) = re.findall(r"\((http://127\.0\.0\.1:\d+/index\.html)\)", artifacts["report"]["data"])
    with urllib.request.urlopen(page, timeout=10) as response:
        assert response.read() == (reproduced.folder / "reports/index.html").read_bytes()


def test_a_run_under_way_ends_with_the_service(reproduced: Repository, served: str) -> None:
    (one,) = wait_for(lambda: runs_in(served, "RUNNING"), 400)
    (service,) = (process for process in psutil.Process().children() if "serve" in process.cmdline())
    below = wait_for(lambda: [each for each in service.children(recursive=True) if "repro" in each.cmdline()], 60)
    started = service.children(recursive=True)
    service.terminate()
    service.wait(timeout=60)
    assert below
    assert not any(map(alive, started))
    again = serve(reproduced, int(served.split(":")[2].removesuffix("/api")))
    try:
        assert one["id"] in {run["id"] for run in wait_for(lambda: runs_in(served, "CRASHED"), 200)}
    finally:
        interrupt(again)


def test_a_killed_workers_run_is_crashed_when_the_service_starts_again(reproduced: Repository, served: str) -> None:
    (one,) = wait_for(lambda: runs_in(served, "RUNNING"), 400)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if {"worker", "prefect.engine", "repro"} & set(process.cmdline()):
                process.kill()
    wait_for(lambda: not runs_in(served, "RUNNING"), 60)  # the server has ended with its worker
    again = serve(reproduced, int(served.split(":")[2].removesuffix("/api")))
    try:
        wait_for(lambda: one["id"] in {run["id"] for run in runs_in(served, "CRASHED")}, 200)
    finally:
        interrupt(again)
