"""What is shown while a stage runs: a bar or plain lines on the terminal, a progress artifact in Prefect's UI."""

import sys
import time
from typing import Any

import httpx
from tqdm import tqdm

from tasks.core.files import slug


def in_a_run() -> bool:
    """Whether this is inside of a Prefect flow or task: tools for people work without."""
    context = sys.modules.get("prefect.context")
    return bool(context and (context.FlowRunContext.get() or context.TaskRunContext.get()))


class Progress:
    """Call it with (done, total, note). A bar on a terminal; elsewhere a line at most every `seconds`.

    Work that takes longer than `seconds` is shown in Prefect's UI too.
    """

    def __init__(self, stage: str, seconds: float = 15.0) -> None:
        self.stage, self.seconds = stage, seconds
        self.started = self.last = self.sent = time.monotonic()
        self.first: tuple[int, float] | None = None  # done at the first call, and when: more than 0 in resumed work
        self.bar: tqdm | None = None
        self.artifact: Any = None

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        self.first = self.first or (done, time.monotonic())
        ended = bool(done) and done == total
        line = f"{self.stage}: {done} of {total or '?'} {note} {self._left(done, total)}".rstrip()
        if total and (time.monotonic() - self.sent >= self.seconds or (ended and self.artifact)) and in_a_run():
            self.sent = time.monotonic()
            self._artifact(100 * done / total, line)
        if sys.stderr.isatty():
            self._bar(done, total, note)
        elif time.monotonic() - self.last >= self.seconds or ended:
            self.last = time.monotonic()
            print(line, flush=True)

    def _artifact(self, percent: float, line: str) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        try:
            if self.artifact is None:
                self.artifact = create_progress_artifact(percent, key=f"progress-{slug(self.stage)}", description=line)
            else:
                update_progress_artifact(self.artifact, percent, description=line)
        except httpx.HTTPError:
            return  # a picture of the work must not stop it

    def _bar(self, done: int, total: int | None, note: str) -> None:
        if self.bar is None or self.bar.total != total:
            self.close()
            self.bar = tqdm(total=total, desc=self.stage, dynamic_ncols=True, leave=False)
            self.bar.start_t -= time.monotonic() - self.started  # the first item took its time before there was a bar
        self.bar.n = done
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.refresh()

    def _left(self, done: int, total: int | None) -> str:
        if self.first is None or not total or not self.first[0] < done < total:
            return ""
        known, since = self.first
        return f"({(time.monotonic() - since) / (done - known) * (total - done):.0f} s left)"

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
