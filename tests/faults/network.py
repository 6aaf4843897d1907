"""What servers do wrong, on loopback: those of tests/download/test_sources.py, and a kill in mid-transfer."""

import contextlib
import hashlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.core.errors import DownloadError
from tasks.download import sources
from tasks.download.params import DownloadParams
from tasks.settings import load
from tests import loopback
from tests.download.test_sources import CONTENT, FINAL, RECOVERED, declared
from tests.faults.table import Row
from tests.repository import ROOT, environment

QUICK = {"backoff_seconds": 0.01, "stall_seconds": 0.4, "retries": 2, "corpus": None}
KILLED = """
import sys; from pathlib import Path; from tests.faults.network import fetch
fetch(sys.argv[1], Path(sys.argv[2]), stall_seconds=30.0)"""


def free_port() -> int:
    """A port of loopback that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows() -> Iterator[Row]:
    """One row a trick: got over, or told."""
    for name, tricks in RECOVERED.items():
        yield tried(f"network: {name}", "got over", tricks)
    for name, (tricks, message) in FINAL.items():
        yield tried(f"network: {name}", "told, nothing kept", tricks, message)
    yield killed_in_a_transfer()


def fetch(url: str, folder: Path, **changes: float) -> bytes:
    """What `sources.fetch` gets from `url`."""
    params: DownloadParams = load(ROOT / "profiles/demo.yaml").download
    return sources.fetch(declared(url), folder, params.model_copy(update=QUICK | changes)).read_bytes()


def tried(fault: str, expected: str, tricks: list[loopback.Trick], message: str = "") -> Row:
    """A fetch while the server plays its tricks, and one afterwards, of the honest server."""
    with loopback.site() as site, tempfile.TemporaryDirectory() as name:
        site.files["/x/a.zip"], site.tricks = CONTENT, list(tricks)
        folder, said, kept = Path(name), "", False
        try:
            observed = "got over" if fetch(f"{site.address}/x/a.zip", folder) == CONTENT else "other bytes"
        except DownloadError as error:
            said, kept = " ".join(str(error).split()), (folder / "a.zip").exists()
            observed = "told, something kept" if kept else "told, nothing kept"
        site.tricks = []
        equal = fetch(f"{site.address}/x/a.zip", folder) == CONTENT
    return Row(fault, expected, observed, said[:220], equal, equal and observed == expected and message in said)


def killed_in_a_transfer() -> Row:
    """kill -9 while bytes arrive; the next run asks for the rest only."""
    with loopback.site() as site, tempfile.TemporaryDirectory() as name:
        site.files["/x/a.zip"], site.tricks = CONTENT, [loopback.stalls(2_000_000, 60.0)]
        url, folder = f"{site.address}/x/a.zip", Path(name)
        process = subprocess.Popen([sys.executable, "-c", KILLED, url, name], cwd=ROOT, env=environment())
        wait_until(lambda: any(path.stat().st_size >= 1_000_000 for path in folder.glob("*.partial")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        clean = not (folder / "a.zip").exists()
        equal = hashlib.sha256(fetch(url, folder)).digest() == hashlib.sha256(CONTENT).digest()
        asked = site.ranges()[-1] or "everything"
    good = clean and equal and asked.startswith("bytes=")
    return Row(
        "network: kill -9 in a transfer", "the rest is asked for", f"asked for {asked}", "", equal, good
    )  # fmt: skip


def wait_until(happened: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until it is so.

    Raises:
        TimeoutError: it does not happen.
    """
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(FileNotFoundError):
            if happened():
                return
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for does not happen")
        time.sleep(0.02)
