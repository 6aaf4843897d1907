"""The one table that makes Prefect tasks of the nouns: name, time-out, cache.

Only this module and flows/ know Prefect. A task handles one bucket of items (songs, batches of clips),
because a Prefect task costs as much as a small song; inside it each item has its own key (tasks/cache.py).
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext

from tasks.cache import Cache, Record, disturbed, item_key, prune
from tasks.errors import EmoriffError
from tasks.files import digest, names_below, stamp
from tasks.worker import Answer, call, single_threaded


@dataclass(frozen=True)
class Entry:
    """How the runs of one noun are treated."""

    noun: str  # "tasks.audio:convert_song"; called with the item's arguments, gives a row or rows
    files: tuple[str, ...] = ()  # columns of the rows that name files below the item's folder
    in_process: bool = False  # one long item: not sent to the process pool
    progress: bool = False  # takes `progress`, called with (done, total, note)
    timeout_seconds: float = 3600  # of one item in the process pool; nothing can interrupt one in this process


TABLE = {
    "corpus": Entry("tasks.corpus:render", in_process=True, progress=True),
    "download": Entry("tasks.sources:obtain", in_process=True, progress=True),
    "convert": Entry("tasks.audio:convert_song", files=("file",)),
    "segment": Entry("tasks.segments:write_table", in_process=True),
    "label": Entry("tasks.labels:write_labels", in_process=True),
    "spectrogram": Entry("tasks.spectrogram:render_song", files=("file",)),
    "dataset": Entry("tasks.dataset:write_dataset", in_process=True),
    "base": Entry("tasks.base:make_base", in_process=True, progress=True),
    "train": Entry("tasks.training:train", in_process=True, progress=True),
    "generate": Entry("tasks.sampling:generate_clips", files=("png", "wav", "listening", "sidecar")),
    "evaluate": Entry("tasks.evaluation:evaluate", in_process=True, progress=True),
    "report": Entry("tasks.report:write_report", in_process=True),
}


@dataclass(frozen=True)
class Item:
    """One unit of work: what it is called, the content it depends on, what the noun is called with."""

    id: str
    inputs: dict[str, str]  # logical name -> content hash
    arguments: dict[str, Any]  # picklable; paths relative to the repository
    folder: str = ""  # where the files that its rows name are
    outputs: tuple[str, ...] = ()  # or: files and folders that are wholly its own
    key: str = ""


@dataclass(frozen=True)
class Done:
    """What an item gave; `cached` says that nothing was computed."""

    id: str
    rows: list[dict[str, Any]]
    files: list[str]
    cached: bool


class Bucket:
    """Items that one Prefect task handles; no dataclass, because Prefect visits every value in the fields of one."""

    def __init__(self, name: str, items: list[Item]) -> None:
        self.name, self.items = name, items


class Content(CachePolicy):
    """Key = content of the bucket. A bucket whose outputs are not all intact has no key, so it runs."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        """None: run."""
        cache, items = Cache(), inputs["bucket"].items
        if all(cache.intact(item.key) for item in items):
            return digest([task_ctx.task.name, sorted(item.key for item in items)])
        return None


def keyed(stage: str, item: Item, parameters: Any) -> Item:
    """The item with its key: the noun's code, the inputs, the parameters; never the runner or the machine."""
    module = TABLE[stage].noun.split(":")[0]
    return replace(item, key=item_key(module, [stage, item.id, item.inputs], parameters))


def buckets(items: list[Item], n_buckets: int) -> list[Bucket]:
    """Items by hash of their id, so that one added song moves no other; few items get a bucket each."""
    if len(items) <= n_buckets:
        return [Bucket(item.id, [item]) for item in items]
    named: dict[str, list[Item]] = {}
    for item in items:
        named.setdefault(f"{int(digest(item.id)[:8], 16) % n_buckets:03d}", []).append(item)
    return [Bucket(name, named[name]) for name in sorted(named)]


def task(stage: str) -> Task[..., list[dict[str, Any]]]:
    """The Prefect task of a stage's noun; called with `stage` and `bucket`, it gives a list of Done as dicts."""
    return Task(
        run_bucket,
        name=stage,
        task_run_name=stage + " {bucket.name}",
        cache_policy=Content(),
        persist_result=True,
        result_serializer="json",
    )


def run_bucket(stage: str, bucket: Bucket) -> list[dict[str, Any]]:
    """Every item of the bucket from the cache, or computed; each is remembered as soon as it is done."""
    cache = Cache()
    done: dict[str, Done] = {}
    for item in bucket.items:
        record = cache.recall(item.key)
        if record:
            for output in map(Path, item.outputs):  # wholly its own: what another version left there goes
                prune(output, map(Path, record.files))
            done[item.id] = Done(item.id, record.rows, sorted(record.files), cached=True)
    missing = [item for item in bucket.items if item.id not in done]
    for item, (rows, written) in computed(stage, missing):
        record = remembered(cache, item, rows, files_of(TABLE[stage], item, rows), written)
        done[item.id] = Done(item.id, rows, sorted(record.files), cached=False)
    return [vars(done[item.id]) for item in bucket.items]


def remembered(
    cache: Cache, item: Item, rows: list[dict[str, Any]], files: list[Path], written: dict[str, str]
) -> Record:
    """The item's new record, whose files are as the noun left them.

    Raises:
        CacheError: something else removed or altered one since.
    """
    absent = [file for file in files if not file.is_file()]
    if not absent:
        record = cache.remember(item.key, rows, files)
        stamps = {file: written.get(os.path.abspath(file)) for file in files}  # None: not written by `replacing`
        absent = [file for file, told in stamps.items() if told and not (file.is_file() and stamp(file) == told)]
        if not absent:
            return record
    cache.forget(item.key)
    raise disturbed(file.as_posix() for file in absent)


def computed(stage: str, items: list[Item]) -> Iterator[tuple[Item, Answer]]:
    """Items with their rows and what was written, in the process pool where there is one."""
    entry = TABLE[stage]
    if POOL and not entry.in_process:
        futures = [(item, POOL[-1].submit(call, entry.noun, item.arguments)) for item in items]
        for _, future in futures:
            future.add_done_callback(lambda _: ENDED.append(1))
        yield from ((item, result_of(stage, item, future)) for item, future in futures)
    else:
        extra = {"progress": PROGRESS[-1]} if entry.progress else {}
        yield from ((item, call(entry.noun, item.arguments | extra)) for item in items)


def result_of(stage: str, item: Item, future: Future[Answer]) -> Answer:
    """What `call` gave, in time; an item may wait for its turn as long as others of the pool end.

    Raises:
        EmoriffError: no item has ended for longer than one may take, or the item's process died.
    """
    limit = TABLE[stage].timeout_seconds
    while not future.done():
        n_ended = len(ENDED)
        if not wait([future], limit).done and n_ended == len(ENDED):
            raise EmoriffError("an item takes too long", where=f"{stage}, {item.id}", expected=f"{limit:.0f} s")
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise EmoriffError(
            "a worker process died", where=f"{stage}, {item.id}", todo="out of memory? lower compute.workers"
        ) from error


def files_of(entry: Entry, item: Item, rows: list[dict[str, Any]]) -> list[Path]:
    """The files an item made: those that its rows name, and all that is below its own outputs."""
    named = [Path(item.folder) / row[column] for row in rows for column in entry.files if row.get(column)]
    owned = [output / name for output in map(Path, item.outputs) for name in names_below(output)]
    return sorted({*named, *owned, *(Path(output) for output in item.outputs if Path(output).is_file())})


POOL: list[ProcessPoolExecutor] = []
ENDED: list[int] = []  # one for each item of the pool that has ended
PROGRESS: list[Callable[[int, int, str], None]] = [lambda done, total, note: None]


@contextmanager
def process_pool(workers: int) -> Iterator[None]:
    """While it is open, the items of all buckets share one pool of `workers` single-threaded processes."""
    context = multiprocessing.get_context("spawn")  # fork beside Prefect's threads can deadlock
    with ProcessPoolExecutor(workers, mp_context=context, initializer=single_threaded) as pool:
        POOL.append(pool)
        try:
            yield
        except BaseException:
            hanging = multiprocessing.active_children()
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in hanging:  # one that hangs would hold up the error for ever
                worker.kill()
            raise
        finally:
            POOL.pop()
