"""What runs in the processes of the pool: a task function and its arguments -> **rows**."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from tasks.core.storage import WRITTEN

Answer = tuple[list[dict[str, Any]], dict[str, str]]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def call(function: Callable[..., Any], arguments: dict[str, Any]) -> Answer:
    """The function's rows (a single row becomes a list of one, None an empty list), and the stamps of what it wrote."""
    WRITTEN.clear()
    rows = function(**arguments)
    if rows is None:
        return [], dict(WRITTEN)
    return [rows] if isinstance(rows, dict) else list(rows), dict(WRITTEN)


def single_threaded() -> None:
    """One thread a process: processes side by side are faster than threads, and bits do not change."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()


def end_with_parent(parent: int) -> None:
    """End this process when its parent was killed: it would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
