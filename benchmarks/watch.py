"""What processes use: everything below this one, sampled -> **processor time by role, peaks** -> load."""

import re
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

INTERVAL_SECONDS, PSS_EVERY = 0.5, 6
STAGES = ("download", "convert", "segment", "label", "spectrogram", "dataset")


@dataclass
class Seen:
    """What one process used, as of the last look."""

    role: str
    own: float  # CPU seconds
    children: float  # CPU seconds of its children that have ended


@dataclass
class Watch:
    """Processor time by role, and peaks, of all that descends from this process."""

    seen: dict[int, Seen] = field(default_factory=dict)
    peak_rss: int = 0
    peak_pss: int = 0
    peak_files: int = 0
    peak_files_of_one: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    def look(self, with_pss: bool) -> None:
        """One sample."""
        rss, pss, files = 0, 0, [0]
        for process in psutil.Process().children(recursive=True):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    rss += process.memory_info().rss
                    files.append(process.num_fds())
                    pss += process.memory_full_info().pss if with_pss else 0
                    role = role_of(process.cmdline())
            except psutil.Error:
                continue
            own, children = times.user + times.system, times.children_user + times.children_system
            self.seen[process.pid] = Seen(role, own, children)
        self.peak_rss, self.peak_pss = max(self.peak_rss, rss), max(self.peak_pss, pss)
        self.peak_files = max(self.peak_files, sum(files))
        self.peak_files_of_one = max(self.peak_files_of_one, *files)

    def own(self, role: str) -> float:
        """CPU seconds of the processes of a role."""
        return sum(one.own for one in self.seen.values() if one.role == role)

    @property
    def workers(self) -> float:
        """CPU seconds of the process pools: what the stages' processes say of their ended children."""
        return sum(one.children for one in self.seen.values() if one.role == "stage")


def role_of(words: list[str]) -> str:
    """What a process is there for."""
    if {"flows.engine.server", "server"} & set(words) or any("uvicorn" in word for word in words):
        return "server"
    if "dvc" in words:
        return "dvc"
    if "-c" in words and any("multiprocessing" in word for word in words):
        return "worker"
    return "stage" if set(words) & set(STAGES) and "repro" not in words and words[0] != "/bin/sh" else "other"


@contextmanager
def watched() -> Iterator[Watch]:
    """A Watch of what the block starts; complete when the block has ended."""
    watch, ended = Watch(), threading.Event()

    def looking() -> None:
        count = 0
        while not ended.wait(INTERVAL_SECONDS):
            watch.look(with_pss=count % PSS_EVERY == 0)
            count += 1

    thread = threading.Thread(target=looking, daemon=True)
    before, started = children_cpu(), time.perf_counter()
    thread.start()
    try:
        yield watch
    finally:
        watch.wall = time.perf_counter() - started
        ended.set()
        thread.join()
        watch.cpu = children_cpu() - before + watch.own("server")  # the server outlives its parent


def children_cpu() -> float:
    """CPU seconds of all ended and awaited descendants."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_memory() -> int:
    """Highest resident bytes of this process; `ru_maxrss` would also know its parent's, from before the start."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def cpu_ms(work: Callable[[], object], runs: int) -> float:
    """CPU milliseconds of this process in the fastest run, after one that loads what is needed."""
    work()
    times = []
    for _ in range(runs):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return 1000 * min(times)


def least(command: Callable[[], object], runs: int = 2) -> list[float]:
    """Wall and CPU seconds of a command, the run with the least CPU of several."""
    return list(min((timed(command) for _ in range(runs)), key=lambda wall_and_cpu: wall_and_cpu[1]))


def timed(command: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a command, its server included."""
    with watched() as watch:
        command()
    return watch.wall, watch.cpu
