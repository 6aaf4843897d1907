"""Two runs at once, a worker process killed, Prefect's server killed, a clock that jumps."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.faults.kills import differences
from tests.faults.table import Row, message_of, skipped
from tests.faults.undisturbed import Running, World, locked, repro

CLOCK = "a clock that jumps 400 days back, then 800 forward"
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


def rows(world: World) -> Iterator[Row]:
    """One row a fault."""
    yield two_runs(world)
    yield two_stages(world)
    yield worker_killed(world)
    yield server_killed(world, "convert", "data/wav/[0-9]*.wav")
    yield server_killed(world, "train@ours", ".emoriff/work/ours/*/*")
    yield clock_jumps(world)


def two_runs(world: World) -> Row:
    """`emoriff repro` twice: the second waits and says for whom."""
    stage = world.stages["convert"]
    repository = stage.restored(world.folder / "work")
    first = repro(repository, "convert", world.server)
    first.until(lambda: locked(repository, "convert"))
    second = repro(repository, "convert", world.server)
    codes = first.ended(), second.ended()
    equal = not differences(repository, stage)
    told = "waiting for another run: process" in second.said()
    return Row(
        "two runs at once (emoriff repro)", "the second waits and says so", f"status {codes}",
        message_of(second.said()), equal, equal and told and codes == (0, 0),
    )  # fmt: skip


def two_stages(world: World) -> Row:
    """A stage's command beside a run: two writers of the same files wait for each other."""
    stage = world.stages["convert"]
    repository = stage.restored(world.folder / "work")
    first = repro(repository, "convert", world.server)
    first.until(lambda: locked(repository, "convert"))
    second = flow(repository, "convert", world.server)
    codes = first.ended(), second.ended()
    equal = not differences(repository, stage)
    told = "waiting for another run: process" in second.said()
    return Row(
        "two runs at once (emoriff convert beside repro)", "the second waits and says so", f"status {codes}",
        message_of(second.said()), equal, equal and told and codes == (0, 0),
    )  # fmt: skip


def flow(repository: Path, name: str, server: str) -> Running:
    """A stage's own command, started."""
    return Running(repository, [sys.executable, "-m", "flows", name], {"PREFECT_API_URL": server})


def worker_killed(world: World) -> Row:
    """kill -9 of one process of the pool, as the kernel does when memory runs out."""
    stage = world.stages["convert"]
    repository = stage.restored(world.folder / "work")
    run = repro(repository, "convert", world.server)
    run.until(lambda: list((repository / "data/wav").glob("[0-9]*.wav")))
    for worker in workers(run):
        worker.kill()
        break
    code, said = run.ended(), run.said()
    again = repro(repository, "convert", world.server)
    equal = again.ended() == 0 and not differences(repository, stage)
    told = "a worker process died" in said and "Traceback" not in said
    return Row(
        "a worker process of the pool killed", "stops with a message", f"status {code}", message_of(said), equal,
        equal and told and code != 0,
    )  # fmt: skip


def workers(run: Running) -> list[psutil.Process]:
    """The processes of the stage's pool."""
    return [process for process in run.group() if any("spawn_main" in word for word in process.cmdline())]


def server_killed(world: World, name: str, works: str) -> Row:
    """The run's own Prefect server killed while the stage works, as files like `works` show."""
    stage = world.stages[name]
    repository = stage.restored(world.folder / "work")
    run = repro(repository, name, None)
    run.until(lambda: list(repository.glob(works)))
    killed = servers(repository)
    for process in killed:
        process.kill()
    code, said = run.ended(), run.said()
    again = repro(repository, name, world.server)
    equal = again.ended() == 0 and not differences(repository, stage)
    observed = "goes on" if code == 0 else f"status {code}"
    good = equal and bool(killed) and "Traceback" not in said and (code == 0 or "what to do:" in said)
    return Row(
        f"Prefect's server killed: {name}", "goes on, or stops with a message", observed, message_of(said), equal, good
    )


def servers(repository: Path) -> list[psutil.Process]:
    """The processes of the Prefect server that the repository's runs started."""
    found = []
    for process in psutil.process_iter():
        try:
            command, folder = process.cmdline(), process.cwd()
        except psutil.Error:
            continue
        if {"flows.engine.server", "prefect"} & set(command) and Path(folder) == repository:
            found.append(process)
    return found


def clock_jumps(world: World) -> Row:
    """libfaketime turns the clock back and forth under the stage; time that only runs forward is left alone."""
    library = libfaketime()
    if library is None:
        return skipped(
            CLOCK, "libfaketime is not installed (Debian: apt-get install faketime), nor named by LIBFAKETIME"
        )
    stage = world.stages["convert"]
    repository = stage.restored(world.folder / "work")
    file = world.folder / "clock.txt"
    file.write_text("+0\n")
    variables = {
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip
    run = repro(repository, "convert", world.server, **variables)
    wav = repository / "data/wav"
    for count, offset in ((1, "-400d\n"), (10, "+400d\n")):
        run.until(lambda count=count: len(list(wav.glob("[0-9]*.wav"))) >= count)
        file.write_text(offset)
    code = run.ended()
    equal = code == 0 and not differences(repository, stage)
    return Row(CLOCK, "status 0", f"status {code}", message_of(run.said()), equal, equal)


def libfaketime() -> str | None:
    """The library that fakes the clock, where the machine has it."""
    named = os.environ.get("LIBFAKETIME")
    found = [str(path) for pattern in LIBRARIES for path in sorted(Path("/").glob(pattern[1:]))]
    return named or next(iter(found), None)
