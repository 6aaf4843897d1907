import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core.storage import replacing
from tasks.lineage import openlineage_spool, records

RECEIVED = list[dict[str, Any]]


class Marquez(http.server.ThreadingHTTPServer):
    """Takes events at /api/v1/lineage as Marquez does; `status` is what it answers."""

    status, received, seconds = 201, RECEIVED(), 0.0

    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Marquez

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.server.seconds)
        if self.server.status < 300:
            self.server.received.append({"path": self.path, "token": self.headers.get("Authorization"), **event})
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def marquez(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marquez]:
    server = Marquez(("127.0.0.1", 0), Handler)
    server.received = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENLINEAGE_URL", server.url())
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "secret")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {copy: {cmd: cp a b, deps: [a], outs: [b], params: [x]}}")
    (tmp_path / "params.yaml").write_text("x: 3\nseed: 1\n")
    (tmp_path / "a").write_text("in")
    return tmp_path


def run(root: Path, fails: bool = False) -> None:
    with records.recorded(root, "copy") as counts:
        (root / "b").write_text("out")
        counts["done"] = 1
        if fails:
            raise ValueError("no luck")


def in_file(root: Path) -> RECEIVED:
    return [json.loads(line) for line in (root / records.FOLDER / "openlineage.jsonl").read_text().splitlines()]


def test_events_go_to_a_file_by_default(root: Path) -> None:
    run(root)
    start, complete = in_file(root)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"] == records.read(root)[0].id
    assert complete["inputs"][0]["facets"]["version"]["datasetVersion"] == records.content_md5(root, "a")
    assert complete["outputs"][0]["outputFacets"]["outputStatistics"]["size"] == 3
    assert complete["run"]["facets"]["emoriff"]["parameters"] == {"x": 3}
    assert not (root / records.FOLDER / "spool").exists()


def test_a_failed_run_sends_its_error(root: Path) -> None:
    with pytest.raises(ValueError, match="no luck"):
        run(root, fails=True)
    assert in_file(root)[-1]["eventType"] == "FAIL"
    assert in_file(root)[-1]["run"]["facets"]["errorMessage"]["message"] == "ValueError: no luck"


def test_a_configured_server_gets_every_event_in_order(root: Path, marquez: Marquez) -> None:
    run(root)
    assert [event["eventType"] for event in marquez.received] == ["START", "COMPLETE"]
    assert {event["path"] for event in marquez.received} == {"/api/v1/lineage"}
    assert {event["token"] for event in marquez.received} == {"Bearer secret"}


def test_a_server_that_is_down_costs_nothing_and_gets_the_events_later(root: Path, marquez: Marquez) -> None:
    marquez.status = 503
    begin = time.monotonic()
    run(root)
    assert time.monotonic() - begin < openlineage_spool.WAIT_SECONDS + 1
    assert not marquez.received
    marquez.status = 201
    run(root)
    assert [event["eventType"] for event in marquez.received] == ["START", "COMPLETE"] * 2
    assert not list((root / records.FOLDER / "spool").glob("*.json"))


def test_no_server_at_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    run(root)
    assert records.read(root)[0].status == "complete"
    assert len(list((root / records.FOLDER / "spool").glob("*.json"))) == 2


def test_a_slow_server_is_not_waited_for(root: Path, marquez: Marquez) -> None:
    marquez.seconds = 20
    begin = time.monotonic()
    run(root)
    assert time.monotonic() - begin < openlineage_spool.WAIT_SECONDS + 1


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/x"])
def test_a_wrong_address_fails_no_run(root: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    run(root)
    assert records.read(root)[0].status == "complete"


def test_an_event_that_the_server_refuses_does_not_block_the_next(root: Path, marquez: Marquez) -> None:
    marquez.status = 422
    run(root)
    assert len(list((root / records.FOLDER / "spool").glob("*.refused"))) == 2
    marquez.status = 201
    run(root)
    assert len(marquez.received) == 2


def test_the_spool_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openlineage_spool, "SPOOL_LIMIT", 3)
    for number in range(5):
        openlineage_spool.add(tmp_path, {"number": number})
    assert [json.loads(path.read_text())["number"] for path in sorted(tmp_path.glob("*.json"))] == [2, 3, 4]


def test_an_event_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "1-2.json") as temporary:
        temporary.write_text('{"half": ')
        openlineage_spool.drain(tmp_path, openlineage_spool.configured)
        assert temporary.is_file()


def test_it_can_be_turned_off(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    run(root)
    assert not (root / records.FOLDER / "openlineage.jsonl").exists()
