"""`python -m tests.faults`: every fault, a table, and status 1 when one of them broke a promise."""

import argparse
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.faults import disks, inputs, network, processes
from tests.faults.kills import Kill, kills
from tests.faults.table import Row, table
from tests.faults.undisturbed import STAGES, World, shared_server, undisturbed

KINDS = ("kills", "processes", "inputs", "disks", "network")


def main() -> int:
    """The exit code: 1 when a row is bad."""
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("kinds", nargs="*", help=f"only these of {', '.join(KINDS)}")
    options.add_argument("--kills", type=int, default=200, help="random kill -9 moments over all stages")
    options.add_argument("--first", type=int, default=0, help="number of the first kill")
    options.add_argument("--seed", type=int, default=1, help="of the moments")
    options.add_argument("--jobs", type=int, default=1, help="kills side by side")
    options.add_argument("--folder", type=Path, help="where to work; an undisturbed run found there is used again")
    given = options.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="emoriff-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # as on Ctrl-C: the server goes, too
    wanted = given.kinds or KINDS
    with shared_server(folder / "prefect") as server:
        world = undisturbed(folder.resolve(), server)
        rows = [told(row) for kind in wanted if kind != "kills" for row in rows_of(kind, world)]
        numbers = range(given.first, given.first + given.kills) if "kills" in wanted else range(0)
        done = kills(world, numbers, given.seed, given.jobs)
    print("\n" + table([*summary(done), *rows]))
    return 0 if all(row.good for row in rows) and all(kill.good for kill in done) else 1


def rows_of(kind: str, world: World) -> Iterator[Row]:
    """The rows of a kind of faults."""
    if kind == "network":
        yield from network.rows()
    else:
        yield from {"processes": processes, "inputs": inputs, "disks": disks}[kind].rows(world)


def told(row: Row) -> Row:
    """The row, printed as soon as it is known."""
    print(" | ".join(row.cells()), flush=True)
    return row


def summary(done: list[Kill]) -> list[Row]:
    """The kills of each stage in one row."""
    count = Counter(kill.stage for kill in done)
    rows = []
    for stage in [name for name in STAGES if count[name]]:
        bad = [kill for kill in done if kill.stage == stage and not kill.good]
        observed = f"{count[stage] - len(bad)} of {count[stage]} resumed with equal bytes, nothing half-written"
        message = "; ".join(f"kill {kill.number}" for kill in bad)
        rows.append(Row(f"kill -9 at random moments: {stage}", "same bytes", observed, message, not bad, not bad))
    return rows


if __name__ == "__main__":
    sys.exit(main())
