"""`emoriff why` in words: **statuses** -> lines for a person, or JSON for a program."""

import json
from dataclasses import asdict
from pathlib import Path

from tasks.why.changes import listed
from tasks.why.status import Reason, StageStatus, why

SHOWN_LINES = 4  # of a reason, without --stage


def explain(root: Path, stage: str | None, as_json: bool) -> str:
    """What `emoriff why` prints: the stages that would run, each with its causes."""
    statuses = why(root, stage)
    if as_json:
        values = [asdict(one) | {"songs": one.songs, "computes": one.computes} for one in statuses]
        return json.dumps(values, indent=1)
    lines = [summary(statuses)]
    for one in (one for one in statuses if one.computes):
        lines += ["", f"{one.stage}{work(one)}"]
        for reason in (reason for reason in one.reasons if reason.computes):
            lines += reason_lines(reason, None if stage else SHOWN_LINES)
    idle = [one for one in statuses if one.runs and not one.computes]
    if idle:
        lines += ["", f"from the cache, since nothing here decides a result: {', '.join(one.stage for one in idle)}"]
        for reason in dict.fromkeys(reason for one in idle for reason in one.reasons if reason.kind != "before"):
            lines += reason_lines(reason, None if stage else SHOWN_LINES)
    return "\n".join(lines)


def summary(statuses: list[StageStatus]) -> str:
    """One line: how many stages would run, of themselves and as a consequence, and how many compute nothing."""
    certain = sum(one.certain and one.computes for one in statuses)
    following = sum(one.runs and not one.certain and one.computes for one in statuses)
    idle = sum(one.runs and not one.computes for one in statuses)
    if not certain and not following:
        if idle:
            return f"Nothing would be computed: {idle} of {len(statuses)} stages find all they need in the cache."
        return f"Nothing would run: {len(statuses)} of {len(statuses)} stages are up to date."
    text = f"{certain} of {len(statuses)} stages would run"
    text += f", {following} more if those change what they make" if following else ""
    return text + (f"; {idle} find all they need in the cache." if idle else ".")


def work(one: StageStatus) -> str:
    """How much of a stage's work there is."""
    if one.n_songs is None:
        return ""
    return f": all {one.n_songs} songs" if one.songs is None else f": {listed(one.songs)} of {one.n_songs}"


def reason_lines(reason: Reason, shown: int | None) -> list[str]:
    """A reason in words, with at most `shown` details."""
    words = {
        "new": "",
        "command": "the command changed: ",
        "parameter": "parameter ",
        "code": "code ",
        "data": "input ",
        "output": "output ",
        "always": "",
        "before": "because of ",
    }
    head = f"  {words[reason.kind]}{reason.what}"
    if not reason.lines:
        return [head]
    if len(reason.lines) == 1:
        return [f"{head}: {reason.lines[0]}"]
    details = reason.lines[:shown]
    more = len(reason.lines) - len(details)
    return [head, *(f"    {line}" for line in details), *([f"    and {more} more (--stage shows all)"] if more else [])]
