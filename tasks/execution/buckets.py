"""A bucket's items from the cache, or computed: **bucket** -> rows and files, remembered one by one.

`in_pool` sends each item to the stage's process pool, `in_process` computes here. Each item is remembered as soon as
it is done, so a run that is killed loses only what was under way.
"""

import inspect
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.core.errors import EmoriffError
from tasks.core.files import names_below
from tasks.core.storage import stamp
from tasks.execution.cache import Cache, Record, disturbed, prune
from tasks.execution.items import Bucket, Done, Item
from tasks.execution.worker import Answer, call, single_threaded

Function = Callable[..., Any]  # called with an item's arguments; gives a row, rows or None
Computed = Iterator[tuple[Item, Answer]]
POOL: list[ProcessPoolExecutor] = []
ENDED: list[int] = []  # one for each item of the pool that has ended
PROGRESS: list[Callable[[int, int, str], None]] = [lambda done, total, note: None]


def in_pool(
    bucket: Bucket, function: Function, *, files: Sequence[str] = (), item_seconds: float = 3600, **shared: Any
) -> list[dict[str, Any]]:
    """Done (as a dict) of every item: `function(**item.arguments, **shared)` in the process pool, where one is open.

    Args:
        files: columns of the rows that name files below the item's folder.
        item_seconds: how long no item of the pool may end before the one waited for counts as hanging.

    Raises:
        EmoriffError: an item took too long, or its process died.
    """
    return _done(bucket, files, lambda items: computed(bucket, function, items, item_seconds, shared))


def in_process(bucket: Bucket, function: Function, **shared: Any) -> list[dict[str, Any]]:
    """As `in_pool`, in this process: for one long item. `function` may take `progress(done, total, note)`."""
    if "progress" in inspect.signature(function).parameters:
        shared["progress"] = PROGRESS[-1]
    return _done(bucket, (), lambda items: ((item, call(function, item.arguments | shared)) for item in items))


def _done(bucket: Bucket, columns: Sequence[str], compute: Callable[[list[Item]], Computed]) -> list[dict[str, Any]]:
    cache = Cache()
    done: dict[str, Done] = {}
    for item in bucket.items:
        record = cache.recall(item.key)
        if record:
            for output in map(Path, item.outputs):  # wholly its own: what another version left there goes
                prune(output, map(Path, record.files))
            done[item.id] = Done(item.id, record.rows, sorted(record.files), cached=True)
    for item, (rows, written) in compute([item for item in bucket.items if item.id not in done]):
        record = remembered(cache, item, rows, files_of(item, rows, columns), written)
        done[item.id] = Done(item.id, rows, sorted(record.files), cached=False)
    return [vars(done[item.id]) for item in bucket.items]


def remembered(
    cache: Cache, item: Item, rows: list[dict[str, Any]], files: list[Path], written: dict[str, str]
) -> Record:
    """The item's new record, whose files are as its function left them.

    Raises:
        CacheError: something else removed or altered one since.
    """
    absent = [file for file in files if not file.is_file()]
    if not absent:
        record = cache.remember(item.key, rows, files)
        stamps = {file: written.get(os.path.abspath(file)) for file in files}  # None: not written by `replacing`
        absent = [file for file, known in stamps.items() if known and not (file.is_file() and stamp(file) == known)]
        if not absent:
            return record
    cache.forget(item.key)
    raise disturbed(file.as_posix() for file in absent)


def computed(
    bucket: Bucket, function: Function, items: Iterable[Item], item_seconds: float, shared: dict[str, Any]
) -> Computed:
    """Items with their rows and what was written, in the process pool where there is one."""
    if not POOL:
        yield from ((item, call(function, item.arguments | shared)) for item in items)
        return
    futures = [(item, POOL[-1].submit(call, function, item.arguments | shared)) for item in items]
    for _, future in futures:
        future.add_done_callback(lambda _: ENDED.append(1))
    yield from ((item, result_of(f"{bucket.name}, {item.id}", future, item_seconds)) for item, future in futures)


def result_of(where: str, future: Future[Answer], item_seconds: float) -> Answer:
    """What `call` gave, in time; an item may wait for its turn as long as others of the pool end.

    Raises:
        EmoriffError: no item has ended for longer than one may take, or the item's process died.
    """
    n_ended, since = len(ENDED), time.monotonic()
    while not wait([future], 1).done:  # short waits, so that a task's own time-out can end it
        if len(ENDED) > n_ended:
            n_ended, since = len(ENDED), time.monotonic()
        elif time.monotonic() - since > item_seconds:
            raise EmoriffError("an item takes too long", where=where, expected=f"{item_seconds:.0f} s")
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise EmoriffError("a worker process died", where=where, todo="out of memory? lower compute.workers") from error


def files_of(item: Item, rows: list[dict[str, Any]], columns: Sequence[str]) -> list[Path]:
    """The files an item made: those that its rows name, and all that is below its own outputs."""
    named = [Path(item.folder) / row[column] for row in rows for column in columns if row.get(column)]
    owned = [output / name for output in map(Path, item.outputs) for name in names_below(output)]
    return sorted({*named, *owned, *(Path(output) for output in item.outputs if Path(output).is_file())})


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
