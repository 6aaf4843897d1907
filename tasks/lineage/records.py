"""Who made what, when, where, from what: a stage's run -> **.emoriff/lineage/runs.jsonl** -> lineage, why.

One JSON line per run, appended under a lock; a line that a killed run left unfinished is skipped. Sources and
song lists lie beside it by content. The hashes are DVC's, so that a record joins to any dvc.lock.
"""

import fcntl
import json
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.core.errors import EmoriffError, InputError
from tasks.core.files import digest
from tasks.core.layout import BASE, LOCAL, MODELS
from tasks.core.messages import without_secrets
from tasks.core.reading import record_of
from tasks.core.storage import replacing
from tasks.execution.cache import Cache
from tasks.lineage import pipeline
from tasks.lineage.dvc_dirs import dir_manifest, folder_md5, manifest_bytes, songs_by_part, sources_now
from tasks.lineage.machine import environment, git_state
from tasks.lineage.record import Run

FOLDER = LOCAL / "lineage"
EXPERIMENTS = "/.dvc/tmp/exps/"  # where `dvc exp run --queue` works, and removes everything afterwards
log = logging.getLogger("emoriff.lineage")


class ChangedError(InputError):
    """What a run reads changed under it, so that nobody can say what its result was made of."""


@contextmanager
def recorded(root: Path, name: str, argument: str | None = None) -> Iterator[dict[str, Any]]:
    """Record the block as a run of stage `name`, failed when it raises; put counts into the given dict.

    The key "flow_run" of that dict is taken as Prefect's id, all others are counts. A record that cannot be
    written is reported in the log and changes nothing: the run's result does not depend on it.

    Raises:
        ChangedError: parameters, inputs or code are no longer what they were at the start. DVC looks at them only
            afterwards, and would record the new ones for a result of the old ones.
    """
    from tasks.lineage import openlineage

    stages = pipeline.declared(root)
    label = pipeline.find(stages, name, argument) or (f"{name}@{argument}" if argument else name)
    stage = stages.get(label) or pipeline.Stage(label, "", (), (), ())
    before, error = start_record(root, stage, stages), None
    summary: dict[str, Any] = {}
    openlineage.emit(root, "START", before)
    try:
        with unchanged(root, before):
            yield summary
    except BaseException as failure:
        error = without_secrets(f"{type(failure).__name__}: {failure}")
        raise
    finally:
        run = end_record(root, stage, before, summary, error)
        write(root, run)
        openlineage.emit(root, "FAIL" if error else "COMPLETE", run)
        openlineage.finish()


@contextmanager
def unchanged(root: Path, before: Run) -> Iterator[None]:
    """Raise ChangedError when what `before` names has changed by the end of the block, well or not."""
    try:
        yield
    except Exception as failure:
        if names := changed(root, before):
            raise change_error(names) from failure
        raise
    if names := changed(root, before):
        raise change_error(names)


def changed(root: Path, before: Run) -> list[str]:
    """Parameters, inputs and sources that are no longer what they were when the run began."""
    try:
        values = pipeline.read_yaml(root / "params.yaml")
    except InputError:
        values = {}
    keys = [f"{key} (params.yaml)" for key, value in before.parameters.items() if pipeline.at(values, key) != value]
    hashes = before.inputs | before.code
    return keys + [path for path, md5 in hashes.items() if content_md5(root, path) != md5]


def change_error(names: list[str]) -> ChangedError:
    """The error that names what changed."""
    return ChangedError(
        "what the stage reads changed while it ran",
        where=", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
        expected="the same bytes at its end as at its start",
        todo="let nothing write there meanwhile, and run the same command again: what was made of it is not kept",
    )


def start_record(root: Path, stage: pipeline.Stage, stages: dict[str, pipeline.Stage]) -> Run:
    """The record of a run that starts now: its inputs, before anything is written."""
    values = pipeline.read_yaml(root / "params.yaml")
    parameters = {key: pipeline.at(values, key) for key in stage.parameters}
    outs = [out for other in stages.values() for out in other.outs]
    hashes = {
        path: md5 for path in stage.deps if (md5 := content_md5(root, path, keep_manifest=not is_made(path, outs)))
    }
    seed = values.get("seed")
    now = timestamp()
    return Run(
        id=str(uuid.uuid4()),
        stage=stage.name,
        status="running",
        started=now,
        ended=now,
        git=git_state(root),
        environment=environment(),
        parameters=parameters,
        parameters_digest=digest(parameters),
        inputs={path: md5 for path, md5 in hashes.items() if not pipeline.is_code(path)},
        outputs={},
        code={path: md5 for path, md5 in hashes.items() if pipeline.is_code(path)},
        seeds={} if seed is None else {"seed": seed},
        base=base_of(root, values) if any(is_made(path, [MODELS.as_posix()]) for path in stage.deps) else {},
    )


def end_record(root: Path, stage: pipeline.Stage, before: Run, summary: dict[str, Any], error: str | None) -> Run:
    """The record `before`, completed with what the run made."""
    outputs = {} if error else {path: md5 for path in stage.outs if (md5 := content_md5(root, path))}
    counts = {key: value for key, value in summary.items() if key != "flow_run"}
    return Run(
        **{entry.name: getattr(before, entry.name) for entry in fields(Run)}
        | {
            "status": "failed" if error else "complete",
            "ended": timestamp(),
            "environment": environment(),  # again: a GPU is known only once it was used
            "outputs": outputs,
            "counts": counts,
            "flow_run": summary.get("flow_run"),
            "error": error,
        }
    )


def home(root: Path) -> Path:
    """The repository that keeps the records: itself, or the one whose queued experiment this folder is."""
    before, found, _ = root.resolve().as_posix().partition(EXPERIMENTS)
    return Path(before) if found else root


def timestamp() -> str:
    """Now in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def is_made(path: str, outs: list[str]) -> bool:
    """Whether a path is, or is in, an output of a stage."""
    return any(path == out or path.startswith(out + "/") for out in outs)


def content_md5(root: Path, path: str, keep_manifest: bool = False) -> str | None:
    """DVC's hash of a file or folder as it is now; None where there is none. A folder's songs are kept."""
    cache, place = Cache(root / LOCAL), root / path
    if place.is_file():
        return cache.md5(place)
    if not place.is_dir():
        return None
    files = cache.md5_of_folder(place)
    md5 = folder_md5(files)
    if keep_manifest:
        save_object(root, md5, manifest_bytes(files))
    if songs := songs_by_part(list(files)):
        save_object(root, f"{md5}.songs", json.dumps(songs).encode())
    return md5


def base_of(root: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The base model that a stage finds: repository and revision, or the demo's, and the weights' hashes."""
    wanted = values.get("base") or {}
    found = {"repository": wanted.get("repository") or "demo", "revision": wanted.get("revision")}
    weights = {
        path.relative_to(root).as_posix(): Cache(root / LOCAL).md5(path)
        for path in sorted((root / BASE).rglob("*.safetensors"))
    }
    return found | ({"weights_md5": weights} if weights else {})


def write(root: Path, run: Run) -> None:
    """Append the record, and keep the sources it names."""
    try:
        for path in run.code:
            for name, md5 in sources_now(root, path).items():
                save_object(root, md5, (root / name).read_bytes())
        append(home(root) / FOLDER / "runs.jsonl", json.dumps(asdict(run), sort_keys=True))
    except (OSError, EmoriffError) as error:
        log.warning("the run of %s is not recorded: %s", run.stage, error)


def save_object(root: Path, name: str, content: bytes) -> None:
    """Keep `content` in objects/ under `name`, once."""
    target = home(root) / FOLDER / "objects" / name
    if not target.exists():
        with replacing(target) as temporary:
            temporary.write_bytes(content)


def load_object(root: Path, name: str) -> bytes | None:
    """What `save_object` stored under `name`."""
    try:
        return (root / FOLDER / "objects" / name).read_bytes()
    except OSError:
        return None


def songs_of(root: Path, folder_hash: str) -> dict[str, list[int]] | None:
    """Songs of a folder version by part (see `songs_by_part`); None when nothing here remembers it."""
    songs = record_of(dict[str, list[int]], load_object(root, f"{folder_hash}.songs") or b"")
    if songs is not None:
        return songs
    files = dir_manifest(root, folder_hash)
    return None if files is None else songs_by_part(list(files))


def append(path: Path, line: str) -> None:
    """Add a line to a file that other processes extend too; what a killed one left half is closed off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        unfinished = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        file.write((b"\n" if unfinished else b"") + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(root: Path) -> list[Run]:
    """All recorded runs, oldest first; lines that are no record (a killed writer's) are left out."""
    try:
        lines = (root / FOLDER / "runs.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [run for line in lines if (run := record_of(Run, line))]
