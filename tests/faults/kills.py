"""kill -9 at random moments, resume, compare: the promise that a killed run costs time and never bytes."""

import os
import random
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import psutil

from tests.faults.undisturbed import Running, Stage, World, artifacts, locked, repro

VICTIMS = ("all", "all", "all", "stage", "dvc", "emoriff")  # whose process is killed; the rest has to cope
WHILE_STARTING = 0.15  # share of the kills at any moment of the command; the others while the stage works


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it."""

    number: int
    stage: str
    victim: str
    moment: str
    broken: list[str]  # files under a final name, after the kill, that are neither the old nor the new bytes
    code: int  # of the resumed run
    different: list[str]  # artifacts that differ from the undisturbed run's after resuming
    message: str

    @property
    def good(self) -> bool:
        return not self.broken and self.code == 0 and not self.different

    def line(self) -> str:
        verdict = "equal" if self.good else f"BAD broken={self.broken[:3]} different={self.different[:3]}"
        return f"kill {self.number:3d}  {self.stage:14s} {self.victim:8s} {self.moment:26s} {verdict}  {self.message}"


def kills(world: World, numbers: range, seed: int, jobs: int) -> list[Kill]:
    """Kills over the stages in turn, drawn by `seed` and number, so that kill 17 is the same kill again."""
    names = list(world.stages)
    folders: SimpleQueue[Path] = SimpleQueue()
    for job in range(jobs):
        folders.put(world.folder / f"work-{job}")

    def one(number: int) -> Kill:
        folder = folders.get()
        try:
            kill = killed(world, number, world.stages[names[number % len(names)]], f"{seed} {number}", folder)
            print(kill.line(), flush=True)
            return kill
        finally:
            folders.put(folder)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, numbers))


def killed(world: World, number: int, stage: Stage, seed: str, folder: Path) -> Kill:
    """The stage killed once and resumed; a kill that comes after the end is drawn again, earlier."""
    draw, latest = random.Random(seed), 1.0
    while True:
        repository = stage.restored(folder)
        old = artifacts(repository)
        run = repro(repository, stage.name, world.server)
        victim, moment = draw.choice(VICTIMS), wait(run, stage, draw, latest)
        if kill(run, stage.name, victim):
            break
        run.ended()
        latest /= 2
    broken = [] if victim != "all" else half_written(artifacts(repository), old, stage.after)
    again = repro(repository, stage.name, world.server)
    code = again.ended()
    different = differences(repository, stage)
    return Kill(number, stage.name, victim, moment, broken, code, different, again.said()[-1500:] if code else "")


def wait(run: Running, stage: Stage, draw: random.Random, latest: float) -> str:
    """Let the run go until a random moment; the moment in words."""
    if draw.random() < WHILE_STARTING:
        seconds, since = draw.uniform(0, stage.seconds * latest), "the command"
        began = run.began
    else:
        run.until(lambda: locked(run.repository, stage.name))
        seconds, since = draw.uniform(0, (stage.seconds - stage.starting_seconds) * latest), "the lock"
        began = time.monotonic()
    while time.monotonic() < began + seconds and run.process.poll() is None:
        time.sleep(0.005)
    return f"{seconds:.2f} s after {since}"


def kill(run: Running, stage: str, victim: str) -> bool:
    """kill -9; false when there is nothing left to kill."""
    if victim == "all":
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
    else:
        process = victim_process(run, stage, victim)
        if process is None:
            return False
        process.kill()
    return run.ended() != 0


def victim_process(run: Running, stage: str, victim: str) -> psutil.Process | None:
    """The process of the run that is `emoriff repro`, `dvc repro` or the stage."""
    words = {"emoriff": ["flows", "repro"], "dvc": ["dvc", "repro"]}
    flow = stage.replace("generate_base", "generate@base").split("@")[0]
    wanted = ["-m", *words.get(victim, ["flows", flow])]
    for process in run.group():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if any(command[place : place + 3] == wanted for place in range(len(command))):
            return process
    return None


def half_written(now: dict[str, str], old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Files under a final name that are neither what was there before nor what the undisturbed run leaves."""
    return [
        name
        for name, value in now.items()
        if ".part-" not in name and value not in (old.get(name), new.get(name)) and not name.endswith(".gitignore")
    ]


def differences(repository: Path, stage: Stage) -> list[str]:
    """Artifacts that are missing, too many or other than the undisturbed run's; a broken cache is one, too."""
    now = artifacts(repository)
    names = [name for name in sorted(now.keys() | stage.after.keys()) if now.get(name) != stage.after.get(name)]
    with sqlite3.connect(repository / ".emoriff/cache.sqlite") as database:
        sound = database.execute("pragma integrity_check").fetchone()[0] == "ok"
    return names if sound else [*names, "cache.sqlite"]
