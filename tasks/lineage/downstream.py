"""What was ever made from a song: song -> **downstream** -> every file, model, clip and figure.

All steps known here are walked, those of earlier runs too, so that a withdrawn song can be followed to every
model. A folder whose file names carry song ids says itself whether the song is in it; from there the song
is followed by hashes. A model counts where the song was in the split that it learned from or was watched on.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.layout import BY_SONG, DATASET, DATASET_TABLE, GENERATED, MODELS, WAV_MANIFEST
from tasks.lineage import song_facts
from tasks.lineage.dvc_dirs import manifest_content, names_of_song
from tasks.lineage.history import Step, steps
from tasks.lineage.records import songs_of
from tasks.lineage.upstream import Makers, covers

ROLES = {"train": "learned from it", "validation": "was watched on it", "test": "was judged against it"}


@dataclass(frozen=True)
class OutputVersion:
    """One version of an output that has the song in it or behind it."""

    path: str
    md5: str
    stage: str
    role: str  # how the song went in
    now: bool  # it is what dvc.lock has now
    files: tuple[str, ...]  # the song's own files in it, where file names carry song ids
    commit: str | None
    when: str | None
    identity: str


@dataclass(frozen=True)
class Downstream:
    """All that was made from a song."""

    song_id: int
    facts: dict[str, Any]  # source, WAV, label, counts as they are now
    segments: tuple[dict[str, Any], ...]
    pictures: tuple[str, ...]  # file names in data/dataset
    made: tuple[OutputVersion, ...]  # in data-flow order, present versions first


def downstream(root: Path, song: int) -> Downstream:
    """Everything made from a song, now and in every earlier run known here.

    Raises:
        InputError: no version of anything has the song.
    """
    known = steps(root)
    reached = reach(root, known, song)
    facts = song_facts.facts_of(root, [song])[0]
    if not reached and "source" not in facts:
        raise InputError(
            "no such song",
            got=song,
            expected=f"a song id of {WAV_MANIFEST}, or of an earlier run known here",
            todo="in a fresh clone `dvc fetch --all-commits` brings what earlier versions held",
        )
    return Downstream(
        song_id=song,
        facts=facts,
        segments=tuple(song_facts.windows(root, song)),
        pictures=tuple(row["file_name"] for row in song_facts.rows_where(root, DATASET_TABLE, "song_id", song)),
        made=tuple(
            output_version(root, step, out, song, role)
            for step, role in reached
            for out in outputs_with(root, step, song)
        ),
    )


def reach(root: Path, known: list[Step], song: int) -> list[tuple[Step, str]]:
    """The steps that the song reached, each with its role; present ones first, makers before users."""
    makers = Makers(root, known)
    roles: dict[str, str | None] = {}
    depths: dict[str, int] = {}

    def behind(path: str, md5: str) -> list[Step]:
        return [maker for maker in makers.of_input(path, md5) if makers.is_exact(maker, path, md5)]

    def visit(step: Step) -> None:
        if step.identity in roles:
            return
        roles[step.identity] = None  # a circle ends here
        depths[step.identity] = 0
        inputs: dict[str, str | None] = {}
        for path, md5 in sorted(step.inputs.items()):
            found = behind(path, md5)
            for maker in found:
                visit(maker)
            depths[step.identity] = max([depths[step.identity], *(1 + depths[maker.identity] for maker in found)])
            inputs[path] = next((role for maker in found if (role := roles[maker.identity])), None)
        roles[step.identity] = role_in(root, step, song, inputs)

    for step in known:
        visit(step)
    reached = [(step, role) for step in known if (role := roles[step.identity])]
    return sorted(reached, key=lambda pair: (pair[0].evidence != "dvc.lock", depths[pair[0].identity]))


def role_in(root: Path, step: Step, song: int, inputs: dict[str, str | None]) -> str | None:
    """How the song is in a step's outputs, given its role in each input; None: it is not."""
    named = [parts for out, md5 in step.outputs.items() if (parts := parts_with(root, out, md5, song)) is not None]
    splits = [part for parts in named for part in parts]
    if splits:
        return f"is in its {splits[0]} split" if splits[0] in ROLES else "is in it"
    if named:
        return None  # its files are named by song, and none is this one's
    dataset = DATASET.as_posix()
    split = parts_with(root, dataset, step.inputs.get(dataset, ""), song)
    learned = [part for part in ("train", "validation") if split and part in split]
    if learned:
        return ROLES[learned[0]]
    others = {path: role for path, role in inputs.items() if role and (path != dataset or split is None)}
    return next((inherited(path, role) for path, role in others.items()), None)


def parts_with(root: Path, path: str, md5: str, song: int) -> list[str] | None:
    """The parts ("train", "audio", "") of a folder version that hold the song; None: its file names carry no ids."""
    if Path(path) not in BY_SONG:
        return None
    names = names_of_song(root, md5, song)
    if names is not None:
        return sorted({name.split("/")[0] if "/" in name else "" for name in names})
    kept = songs_of(root, md5) if not manifest_content(root, md5) else None
    return None if not kept else [part for part, ids in kept.items() if song in ids]


def inherited(path: str, role: str) -> str:
    """The role of a song that came in through an input."""
    if covers(MODELS, path) or covers(GENERATED, path):
        return f"through {path}, which {role}" if role in ROLES.values() else f"through {path}"
    return "is in it"


def outputs_with(root: Path, step: Step, song: int) -> list[str]:
    """The outputs of a reached step that can hold the song: all whose files do not say otherwise."""
    return [out for out, md5 in sorted(step.outputs.items()) if parts_with(root, out, md5, song) != []]


def output_version(root: Path, step: Step, out: str, song: int, role: str) -> OutputVersion:
    """One output of a reached step."""
    return OutputVersion(
        path=out,
        md5=step.outputs[out],
        stage=step.stage,
        role=role,
        now=step.evidence == "dvc.lock",
        files=names_of_song(root, step.outputs[out], song) or (),
        commit=step.run.git.commit if step.run else step.commit,
        when=step.run.ended if step.run else step.when,
        identity=step.identity,
    )


def show_downstream(root: Path, song: str, form: str) -> str:
    """What `emoriff lineage --downstream SONG` prints."""
    if not song.isdecimal() or len(song) > 18:
        raise InputError("not a song id", got=song, expected="a whole number")
    if form not in ("tree", "json"):
        raise InputError("unknown form for --downstream", got=form, expected="tree or json")
    found = downstream(root, int(song))
    return json.dumps(asdict(found), indent=1, sort_keys=True) if form == "json" else text(found)


def text(found: Downstream) -> str:
    """The song, what there is of it now, then every version it is in or behind."""
    from tasks.lineage.tree import flat, wrapped

    lines = [f"song {found.song_id}", *(f"  {line}" for line in wrapped(flat(without_id(found.facts))))]
    lines += [f"  segments: {len(found.segments)}; pictures in the data set: {len(found.pictures)}"]
    for title, present in (("now", True), ("earlier runs", False)):
        versions = [one for one in found.made if one.now == present]
        lines += ["", title] if versions else []
        for one in versions:
            lines.append(f"  {one.path}  md5 {one.md5[:12]}  {one.stage}: {one.role}{origin(one)}")
            lines += [f"    {line}" for line in wrapped(list(one.files))]
    models = sorted({one.path for one in found.made if covers(MODELS, one.path)})
    lines += ["", f"models: {', '.join(models) if models else 'none was made from this song'}"]
    return "\n".join(lines)


def without_id(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts but the id."""
    return {key: value for key, value in facts.items() if key != "song_id"}


def origin(one: OutputVersion) -> str:
    """When and by which commit, where known."""
    parts = [one.when[:19] if one.when else "", f"commit {one.commit[:10]}" if one.commit else ""]
    return f" ({', '.join(part for part in parts if part)})" if any(parts) else ""
