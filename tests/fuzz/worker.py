"""One process that reads damaged inputs within bounds: `python -m tests.fuzz.worker NAME SEED FIRST COUNT FOLDER`.

The kernel holds the bounds, so that native code is bound too: address space by RLIMIT_AS, the processor time of
one input by SIGPROF, its wall time by SIGALRM. What happened is appended to FOLDER/outcomes.jsonl, a line an input,
so that the parent knows which input a dead worker was at.
"""

import contextlib
import io
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from tasks.core.errors import EmoriffError
from tests.fuzz.readers import Reader, Rejected, damaged, lay, reader

CPU_SECONDS, WALL_SECONDS = 20.0, 180.0  # an input takes milliseconds; the machine may be busy
LONGEST_MESSAGE = 20_000


def outcome_of(one: Reader, files: dict[str, bytes]) -> dict[str, Any]:
    """What became of an input: read, refused, or a finding with its last lines."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        lay(files, Path(name))
        try:
            one.read(Path(name))
        except Rejected as error:
            return refusal(str(error))
        except EmoriffError as error:
            return refusal(str(error))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return {"kind": "crash", "text": "".join(traceback.format_exception(error)[-4:])[-1500:]}
    return {"kind": "read"}


def refusal(message: str) -> dict[str, Any]:
    """A refusal must say something, in a length and in characters that a terminal can take."""
    odd = [character for character in message if not character.isprintable() and character != "\n"]
    if not message.strip() or len(message) > LONGEST_MESSAGE or odd:
        return {
            "kind": "crash",
            "text": f"a message of {len(message)} characters, odd ones {odd[:5]}: {message[:300]!r}",
        }
    return {"kind": "refused", "text": message[:200]}


def high_water() -> int:
    """The most memory that this process ever held (KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def virtual_size() -> int:
    """Address space of this process (bytes)."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def bound(mebibytes: int) -> None:
    """No more address space than what there is now and so much above."""
    resource.setrlimit(resource.RLIMIT_AS, (virtual_size() + mebibytes * 2**20,) * 2)


def main(name: str, run_seed: str, first: str, count: str, folder: str) -> None:
    """Read the inputs FIRST .. FIRST + COUNT - 1."""
    logging.disable(logging.CRITICAL)
    one = reader(name)
    seeds = one.seeds()
    for files in seeds:  # honest inputs must be read; they also bring every library in before memory is bound
        outcome = outcome_of(one, files)
        assert outcome["kind"] == "read", outcome
    bound(one.mebibytes)
    before = high_water()
    with (Path(folder) / "outcomes.jsonl").open("a", buffering=1) as file:
        for number in range(int(first), int(first) + int(count)):
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            outcome = outcome_of(one, damaged(one, seeds, number, int(run_seed)))
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            file.write(json.dumps({"number": number, "grown_mib": (high_water() - before) // 1024, **outcome}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
