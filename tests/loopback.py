"""A real HTTP server on loopback that serves files honestly, or once in each way that real servers fail."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Trick = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; the next trick of `server.tricks` first, where there is one."""

    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        site.requests.append((self.path, dict(self.headers)))
        content = site.files.get(self.path)
        if content is None:
            self.answer(404, {}, b"")
        elif site.tricks and not self.path.endswith("SHA256SUMS"):
            site.tricks.pop(0)(self, content)
        else:
            self.serve(content)

    def serve(self, content: bytes) -> None:
        """As an honest server does, with ETag, Range and If-Range."""
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        asked = self.headers.get("Range")
        if asked and self.headers.get("If-Range", etag) == etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
                return
            part = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, {"ETag": etag, "Content-Range": part}, content[start:])
        else:
            self.answer(200, {"ETag": etag}, content)

    def answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body) if length is None else length)} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence: the tests read `requests`."""


class Site:
    """What is served, what was asked, and what goes wrong next."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.tricks: list[Trick] = []
        self.requests: list[tuple[str, dict[str, str]]] = []

    def ranges(self) -> list[str | None]:
        """The Range header of each request for a file."""
        return [headers.get("Range") for path, headers in self.requests if not path.endswith("SHA256SUMS")]


@contextmanager
def site() -> Iterator[Site]:
    """A server for the length of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.site = Site(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.site  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def breaks_off(n_bytes: int, headers: dict[str, str] | None = None) -> Trick:
    """Announces all, sends `n_bytes`, hangs up."""

    def trick(handler: Handler, content: bytes) -> None:
        etag = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'}
        handler.answer(200, etag if headers is None else headers, content[:n_bytes], len(content))
        handler.close_connection = True

    return trick


def stalls(n_bytes: int, seconds: float) -> Trick:
    """Sends `n_bytes`, then nothing for `seconds`."""

    def trick(handler: Handler, content: bytes) -> None:
        breaks_off(n_bytes)(handler, content)
        handler.wfile.flush()
        time.sleep(seconds)

    return trick


def says(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Trick:
    """An answer without the file."""
    return lambda handler, content: handler.answer(status, headers or {}, body)


def announces(difference: int) -> Trick:
    """All bytes under a Content-Length that is off by `difference`."""

    def trick(handler: Handler, content: bytes) -> None:
        handler.answer(200, {}, content, len(content) + difference)
        handler.close_connection = True

    return trick


def goes_on_with(other: bytes, same_etag: bool) -> Trick:
    """A continuation that belongs to another version of the file."""

    def trick(handler: Handler, content: bytes) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        etag = f'"{hashlib.md5(content if same_etag else other).hexdigest()}"'
        part = f"bytes {start}-{len(other) - 1}/{len(other)}"
        handler.answer(206, {"ETag": etag, "Content-Range": part}, other[start:])

    return trick


def only_browsers(handler: Handler, content: bytes) -> None:
    """403 for whoever does not look like a browser."""
    if handler.headers.get("User-Agent", "").startswith("Mozilla/"):
        handler.serve(content)
    else:
        handler.answer(403, {}, b"")
