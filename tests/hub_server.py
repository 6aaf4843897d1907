"""A hub with one repository, on this machine: what huggingface_hub asks for, answered from a folder."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(folder: Path, repository: str) -> Iterator[tuple[str, list[str]]]:
    """The hub's address, and the list of files fetched from it so far."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, body: bool) -> None:
            path = self.path.split("?")[0]
            prefix = f"/{repository}/resolve/{COMMIT}/"
            if path == f"/api/models/{repository}/revision/{COMMIT}":
                self.send(json.dumps(info()).encode(), body)
            elif path.startswith(f"/api/models/{repository}/tree/{COMMIT}"):
                self.send(json.dumps(tree()).encode(), body)
            elif path.startswith(prefix) and (folder / path.removeprefix(prefix)).is_file():
                if body:
                    fetched.append(path.removeprefix(prefix))
                self.send((folder / path.removeprefix(prefix)).read_bytes(), body)
            else:
                self.send(b'{"error": "Repository not found"}', body, 404)

        def send(self, content: bytes, body: bool, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            if body:
                self.wfile.write(content)

    def names() -> list[str]:
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def info() -> dict:
        return {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names()]}

    def tree() -> list[dict]:
        return [
            {"type": "file", "path": name, "size": (folder / name).stat().st_size, "oid": "0" * 40} for name in names()
        ]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        server.server_close()
