"""A local S3 server (moto, in an environment of its own), and a line to it that can be cut."""

import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """What `condition` gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def s3(python: Path) -> Iterator[int]:
    """The port of a local S3 server with a bucket `lab`."""
    port = free_port()
    words = [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: put(f"http://127.0.0.1:{port}/lab"), 60)
        yield port
    finally:
        process.kill()
        process.wait()


class Line:
    """Connections to `port` pass through here, until `cut`."""

    def __init__(self, port: int, own: int = 0) -> None:
        self.target, self.ends = port, list[socket.socket]()
        self.door = socket.create_server(("127.0.0.1", own))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self.door.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.target))
                self.ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self.pass_on, args=(source, sink), daemon=True).start()

    def pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        for end in [self.door, *self.ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def put(url: str) -> bool:
    """Whether a PUT succeeded."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5):
            return True
    except OSError:
        return False
