"""Which Prefect server a run uses, when the given one is down, slow, another version, or no Prefect at all."""

import http.server
import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from flows.engine import server
from tasks.core.files import write_json


class Api(http.server.ThreadingHTTPServer):
    """Answers every question with `said`, after `seconds`."""

    said: Any = version("prefect")
    seconds = 0.0
    logins: tuple[str | None, ...] = ()

    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.server.logins = (*self.server.logins, self.headers.get("Authorization"))
        time.sleep(self.server.seconds)
        body = json.dumps(self.server.said).encode()
        with suppress(BrokenPipeError):  # nobody waits any longer
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A server that PREFECT_API_URL names."""
    found = Api(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", found.url())
    monkeypatch.setattr(server, "settings", dict)
    monkeypatch.setattr(server, "own", lambda: "our own")
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.5)
    yield found
    found.shutdown()
    found.server_close()


def test_the_given_server_is_used(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "lab:secret")
    assert server.ensure(told.append) == api.url()
    assert (told, api.logins) == ([], ("Basic bGFiOnNlY3JldA==",))


@pytest.mark.parametrize(
    ("said", "reason"),
    [("2.20.0", "has version 2.20.0"), ("3.0.0", "has version 3.0.0"), ("99.1.0", "has version 99.1.0"),
     ("welcome", "is no Prefect server"), ({"a": 1}, "is no Prefect server")],
)  # fmt: skip
def test_another_version_is_told_and_not_used(api: Api, said: Any, reason: str) -> None:
    api.said, told = said, list[str]()
    assert server.ensure(told.append) == "our own"
    assert reason in told[0]


def test_a_slow_server_is_told_and_not_used(api: Api) -> None:
    api.seconds, told = 3.0, list[str]()
    begin = time.monotonic()
    assert server.ensure(told.append) == "our own"
    assert "does not answer" in told[0]
    assert time.monotonic() - begin < 2.5


def test_what_is_no_web_server_is_told_and_not_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=lambda: other.accept()[0].sendall(b"SSH-2.0-OpenSSH_9.6\r\n"))
        thread.start()
        assert server.answers(f"http://127.0.0.1:{other.getsockname()[1]}/api") is None
        thread.join()


def test_a_server_that_is_down_is_told_and_not_used(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    told: list[str] = []
    assert server.ensure(told.append) == "our own"
    assert "http://127.0.0.1:9/api does not answer" in told[0]


def test_a_server_whose_only_run_is_a_zombie_is_unused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zombie: int
) -> None:
    monkeypatch.chdir(tmp_path)
    state = {"url": "http://127.0.0.1:4200/api", "pids": [zombie, os.getpid()]}
    write_json(server.STATE, state)
    assert not server.unused(4200)
    write_json(server.STATE, state | {"pids": [zombie]})
    assert server.unused(4200)
    assert not server.STATE.exists()


def table(path: Path, *texts: str) -> list[tuple[str]]:
    """What is in the table of a database, after `texts` were added."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table if not exists said (text)")
        database.executemany("insert into said values (?)", [(text,) for text in texts])
        return list(database.execute("select text from said"))


def test_a_new_database_is_copied_where_there_is_none(tmp_path: Path) -> None:
    kept, here = tmp_path / "cache/emoriff/new.db", tmp_path / "prefect.db"
    server.copy_database(here, kept)
    assert not kept.exists()
    table(here, "new")
    server.copy_database(here, kept)
    table(here, "used")
    server.copy_database(here, kept)
    server.copy_database(kept, here)
    assert (table(kept), table(here)) == ([("new",)], [("new",), ("used",)])


def test_a_damaged_database_is_not_copied(tmp_path: Path) -> None:
    kept = tmp_path / "new.db"
    kept.write_bytes(b"no database" * 1000)
    server.copy_database(kept, tmp_path / "prefect.db")
    assert [path.name for path in tmp_path.iterdir()] == ["new.db"]
