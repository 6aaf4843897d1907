"""Killed runs, two runs at once, other machines, schedules: real processes, real servers."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.repository import Repository, environment

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.slow]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def copied(reproduced: Repository, tmp_path: Path) -> Repository:
    """The sources of the reproduced repository, nothing computed from them yet."""
    copy = Repository(tmp_path / "copy")
    shutil.copytree(reproduced.folder / "data/raw", copy.folder / "data/raw")
    return copy


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_stage_continues_and_ends_with_the_same_bytes(
    reproduced: Repository, copied: Repository, by: signal.Signals
) -> None:
    process = subprocess.Popen([sys.executable, "-m", "flows", "convert"], cwd=copied.folder, env=environment())
    wav = copied.folder / "data/wav"
    while process.poll() is None and len(list(wav.glob("[0-9]*.wav"))) < 3:
        time.sleep(0.02)
    process.send_signal(by)
    process.wait(timeout=10)
    assert not (wav / "manifest.parquet").exists()
    copied.emoriff("convert")
    assert digests(wav) == digests(reproduced.folder / "data/wav")


def test_two_stages_at_once_wait_for_each_other(reproduced: Repository, copied: Repository) -> None:
    command = [sys.executable, "-m", "flows", "convert"]
    options: dict[str, Any] = {"cwd": copied.folder, "env": environment(), "stdout": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, **options)
    while not (copied.folder / ".emoriff/locks/convert.lock").is_file():
        time.sleep(0.02)
    second = subprocess.run(command, **options)
    first.communicate()
    assert first.returncode == second.returncode == 0
    assert digests(copied.folder / "data/wav") == digests(reproduced.folder / "data/wav")


def test_dask_gives_the_same_bytes_and_the_same_keys(reproduced: Repository, copied: Repository) -> None:
    pytest.importorskip("prefect_dask")
    copied.change({"compute": {"runner": "dask"}})
    copied.emoriff("convert")
    assert digests(copied.folder / "data/wav") == digests(reproduced.folder / "data/wav")
    copied.change({"compute": {"runner": "threads"}})
    assert "30 from cache" in copied.emoriff("convert")


def test_a_server_that_is_down_does_not_stop_a_run(copied: Repository) -> None:
    output = copied.emoriff("convert", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert "does not answer" in output
    assert "30 done" in output


def test_a_colleagues_clone_pulls_everything(reproduced: Repository, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    reproduced.dvc("remote", "add", "--local", "--force", "shared", str(storage))
    reproduced.dvc("push", "--remote", "shared", "--quiet")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", reproduced.folder, clone], check=True)
    shutil.copy(reproduced.folder / ".dvc/config.local", clone / ".dvc/config.local")
    pull = [sys.executable, "-m", "dvc", "pull", "--remote", "shared"]
    subprocess.run(pull, cwd=clone, env=environment(), check=True, capture_output=True)
    for name in ("data/wav", "models/ours", "data/generated/ours"):
        assert digests(clone / name) == digests(reproduced.folder / name)


@pytest.fixture
def served(reproduced: Repository) -> Iterator[str]:
    """Server and worker with a nightly deployment that is due every minute; the API's address."""
    file = reproduced.folder / "prefect.yaml"
    kept, values = file.read_text(), yaml.safe_load(file.read_text())
    values["deployments"][0]["schedules"] = [{"cron": "* * * * *", "timezone": "Europe/Berlin"}]
    file.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "flows", "serve", "--port", "4699"]
    process = subprocess.Popen(command, cwd=reproduced.folder, env=environment(), start_new_session=True)
    try:
        yield "http://127.0.0.1:4699/api"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
        file.write_text(kept)


def ask(url: str, body: dict[str, Any]) -> Any:
    """The answer of Prefect's API."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def scheduled_and_completed(api: str) -> list[Any]:
    """Runs of `reproduce` that a schedule created and that are completed."""
    wanted = {
        "flows": {"name": {"any_": ["reproduce"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}},
    }
    try:
        return [run for run in ask(f"{api}/flow_runs/filter", wanted) if run["auto_scheduled"]]
    except OSError:
        return []


def test_a_schedule_makes_a_run_that_reproduces(reproduced: Repository, served: str) -> None:
    before = (reproduced.folder / "dvc.lock").read_bytes()
    deadline = time.monotonic() + 400
    while not (runs := scheduled_and_completed(served)) and time.monotonic() < deadline:
        time.sleep(2)
    assert runs[0]["state"]["type"] == "COMPLETED"
    assert (reproduced.folder / "dvc.lock").read_bytes() == before
    keys = {artifact["key"] for artifact in ask(f"{served}/artifacts/filter", {})}
    assert {"stages", "measures", "report"} <= keys
