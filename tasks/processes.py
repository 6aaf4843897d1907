"""One process or several, on CPU or GPUs, through accelerate: experiment -> **accelerator** -> training."""

import os
import socket
from typing import Any

from tasks.errors import EmoriffError, TrainingError
from tasks.experiments import ExperimentParams

POLL_SECONDS = 0.2


def accelerator(params: ExperimentParams) -> tuple[Any, list[str]]:
    """The accelerator of a run and notes on what had to be done otherwise than asked."""
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    on_cpu = params.device == "cpu" or not torch.accelerator.is_available()
    precision = {"none": "no"}.get(params.precision, params.precision)
    notes = []
    if precision == "fp16" and on_cpu:
        precision = "no"
        notes.append("precision none (fp16 cannot be trained on a CPU)")
    AcceleratorState._reset_state(reset_partial_state=True)  # an earlier run of this process may differ
    GradientState._reset_state()
    return Accelerator(mixed_precision=precision, cpu=on_cpu), notes


def mean(accelerator: Any, value: float) -> float:
    """The mean of a number over all processes."""
    if accelerator.num_processes == 1:
        return value
    import torch

    return float(accelerator.reduce(torch.tensor(value, device=accelerator.device), reduction="mean"))


def inside() -> bool:
    """Is this one of several processes already (torchrun, accelerate launch, or `spread`)?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def spread(function: Any, arguments: tuple[Any, ...], n_processes: int, progress: Any) -> dict[str, Any]:
    """`function(*arguments, progress)` in so many processes at once, one for each GPU; the first one's result.

    Raises:
        TrainingError: one of them failed; the others are ended.
    """
    import torch.multiprocessing as multiprocessing
    from torch.multiprocessing.spawn import ProcessException

    news = multiprocessing.get_context("spawn").SimpleQueue()
    context = multiprocessing.start_processes(
        _process, (function, arguments, n_processes, free_port(), news), n_processes, join=False, start_method="spawn"
    )
    heard: dict[str, Any] = {}
    try:
        ended = False
        while not ended:
            ended = context.join(timeout=POLL_SECONDS)
            listen(news, heard, progress)
    except ProcessException as error:
        listen(news, heard, progress)
        raise TrainingError(
            f"one of {n_processes} processes failed",
            got=heard.get("error", str(error).strip().splitlines()[-1]),
            todo="the last checkpoint is kept: mend the cause and run again",
        ) from error
    return heard["row"]


def listen(news: Any, heard: dict[str, Any], progress: Any) -> None:
    """Take what the processes have sent: progress is passed on, the row and the first error are kept in `heard`."""
    while not news.empty():
        kind, content = news.get()
        if kind != "progress":
            heard.setdefault(kind, content)
        elif progress:
            progress(*content)


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _process(rank: int, function: Any, arguments: tuple[Any, ...], n_processes: int, port: int, news: Any) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(n_processes),
        "LOCAL_WORLD_SIZE": str(n_processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    tell = (lambda *content: news.put(("progress", content))) if rank == 0 else None
    try:
        row = function(*arguments, tell)
    except EmoriffError as error:
        news.put(("error", str(error)))
        raise
    if rank == 0:
        news.put(("row", row))
