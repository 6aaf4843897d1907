"""One process or several, on CPU or GPUs, through accelerate: experiment -> **accelerator** -> training."""

import os
import socket
import tempfile
from datetime import timedelta
from typing import Any

from tasks.core.errors import EmoriffError, ParameterError, TrainingError
from tasks.trainer.params import ExperimentParams

POLL_SECONDS = 0.2
RENDEZVOUS = "EMORIFF_MEETING"  # variable: the file where processes of one machine find each other
PATIENCE = timedelta(hours=12)  # by all others, while the first draws prior images and encodes latents


def accelerator(params: ExperimentParams) -> tuple[Any, list[str]]:
    """The accelerator of a run and notes on what had to be done otherwise than asked.

    Raises:
        ParameterError: more processes than GPUs, or started with another number than the parameters say.
    """
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState, GradientState

    on_cpu = params.device == "cpu" or not torch.accelerator.is_available()
    if not on_cpu:
        refuse_number(params.processes, torch.accelerator.device_count() >= params.processes, "one GPU for each")
    precision = {"none": "no"}.get(params.precision, params.precision)
    notes = []
    if precision == "fp16" and on_cpu:
        precision = "no"
        notes.append("precision none (fp16 cannot be trained on a CPU)")
    AcceleratorState._reset_state(reset_partial_state=True)  # an earlier run of this process may differ
    GradientState._reset_state()
    patience = InitProcessGroupKwargs(timeout=PATIENCE, init_method=rendezvous(on_cpu))
    made = Accelerator(mixed_precision=precision, cpu=on_cpu, kwargs_handlers=[patience])
    refuse_number(params.processes, made.num_processes == params.processes, f"{made.num_processes}, as were started")
    return made, notes


def rendezvous(on_cpu: bool) -> str | None:
    """Where the processes of `spread` find each other: a file, because torch's usual server listens on all networks.

    accelerate hands on rank and number itself on CPUs only. None (torchrun, accelerate): as the environment says.
    """
    file = os.environ.get(RENDEZVOUS)
    if file is None:
        return None
    who = "" if on_cpu else f"?rank={os.environ['RANK']}&world_size={os.environ['WORLD_SIZE']}"
    return f"file://{file}{who}"


def refuse_number(processes: int, fits: bool, expected: str) -> None:
    """Raise unless so many processes can train together."""
    if not fits:
        raise ParameterError(
            "the number of processes does not fit", where="train: processes", expected=expected, got=processes
        )


def mean(accelerator: Any, value: float) -> float:
    """The mean of a number over all processes."""
    if accelerator.num_processes == 1:
        return value
    import torch

    return float(accelerator.reduce(torch.tensor(value, device=accelerator.device), reduction="mean"))


def inside() -> bool:
    """Is this one of several processes already (torchrun, accelerate launch, or `spread`)?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def launch(function: Any, arguments: tuple[Any, ...], n_processes: int, progress: Any) -> dict[str, Any]:
    """`function(*arguments, progress)` in so many processes at once, one for each GPU; the first one's result.

    Raises:
        TrainingError: one of them failed; the others are ended.
    """
    import torch.multiprocessing as multiprocessing

    messages = multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        job = (function, arguments, n_processes, f"{folder}/meeting", messages)
        context = multiprocessing.start_processes(_process, job, n_processes, join=False, start_method="spawn")
        return _monitor(context, messages, n_processes, progress)


def _monitor(context: Any, messages: Any, n_processes: int, progress: Any) -> dict[str, Any]:
    from torch.multiprocessing.spawn import ProcessException

    received: dict[str, Any] = {}
    try:
        ended = False
        while not ended:
            ended = context.join(timeout=POLL_SECONDS)
            receive(messages, received, progress)
    except ProcessException as error:
        receive(messages, received, progress)
        raise TrainingError(
            f"one of {n_processes} processes failed",
            got=received.get("error", str(error).strip().splitlines()[-1]),
            todo="the last checkpoint is there: fix the cause and run again",
        ) from error
    return received["row"]


def receive(messages: Any, received: dict[str, Any], progress: Any) -> None:
    """Take the messages of the processes: progress is passed on, the row and the first error go into `received`."""
    while not messages.empty():
        kind, content = messages.get()
        if kind != "progress":
            received.setdefault(kind, content)
        elif progress:
            progress(*content)


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _process(rank: int, function: Any, arguments: tuple[Any, ...], n_processes: int, file: str, messages: Any) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(n_processes),
        "LOCAL_WORLD_SIZE": str(n_processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),  # asked for by accelerate, and not used
        RENDEZVOUS: file,
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
    }
    send = (lambda *content: messages.put(("progress", content))) if rank == 0 else None
    try:
        row = function(*arguments, send)
    except EmoriffError as error:
        messages.put(("error", str(error)))
        raise
    if rank == 0:
        messages.put(("row", row))
