"""OpenLineage events on their way: JSON -> **file, and a spool that a thread empties** -> server.

Every event goes to .emoriff/lineage/openlineage.jsonl. Where OpenLineage's own configuration names a
transport (OPENLINEAGE_URL, openlineage.yml, OPENLINEAGE__TRANSPORT__...), it is also put into a spool; what
cannot be sent in time stays there for the next run. So a server that is down costs a run
`WAIT_SECONDS` at most (openlineage-python alone blocks for 39 s, and raises).
"""

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.files import write_text
from tasks.core.messages import shown
from tasks.core.reading import record_of

if TYPE_CHECKING:
    from openlineage.client.transport.transport import Transport

REQUEST_SECONDS = 2.0  # one HTTP request
WAIT_SECONDS = 3.0  # all that a run waits for the server at its end
SPOOL_LIMIT = 10_000  # events; a server that never comes back must not fill the disk
MISTAKES = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError)  # of a transport
log = logging.getLogger("emoriff.events")
_threads: list[threading.Thread] = []


def send_event(folder: Path, event: dict[str, Any]) -> None:
    """Write the event to the file, and send it where a transport is configured."""
    from openlineage.client.transport.file import FileConfig, FileTransport

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "openlineage.jsonl"
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a long line is several writes
        FileTransport(FileConfig(str(path), append=True)).emit(event)  # type: ignore[arg-type]
    if is_configured():
        spool = folder / "spool"
        add(spool, event)
        thread = threading.Thread(target=drain, args=(spool, configured), daemon=True, name="openlineage")
        thread.start()
        _threads.append(thread)


def finish() -> None:
    """Wait for requests under way, `WAIT_SECONDS` in all; the rest stays in the spool."""
    deadline = time.monotonic() + WAIT_SECONDS
    while _threads:
        _threads.pop(0).join(max(0.0, deadline - time.monotonic()))


def is_configured() -> bool:
    """Whether OpenLineage's own configuration names a transport."""
    files = [
        os.environ.get("OPENLINEAGE_CONFIG", ""),
        "openlineage.yml",
        os.path.expanduser("~/.openlineage/openlineage.yml"),
    ]
    named = any(name.startswith("OPENLINEAGE__TRANSPORT") for name in os.environ)
    return bool(os.environ.get("OPENLINEAGE_URL")) or named or any(map(os.path.isfile, files))


def configured() -> "Transport":
    """The configured transport; by HTTP with one short try, because the spool is what tries again."""
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import HttpTransport

    transport = OpenLineageClient().transport
    if isinstance(transport, HttpTransport):
        transport.timeout = min(transport.timeout, REQUEST_SECONDS)
        transport.config.retry = {"total": 0}
    return transport


def add(spool: Path, event: dict[str, Any]) -> None:
    """Put an event into the spool; when it is full, the oldest goes (it stays in the file)."""
    events = waiting(spool)
    for path in events[: max(0, len(events) + 1 - SPOOL_LIMIT)]:
        path.unlink(missing_ok=True)
    write_text(spool / f"{time.time_ns():020d}-{os.getpid()}.json", json.dumps(event, sort_keys=True))


def waiting(spool: Path) -> list[Path]:
    """Whole events in the spool, oldest first; not one that is being written under its temporary name."""
    return sorted(spool.glob("[0-9]*.json"))


def drain(spool: Path, transport_of: Callable[[], "Transport"]) -> None:
    """Send what is in the spool, oldest first, until one fails; one process at a time."""
    with exclusively(spool / "lock") as mine:
        if not mine:
            return
        try:
            transport = transport_of()
            while events := waiting(spool):
                for path in events:
                    send(transport, path)
        except MISTAKES as error:
            log.info("OpenLineage events wait in %s: %s", spool, shown(error))


def send(transport: "Transport", path: Path) -> None:
    """Send one spooled event; one that the server refuses for good (400, 422) is set aside.

    Raises:
        OSError: the server is down or says no.
    """
    from requests import HTTPError

    event: Any = record_of(dict[str, Any], path.read_bytes())
    if event is None:
        log.warning("%s is no event", path.name)
        path.replace(path.with_suffix(".refused"))
        return
    try:
        transport.emit(event)
    except HTTPError as error:
        if error.response is None or error.response.status_code not in (400, 422):
            raise
        log.warning("the OpenLineage server refused %s: %s", path.name, shown(error))
        path.replace(path.with_suffix(".refused"))
    path.unlink(missing_ok=True)


@contextmanager
def exclusively(path: Path) -> Iterator[bool]:
    """Whether this is the only one at work; a lock of the kernel, so a dead holder holds nothing."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
