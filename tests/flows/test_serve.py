"""How `emoriff serve` ends: its worker's runs with it, whether they listen or not."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.deploy import serve
from flows.engine.run import alive
from tasks.trainer.processes import free_port

API = "http://127.0.0.1:9/api"
RUN = "import signal, time; {told}; print('up', flush=True); time.sleep(600)"
LISTENING, DEAF = (f"signal.signal(signal.SIGTERM, signal.SIG_{how})" for how in ("DFL", "IGN"))
WORKER = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Prefect's: it waits until its run is done
subprocess.run([sys.executable, "-c", sys.argv[1], "prefect.engine"], start_new_session=True)
"""


@pytest.fixture(autouse=True)
def kept_signals():
    """What the process did on signals before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def up(run: str) -> "tuple[subprocess.Popen[bytes], psutil.Process]":
    """A worker that waits for its run, and the run."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, run], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    with worker.stdout as told:
        assert told.readline() == b"up\n"
    return worker, psutil.Process(worker.pid).children()[0]


@pytest.mark.parametrize(("told", "seconds"), [(LISTENING, 30.0), (DEAF, 0.5)])
def test_a_worker_ends_with_its_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], told: str, seconds: float
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", API)
    monkeypatch.setattr(serve, "STOP_SECONDS", seconds)
    worker, run = up(RUN.format(told=told))
    serve.end_worker(worker)
    worker.wait(timeout=30)
    assert not alive(run)
    assert capfd.readouterr().out.count("a run is under way") == 1


def test_the_run_of_a_killed_worker_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", API)
    worker, run = up(RUN.format(told=LISTENING))
    worker.kill()
    worker.wait(timeout=30)
    serve.end_worker(worker)
    assert not alive(run)


def test_the_run_of_another_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", API.replace("9", "10"))
    worker, run = up(RUN.format(told=LISTENING))
    try:
        monkeypatch.setenv("PREFECT_API_URL", API)
        worker.kill()
        worker.wait(timeout=30)
        serve.end_worker(worker)
        assert alive(run)
    finally:
        run.kill()


def test_what_a_background_job_starts_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for `nohup emoriff serve &`
    serve.LOCAL.mkdir(parents=True)
    pages = serve.start_pages(free_port())
    try:
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        deadline = time.monotonic() + 30
        while not psutil.Process(pages.pid).net_connections(kind="inet"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pages.send_signal(signal.SIGINT)
        pages.wait(timeout=30)
    finally:
        pages.kill()


def test_a_server_that_does_not_come_up_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", API)
    serve.LOCAL.mkdir(parents=True)
    made: list[subprocess.Popen[bytes]] = []

    def started(*_: str, output: object = None) -> "subprocess.Popen[bytes]":
        made.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return made[-1]

    def interrupted(_: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "started", started)
    monkeypatch.setattr(serve, "answers", interrupted)
    monkeypatch.setattr(serve, "copy_database", lambda *_: None)
    monkeypatch.setattr(serve, "new_database", lambda: tmp_path / "none")
    with pytest.raises(KeyboardInterrupt):
        serve.start_server(9)
    deadline = time.monotonic() + 30
    while made[0].poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
