"""Every run that left a trace: dvc.lock, its git history, recorded runs -> **steps** -> lineage.

A step is one stage with the hashes of what went in and came out. The three sources overlap; a clone without
.emoriff still has the first two, and a run that was never committed is in the third.
"""

import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.files import digest
from tasks.lineage import pipeline, records
from tasks.lineage.machine import git
from tasks.lineage.pipeline import Locked
from tasks.lineage.record import Run

SECTION = re.compile(r"\n(?=    [a-z]+:)")  # of a stage in dvc.lock


@dataclass(frozen=True)
class Step:
    """One run of one stage; paths relative to the repository, MD5s as DVC has them."""

    stage: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    code: dict[str, str]
    parameters: dict[str, Any]
    evidence: str  # "dvc.lock", "git history" or "run record"
    commit: str | None = None  # that holds this dvc.lock, or that was checked out
    when: str | None = None  # of that commit, or of the run's end
    run: Run | None = None

    @cached_property
    def identity(self) -> str:
        """Equal for the same stage with the same inputs, code, parameters and outputs."""
        return digest([self.stage, self.inputs, self.outputs, self.code, self.parameters])


def steps(root: Path, deep: bool = True) -> list[Step]:
    """All steps known here, each once, with its run's record where there is one; newest evidence first.

    `deep` false leaves out what only git's history has: that is enough when all hashes of now fit together.
    """
    recorded = records.read(root)
    origins = committed(root)
    known = [step for part in parts(lock_text(root)) for step in from_part(part, "dvc.lock", origins.get(part))]
    for part, origin in origins.items() if deep else ():
        with suppress(InputError):  # a commit of a broken dvc.lock hides no other commit
            known += from_part(part, "git history", origin)
    known += map(from_run, reversed(recorded))
    found: dict[str, Step] = {}
    for step in known:
        found.setdefault(step.identity, step)
    made_by = first_by_outputs(recorded)
    return [with_run(step, made_by) for step in found.values()]


def lock_text(root: Path) -> str:
    """dvc.lock of the working tree; "" where there is none."""
    path = root / "dvc.lock"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def committed(root: Path) -> dict[str, tuple[str, str]]:
    """Every stage's text in any dvc.lock that git remembers, newest first -> oldest commit with it, its date.

    All branches and experiments count.
    """
    log = git(root, "log", "--all", "--format=%H %cI", "--", "dvc.lock") or ""
    commits = [line.split() for line in log.splitlines()]
    texts = contents(root, [f"{commit}:./dvc.lock" for commit, _ in commits])
    return {
        part: (commit, when)
        for (commit, when), text in zip(commits, texts, strict=True)
        for part in parts((text or b"").decode("utf-8", "replace"))
    }


def parts(lock: str) -> list[str]:
    """The text of each stage in a dvc.lock, so that a stage is parsed once, however many versions hold it."""
    body = lock.partition("\nstages:\n")[2].rstrip("\n")
    return re.split(r"\n(?=  \S)", body) if body else []


def from_part(part: str, evidence: str, origin: tuple[str, str] | None) -> list[Step]:
    """The step of a stage's text."""
    locked = pipeline.parse_lock({"stages": stage_of(part)})
    return [from_lock(stage, evidence, *(origin or (None, None))) for stage in locked.values()]


def stage_of(part: str) -> dict[str, Any]:
    """The mapping in a stage's text; a section is parsed once, however many versions share it."""
    head, *sections = SECTION.split(part)
    if not sections or not head.endswith(":"):
        return parsed(part)
    entry = {key: value for section in sections for key, value in parsed(section).items()}
    return dict.fromkeys(parsed(head), entry)


@lru_cache(maxsize=4096)
def parsed(text: str) -> dict[str, Any]:
    """A piece of dvc.lock; not to be altered."""
    return pipeline.parse_yaml(text, "dvc.lock")


def contents(root: Path, names: list[str]) -> list[bytes | None]:
    """The bytes of git objects (`commit:./path`) in one call; None for those that do not exist."""
    if not names:
        return []
    asked = "".join(f"{name}\n" for name in names).encode()
    command = ["git", "-C", str(root), "cat-file", "--batch"]
    answer = subprocess.run(command, input=asked, capture_output=True, check=False).stdout
    found: list[bytes | None] = []
    position = 0
    for _ in names:
        end = answer.find(b"\n", position)
        head = answer[position:end].split()
        if len(head) != 3 or not head[2].isdigit():  # "NAME missing"
            found.append(None)
            position = end + 1
            continue
        size = int(head[2])
        found.append(answer[end + 1 : end + 1 + size])
        position = end + 1 + size + 1
    return found


def from_lock(stage: Locked, evidence: str, commit: str | None = None, when: str | None = None) -> Step:
    """A stage of dvc.lock as a step."""
    code = {path: md5 for path, md5 in stage.deps.items() if pipeline.is_code(path)}
    inputs = {path: md5 for path, md5 in stage.deps.items() if path not in code}
    return Step(stage.name, inputs, stage.outs, code, stage.parameters, evidence, commit, when)


def from_run(run: Run) -> Step:
    """A recorded run as a step."""
    return Step(
        run.stage, run.inputs, run.outputs, run.code, run.parameters, "run record", run.git.commit, run.ended, run
    )


def first_by_outputs(recorded: list[Run]) -> dict[str, Run]:
    """For each stage and outputs the first run that made them: later ones only found them made."""
    made: dict[str, Run] = {}
    for run in recorded:
        if run.status == "complete":
            made.setdefault(digest([run.stage, run.outputs]), run)
    return made


def with_run(step: Step, made_by: dict[str, Run]) -> Step:
    """The step with the record of the run that made its outputs."""
    run = made_by.get(digest([step.stage, step.outputs]), step.run)
    return replace(step, run=run)
