"""What would run and because of what, before it runs: dvc.yaml + dvc.lock + files -> **why** -> a person.

DVC itself says whether a stage is up to date, so the answer is what `dvc repro` does; this module names the
cause: the parameter with its old and new value, the source line, the file, the song.
"""

import json
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError, LockError
from tasks.core.layout import BY_SONG, WAV_MANIFEST
from tasks.core.params_base import is_default
from tasks.execution import closure
from tasks.lineage import code, pipeline, song_facts
from tasks.lineage.dvc_dirs import sources_now
from tasks.lineage.history import Step, steps
from tasks.lineage.pipeline import Locked, Stage
from tasks.lineage.upstream import covers
from tasks.settings import Params
from tasks.why import changes
from tasks.why.changes import Changes


@dataclass(frozen=True)
class Reason:
    """One cause."""

    kind: str  # new, command, parameter, code, data, output, always, before
    what: str  # the key, the file, the stage
    lines: tuple[str, ...] = ()
    songs: tuple[int, ...] = ()
    all_songs: bool = False  # touches every song, or it is unknown which
    computes: bool = True  # false: the stage runs, and finds all it made in its cache


@dataclass(frozen=True)
class StageStatus:
    """Whether a stage would run, and why. `certain`: it computes of itself, whatever stages before it make.

    A stage that would run and not compute looks through its cache: what changed decides no byte of its result.
    """

    stage: str
    runs: bool
    certain: bool
    reasons: tuple[Reason, ...]
    n_songs: int | None  # that the stage works on, one by one; None: it works as a whole

    @property
    def computes(self) -> bool:
        """Whether anything would be computed."""
        return any(reason.computes for reason in self.reasons)

    @property
    def songs(self) -> tuple[int, ...] | None:
        """The songs that have to be worked on; None: all, or the stage works as a whole."""
        if self.n_songs is None or any(reason.all_songs and reason.computes for reason in self.reasons):
            return None
        return tuple(sorted({song for reason in self.reasons if reason.computes for song in reason.songs}))


def why(root: Path, stage: str | None = None) -> list[StageStatus]:
    """One status per stage, in data-flow order; `stage` limits it (`train` means every train@...).

    Raises:
        InputError: no such stage.
        LockError: a run is under way.
    """
    declared = pipeline.declared(root)
    chosen = [name for name in declared if stage in (None, name, name.split("@")[0])]
    if not chosen:
        raise InputError("no such stage", got=stage, expected=", ".join(declared) or "stages in dvc.yaml")
    changed, locked = changed_by_stage(root), pipeline.locked(root)
    known = steps(root) if changed else []
    statuses: dict[str, StageStatus] = {}
    for name in in_order(declared):
        statuses[name] = stage_status(root, declared, locked, known, statuses, name, changed.get(name, []))
    return [statuses[name] for name in statuses if name in chosen]


def changed_by_stage(root: Path) -> dict[str, list[Any]]:
    """What `dvc status` says: stage -> what is not as dvc.lock has it."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError as DvcLockError
    from dvc.repo import Repo

    try:
        with chdir(root), Repo() as repo:  # DVC names stages and files relative to the current folder
            return dict(repo.status())
    except DvcLockError as error:
        raise LockError("a run is under way", where=root, todo="ask again when it has ended") from error
    except DvcException as error:
        raise InputError("DVC cannot say what has changed", where=root, got=error) from error


def in_order(declared: dict[str, Stage]) -> list[str]:
    """Stage names so that every stage comes after those whose outputs it reads."""
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order or name in path:
            return
        for before in declared:
            if reads(declared[name], declared[before]):
                visit(before, (*path, name))
        order.append(name)

    for name in declared:
        visit(name, ())
    return order


def reads(stage: Stage, before: Stage) -> list[str]:
    """The deps of `stage` that are, are in, or hold outputs of `before`."""
    return [dep for dep in stage.deps if any(covers(out, dep) or covers(dep, out) for out in before.outs)]


def stage_status(
    root: Path,
    declared: dict[str, Stage],
    locked: dict[str, Locked],
    known: list[Step],
    before: dict[str, StageStatus],
    name: str,
    changed: list[Any],
) -> StageStatus:
    """Whether and why one stage would run, given the statuses of the stages before it."""
    stage = declared[name]
    running = [one for other, one in before.items() if one.runs and reads(stage, declared[other])]
    made_again = {dep for one in running for dep in reads(stage, declared[one.stage])}
    own = [
        reason
        for reason in own_reasons(root, stage, locked.get(name), known, changed)
        if not (reason.kind == "data" and reason.what in made_again)
    ]
    is_new = name not in locked
    consequences = [
        consequence(one, stage, declared[one.stage]) for one in running if changes_output(one) and not is_new
    ]
    return StageStatus(
        name,
        bool(own or consequences),
        any(reason.computes for reason in own),
        (*own, *consequences),
        n_songs(root) if works_by_song(root, stage) else None,
    )


def works_by_song(root: Path, stage: Stage) -> bool:
    """Whether a stage's items are songs: its flow sends them to the pool, and its output is by song."""
    by_song = any(Path(out) in BY_SONG for out in stage.outs)
    flows = [root / dep for dep in stage.deps if Path(dep).parent == Path("flows") and (root / dep).is_file()]
    return by_song and any("in_pool(" in flow.read_text("utf-8") for flow in flows)


def changes_output(one: StageStatus) -> bool:
    """Whether a stage may make something new: one that only restores its output makes the same bytes."""
    return any(reason.kind != "output" and reason.computes for reason in one.reasons)


def consequence(before: StageStatus, stage: Stage, maker: Stage) -> Reason:
    """The reason that a stage before runs, with the songs that it passes on."""
    songs = tuple(sorted({song for reason in before.reasons for song in reason.songs}))
    lines = (f"may change {', '.join(reads(stage, maker))}",)
    return Reason("before", before.stage, lines, songs, all_songs=not songs or any(r.all_songs for r in before.reasons))


def n_songs(root: Path) -> int | None:
    """Songs of the converted collection as it is; None where there is none yet."""
    return len(song_facts.rows(root, WAV_MANIFEST, ["song_id"])) or None


def own_reasons(root: Path, stage: Stage, last: Locked | None, known: list[Step], changed: list[Any]) -> list[Reason]:
    """The reasons behind what `dvc status` says of a stage."""
    if last is None:
        return [Reason("new", "dvc.lock has no run of it", all_songs=True)]
    reasons: list[Reason] = []
    for entry in changed:
        if entry == "changed command":
            reasons.append(Reason("command", f"{last.command} -> {stage.command}", all_songs=True))
        elif isinstance(entry, str):
            reasons.append(Reason("always", entry, all_songs=True))
        else:
            for path, state in entry.get("changed deps", {}).items():
                reasons += dep_reasons(root, last, known, path, state)
            for path, state in entry.get("changed outs", {}).items():
                reasons.append(output_reason(root, known, path, state, last))
    return reasons


def dep_reasons(root: Path, last: Locked, known: list[Step], path: str, state: Any) -> list[Reason]:
    """The reasons behind one changed dep: parameters, a source file, or data."""
    if isinstance(state, dict):
        return parameter_reasons(root, last, sorted(state))
    old = last.deps.get(path)
    if pipeline.is_code(path):
        return code_reasons(root, flow_of(last), path, old)
    found = changes.data(root, known, path, old)
    return [Reason("data", path, found.lines, found.songs, all_songs=touches_all(found))]


def flow_of(stage: Stage | Locked) -> str:
    """The name of the flow that a stage runs, by the source that it depends on."""
    return next((Path(dep).stem for dep in stage.deps if Path(dep).parent == Path("flows")), stage.name.split("@")[0])


def code_reasons(root: Path, flow: str, path: str, old: str | None) -> list[Reason]:
    """One reason for every file that changed in a source file or package."""
    if old is None:
        return [Reason("code", path, ("is imported now, was not before",), all_songs=True)]
    then = code.files(root, path, old) or code.files_in_git(root, path, old)
    if then is None:
        return [Reason("code", path, ("its former files are neither in .emoriff nor in git",), all_songs=True)]
    now = sources_now(root, path)
    return [
        file_reason(root, flow, name, then.get(name))
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def file_reason(root: Path, flow: str, name: str, old: str | None) -> Reason:
    """A changed source file, and whether it decides any byte of the flow's result."""
    before = changes.old_source(root, name, old) if old else b""
    text = None if before is None else before.decode("utf-8", "replace")
    found = changes.source_lines(root, name, old)
    return Reason("code", name, found.lines, all_songs=True, computes=decides(root, flow, name, text))


def decides(root: Path, flow: str, name: str, before: str | None) -> bool:
    """Whether the change of a source file can change what a flow makes (`before`: its text; None: not known)."""
    if not name.endswith(".py"):
        return True
    after = (root / name).read_text("utf-8") if (root / name).is_file() else ""
    if name.startswith("flows/"):
        return before is None or closure.tasks_digest(before) != closure.tasks_digest(after, name)
    module = name.removesuffix(".py").replace("/", ".")
    if closure.is_plumbing(module) or (after and module not in closure.modules_of_stage(flow)):
        return False
    return before is None or closure.source_digest(before) != closure.source_digest(after, name)


def touches_all(found: Changes) -> bool:
    """Whether no song can be singled out."""
    return not found.songs


def parameter_reasons(root: Path, last: Locked, keys: list[str]) -> list[Reason]:
    """One reason for every leaf below `keys` of params.yaml whose value is another."""
    values = pipeline.read_yaml(root / "params.yaml")
    leaves = [
        leaf for key in keys for leaf in changes.parameters(last.parameters.get(key), pipeline.at(values, key), key)
    ]
    return [
        Reason(
            "parameter",
            key,
            (f"{json.dumps(old)} -> {json.dumps(new)}",),
            all_songs=True,
            computes=not (old is None and is_default(Params, key, new)),
        )
        for key, old, new in leaves
    ]


def output_reason(root: Path, known: list[Step], path: str, state: str, last: Locked) -> Reason:
    """An output that is missing, altered, or not in DVC's cache."""
    if state == "not in cache":
        return Reason("output", path, ("is not in DVC's cache (`dvc pull` may bring it)",), all_songs=True)
    found = changes.data(root, known, path, last.outs.get(path))
    return Reason("output", path, found.lines, found.songs, all_songs=touches_all(found))
