"""The real dvc.yaml, DVC and flows without what is slow: each stage's command asks this process to run its flow.

DVC runs `python call.py STAGE` instead of `python -m flows STAGE`, which saves the start of Python and Prefect a
stage. From download to dataset the real flows run; what learns or judges writes a digest of what it reads.
"""

import hashlib
import json
import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from flows.engine.run import arguments_of
from tasks.execution import closure
from tasks.execution.items import Bucket, Done, Item
from tasks.lineage import pipeline
from tasks.settings import load
from tests.repository import Repository

REAL = ("download", "convert", "segment", "label", "spectrogram", "dataset")
ARTISTS = "abcdefghij"
OWN = {"audio": "../songs", "labels": "../songs/labels.csv", "scale_min": 1, "scale_max": 9}
CALL = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect("stages.socket")
    line.sendall(" ".join(sys.argv[1:]).encode() + b"\\n")
    answer = line.makefile().read()
sys.exit(answer or 0)
"""


def tone(path: Path, hertz: float, seconds: float = 6.0) -> None:
    """A tone with its octave as MP3."""
    axis = np.arange(int(seconds * 44100)) / 44100
    wave = 0.3 * np.sin(2 * np.pi * hertz * axis) + 0.1 * np.sin(4 * np.pi * hertz * axis)
    soundfile.write(path, wave, 44100, format="MP3")


def build(folder: Path) -> Repository:
    """A repository on ten tones by ten artists, one experiment; nothing run yet."""
    songs = folder / "songs"
    songs.mkdir(parents=True)
    for number, _ in enumerate(ARTISTS, start=1):
        tone(songs / f"{number}.mp3", 200 + 40 * number)
    moods = ["3,3", "7,6"]  # sad, happy
    rows = [f"{number},{moods[number % 2]},{artist}" for number, artist in enumerate(ARTISTS, start=1)]
    (songs / "labels.csv").write_text("\n".join(["song_id,valence,arousal,artist", *rows]) + "\n")
    repository = Repository(folder / "repository")
    prepare(repository)
    repository.change(
        {
            "download": {"sources": [], "corpus": None, "watch": "../songs", "folder": OWN},
            "spectrogram": {"n_mels": 64, "tile_columns": 64},
        }
    )
    values = pipeline.read_yaml(repository.folder / "params.yaml")
    values["train"]["experiments"] = {"ours": values["train"]["experiments"]["ours"]}
    repository.set_params(values)
    return repository


def prepare(repository: Repository) -> None:
    """Let the stages' commands call this process."""
    graph = repository.folder / "dvc.yaml"
    graph.write_text(graph.read_text().replace("python -m flows", f"{sys.executable} -S call.py"))
    (repository.folder / "call.py").write_text(CALL)


class Rehearsal:
    """`repro` tells which stages DVC ran, and which songs were computed in them."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.songs = folder.parent / "songs"
        self.ran: list[str] = []
        self.computed: dict[str, list[int]] = {}
        self.made: list[str] = []  # stages of one item that computed it
        patch.chdir(folder)
        patch.setattr(closure, "ROOT", folder)  # whose code decides is this copy's
        for name in REAL:
            module = import_module(f"flows.{name}")
            patch.setattr(module, "run", self.run)
            if hasattr(module, "process_pool"):
                patch.setattr(module, "process_pool", lambda workers: nullcontext())

    def repro(self, *targets: str) -> tuple[list[str], dict[str, list[int]]]:
        """The stages that ran, in order, and the songs computed, by stage."""
        from dvc.repo import Repo

        self.ran, self.computed, self.made = [], {}, []
        closure.code_digest.cache_clear()
        with answering(self), Repo() as repo:
            repo.reproduce(list(targets) or None)
        return self.ran, self.computed

    def stage(self, words: list[str]) -> None:
        """What `python -m flows WORDS` does."""
        name, argument = words[0], words[-1] if len(words) > 1 else None
        label = pipeline.find(pipeline.declared(Path()), name, argument) or name
        self.ran.append(label)
        self.stage_name = name
        if name in REAL:
            flow = getattr(import_module(f"flows.{name}"), name).fn
            flow(**arguments_of(flow, load(), argument))
        else:
            self.play(label)

    def run(self, task: Any, items: list[Item], compute: Any, **parameters: Any) -> list[Done]:
        """As `flows.engine.run.run`, in this thread."""
        bucket = Bucket("all", task.cache_policy.keyed(task, items, parameters))
        done = [Done(**values) for values in task.fn(bucket, **parameters)]
        songs = [int(one.id.removeprefix("song ")) for one in done if one.id.startswith("song ") and not one.cached]
        if songs:
            self.computed[self.stage_name] = sorted(songs)
        self.made += [self.stage_name for one in done if not one.id.startswith("song ") and not one.cached]
        return done

    def play(self, label: str) -> None:
        """Write outputs that depend on the stage's data and parameters, and not on its code."""
        stage, values = pipeline.declared(Path())[label], pipeline.read_yaml(Path("params.yaml"))
        read = [content(Path(dep)) for dep in stage.deps if not pipeline.is_code(dep)]
        said = json.dumps([read, [pipeline.at(values, key) for key in stage.parameters]])
        text = hashlib.sha256(said.encode()).hexdigest()
        for out in map(Path, stage.outs):
            file = out if out.suffix else out / "file.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_text(json.dumps(text))


def content(path: Path) -> list[str]:
    """Hashes of the files at or below a path."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]


@contextmanager
def answering(rehearsal: Rehearsal) -> Iterator[None]:
    """While it is open, call.py gets its answer: nothing, or what went wrong."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                rehearsal.stage(self.rfile.readline().decode().split())
            except Exception as error:
                self.wfile.write(repr(error).encode())
                raise

    address = Path("stages.socket")
    address.unlink(missing_ok=True)
    server = socketserver.UnixStreamServer(str(address), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        os.unlink(address)
