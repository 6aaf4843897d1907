"""The same bits again: seeded generators, pinned threads, deterministic algorithms.

On one machine equal parameters give equal bits on a CPU. They change with the number of threads, the CPU's
instruction set and the optimizer, which is why threads and optimizer are parameters. On a GPU, and between
machines, results agree within a tolerance only: some CUDA kernels add in no fixed order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.core.files import seed_from


def generator(*parts: object) -> Any:
    """A torch generator on the CPU, seeded by what it is for: (seed, purpose, step or file, ...)."""
    import torch

    return torch.Generator().manual_seed(seed_from(*parts))


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Exactly so many CPU threads and deterministic kernels inside the block, the old settings after it."""
    import torch

    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)


@contextmanager
def drawn_from(*parts: object) -> Iterator[None]:
    """Fresh weights inside the block are drawn from this seed; torch's global generator is put back after."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from(*parts))
        yield
