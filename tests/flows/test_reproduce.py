"""What deployments run, without a server: failures are reported, programs end with their flow, links lead somewhere."""

import http.server
import json
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest
import yaml

from flows.deploy import reproduce
from tasks.core.errors import EmoriffError
from tests.repository import ROOT


class Hook(http.server.BaseHTTPRequestHandler):
    received: list[Any]

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_a_failure_is_noted_and_posted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Hook.received = []
    with http.server.HTTPServer(("127.0.0.1", 0), Hook) as hook:
        thread = threading.Thread(target=hook.handle_request)
        thread.start()
        monkeypatch.setenv("EMORIFF_WEBHOOK", f"http://127.0.0.1:{hook.server_port}/alarm")
        reproduce.report_failure(
            SimpleNamespace(name="reproduce"),
            SimpleNamespace(name="calm-fox"),
            SimpleNamespace(name="Failed", message="x"),
        )
        thread.join()
    (noted,) = map(json.loads, (tmp_path / ".emoriff/failures.jsonl").read_text().splitlines())
    assert noted == Hook.received[0]
    assert (noted["flow"], noted["run"], noted["state"]) == ("reproduce", "calm-fox", "Failed")


def test_the_last_lines_of_a_program_are_its_error() -> None:
    with pytest.raises(EmoriffError, match="out of luck"):
        reproduce.command([sys.executable, "-c", "import sys; sys.exit('out of luck')"], {})


def test_a_measure_without_an_interval_is_in_the_table() -> None:
    measures = {
        "kad": {"value": 1, "low": None, "high": None, "n": 5},
        "fad": {"value": 2, "low": 1, "high": 3, "n": 4},
    }
    text = reproduce.markdown_table({"experiments": {"ours": measures}})
    assert "| ours | - | - | - | - | 1.00 [no interval], n = 5 | 2.00 [1.00, 3.00], n = 4 | - |" in text


def test_a_program_may_print_what_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    reproduce.command([sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'caf\xe9\n')"], {})
    assert capsys.readouterr().out == "caf\N{REPLACEMENT CHARACTER}\n"


def test_a_program_ends_with_its_flow() -> None:
    """A time-out and the UI's cancel button arrive as an exception while lines are read."""

    def out_of_time(*_: Any) -> None:
        raise TimeoutError

    former = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(TimeoutError):
            reproduce.command([sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"], {})
    finally:
        signal.signal(signal.SIGALRM, former)
    time.sleep(0.5)
    running = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in running if "time.sleep(60)" in " ".join(child.cmdline())]


def test_pictures_lead_to_the_served_pages_or_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ours/happy_0000.png", "ours/happy_0001.png", "real/12_0_0.png"):
        path = Path("reports/media") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.delenv("EMORIFF_PAGES", raising=False)
    assert f"(file://{tmp_path}/reports/media/ours/happy_0000.png)" in reproduce.pictures(Path("reports/media"))
    monkeypatch.setenv("EMORIFF_PAGES", "http://127.0.0.1:4201")
    text = reproduce.pictures(Path("reports/media"))
    assert "![12_0_0](http://127.0.0.1:4201/media/real/12_0_0.png)" in text
    assert "happy_0001" not in text


@pytest.mark.parametrize("deployment", yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"])
def test_deployments_are_of_flows_that_are_cared_for(deployment: dict[str, Any]) -> None:
    file, name = deployment["entrypoint"].split(":")
    flow = getattr(reproduce, name)
    assert (ROOT / file).is_file()
    assert flow.retries >= 1
    assert flow.timeout_seconds > 3600
    assert reproduce.report_failure in flow.on_failure_hooks
    assert flow.parameters.properties.keys() >= deployment.get("parameters", {}).keys()
    assert deployment["concurrency_limit"]["limit"] == 1
    assert all(ZoneInfo(schedule["timezone"]) for schedule in deployment["schedules"])
