"""What the terminal shows while a stage runs: a bar with counts and time left, or plain lines."""

import sys
import time

from tqdm import tqdm


class Progress:
    """Call it with (done, total, note). A bar on a terminal; elsewhere a line at most every `seconds`."""

    def __init__(self, stage: str, seconds: float = 15.0) -> None:
        self.stage, self.seconds = stage, seconds
        self.started = self.last = time.monotonic()
        self.bar: tqdm | None = None

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        if sys.stderr.isatty():
            self._bar(done, total, note)
        elif time.monotonic() - self.last >= self.seconds or (done == total and done):
            self.last = time.monotonic()
            print(
                f"{self.stage}: {done} of {total or '?'} {note} {self._left(done, total)}".rstrip(),
                flush=True,
            )

    def _bar(self, done: int, total: int | None, note: str) -> None:
        if self.bar is None or self.bar.total != total:
            self.close()
            self.bar = tqdm(total=total, desc=self.stage, dynamic_ncols=True, leave=False)
        self.bar.n = done
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.refresh()

    def _left(self, done: int, total: int | None) -> str:
        if not done or not total or done >= total:
            return ""
        return f"({(time.monotonic() - self.started) / done * (total - done):.0f} s left)"

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
