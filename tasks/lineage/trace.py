"""Where an artifact comes from: steps + tables -> **lineage** -> tree, JSON, PROV, RO-Crate.

`trace` answers for any file or folder of the pipeline: the stages behind it with hashes, parameters, code,
machine and time, and the songs, labels, corrections and base model that went in. What a run's record does
not say (a fresh clone has none) is derived from dvc.lock, git and the tables; `evidence` says which it was.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.layout import AUDIO, BASE, BY_SONG, DATASET, LABELS, METRICS, RAW, WAV_MANIFEST
from tasks.lineage import song_facts
from tasks.lineage.code import Code, code_of, n_files
from tasks.lineage.dvc_dirs import dir_manifest, song_of
from tasks.lineage.history import Step, steps
from tasks.lineage.pipeline import read_yaml
from tasks.lineage.record import Run
from tasks.lineage.records import songs_of
from tasks.lineage.upstream import Makers, Upstream, covers, made_md5, present_md5, upstream_of


@dataclass(frozen=True)
class Link:
    """One stage behind the artifact."""

    id: str
    stage: str
    outputs: dict[str, str]  # path -> MD5
    inputs: dict[str, str]
    made_by: dict[str, list[str]]  # input -> ids of the links that made it
    parameters: dict[str, Any]
    n_code_files: int
    code: Code
    evidence: str
    run: Run | None  # when, on what machine, with which versions; None: no record here


@dataclass(frozen=True)
class Lineage:
    """All that is known of how an artifact came to be."""

    artifact: str
    md5: str | None
    state: str
    facts: dict[str, Any]  # of the artifact itself: song and segment, emotion and seed, model facts
    links: tuple[Link, ...]  # nearest first
    songs: dict[str, list[int]]  # role -> song ids
    song_facts: tuple[dict[str, Any], ...]
    annotations: dict[str, str | None]  # file -> MD5
    corrections: dict[str, Any]
    base: dict[str, Any]
    seeds: dict[str, Any]
    notes: tuple[str, ...]


def trace(root: Path, file: Path) -> Lineage:
    """The lineage of a file or folder made by the pipeline.

    Raises:
        InputError: no stage that ever ran made it.
    """
    path = relative(root, file)
    present = present_md5(root, path)
    start, behind = chain(root, path, present, deep=False)
    if start is None or behind.notes or made_md5(root, start, path) != present:
        start, behind = chain(root, path, present, deep=True)
    if start is None:
        raise InputError(
            "no stage is known that made this",
            where=path,
            expected=f"a file or folder below one of {', '.join(known_outputs(root)) or '(nothing has run here yet)'}",
            todo="run `emoriff repro` first, or in a clone `dvc pull`",
        )
    songs = songs_behind(root, path, behind)
    involved = sorted({song for ids in songs.values() for song in ids})
    return Lineage(
        artifact=path,
        md5=present,
        state=state_of(present, made_md5(root, start, path), (root / path).exists()),
        facts=song_facts.row_of_file(root, path),
        links=tuple(link(root, step, behind) for step in behind.steps),
        songs=songs,
        song_facts=tuple(song_facts.facts_of(root, involved)),
        annotations=annotations(root, behind),
        corrections=song_facts.corrections(root) if reads_labels(behind) else {},
        base=base_model(root, behind),
        seeds=seeds(behind),
        notes=tuple(dict.fromkeys(behind.notes)),
    )


def chain(root: Path, path: str, md5: str | None, deep: bool) -> tuple[Step | None, Upstream]:
    """The step that made an artifact, and all behind it; `deep`: git's history is looked through too."""
    makers = Makers(root, steps(root, deep))
    start = makers.of(path, md5)
    return start, upstream_of(makers, start) if start else Upstream()


def known_outputs(root: Path) -> list[str]:
    """Every path that a stage ever made."""
    return sorted({out for step in steps(root) for out in step.outputs})


def relative(root: Path, file: Path) -> str:
    """The path as dvc.lock writes it, from a path as a person types it."""
    absolute = file if file.is_absolute() else Path.cwd() / file
    base = root.resolve()
    for candidate in (absolute.resolve(), (root / file).resolve()):
        if candidate.is_relative_to(base):
            return candidate.relative_to(base).as_posix()
    raise InputError("not a file of this repository", where=file, expected=f"a path below {base}")


def state_of(present: str | None, made: str | None, exists: bool) -> str:
    """Whether the artifact is still what the stage made."""
    if not exists:
        return "not here now (`dvc pull` or `emoriff repro` brings it)"
    if present is None or made is None:
        return "not compared with what was made (too large, or its manifest is not in this cache)"
    return "as it was made" if present == made else f"changed since it was made (then {made})"


def link(root: Path, step: Step, behind: Upstream) -> Link:
    """A step with its code's commit and its neighbours by name."""
    made_by = {
        path: [maker.identity[:12] for maker in behind.makers.get((step.identity, path), [])] for path in step.inputs
    }
    code = code_of(root, step)
    return Link(
        id=step.identity[:12],
        stage=step.stage,
        outputs=step.outputs,
        inputs=step.inputs,
        made_by=made_by,
        parameters=step.parameters,
        n_code_files=n_files(root, step, code.commit),
        code=code,
        evidence=step.evidence,
        run=step.run,
    )


def songs_behind(root: Path, path: str, behind: Upstream) -> dict[str, list[int]]:
    """The songs that went into `path`, by the role they had."""
    song = song_of(path) if any(covers(folder, path) for folder in BY_SONG) else None
    if song is not None:
        return {"made from": [song]}
    outputs = {Path(out) for step in behind.steps for out in step.outputs}
    if DATASET in outputs and not covers(DATASET, path):
        splits = splits_of(root, behind)
        roles = {"trained on": splits.get("train", []), "validated on": splits.get("validation", [])}
        return roles | ({"judged against": splits.get("test", [])} if METRICS in outputs else {})
    if outputs <= {RAW} and not covers(path, AUDIO.as_posix()):
        return {}
    return {"made from": all_songs(root, behind)}


def splits_of(root: Path, behind: Upstream) -> dict[str, list[int]]:
    """Songs by split of the data set version behind an artifact, else of the present one."""
    for step in behind.steps:
        if md5 := step.outputs.get(DATASET.as_posix()):
            return songs_of(root, md5) or song_facts.songs_by_split(root)
    return song_facts.songs_by_split(root)


def all_songs(root: Path, behind: Upstream) -> list[int]:
    """The songs in the folders behind an artifact, of the nearest step whose outputs name songs."""
    for step in behind.steps:
        for md5 in step.outputs.values():
            parts = songs_of(root, md5) if md5.endswith(".dir") else None
            if parts:
                return sorted({song for songs in parts.values() for song in songs})
    return sorted(row["song_id"] for row in song_facts.rows(root, WAV_MANIFEST, ["song_id"]))


def reads_labels(behind: Upstream) -> bool:
    """Whether labels went in."""
    return any(LABELS.as_posix() in step.outputs for step in behind.steps)


def annotations(root: Path, behind: Upstream) -> dict[str, str | None]:
    """The annotation and metadata files that the labels behind an artifact were read from, with their MD5."""
    found: dict[str, str | None] = {}
    for step in behind.steps:
        for path, md5 in step.inputs.items() if LABELS.as_posix() in step.outputs else ():
            if covers(RAW, path):
                names: Mapping[str, str | None] = dir_manifest(root, md5) or files_now(root, path)
                found |= {f"{path}/{name}": names[name] for name in sorted(names)}
    return found


def files_now(root: Path, folder: str) -> Mapping[str, str | None]:
    """The files of a folder as it is, with their MD5."""
    return {file.name: present_md5(root, f"{folder}/{file.name}") for file in (root / folder).glob("*")}


def base_model(root: Path, behind: Upstream) -> dict[str, Any]:
    """Repository, revision and hash of the base model behind an artifact; {} where there is none."""
    for step in behind.steps:
        if made := step.outputs.get(BASE.as_posix()):
            wanted = step.parameters.get("base") or read_yaml(root / "params.yaml").get("base") or {}
            facts = song_facts.row_of_file(root, f"{BASE}/model_index.json")
            return {
                "repository": wanted.get("repository") or "rendered here: the demo's base",
                "revision": wanted.get("revision"),
                "md5": made,
                "facts": facts,
            }
    return {}


def seeds(behind: Upstream) -> dict[str, Any]:
    """The seed of every stage that drew at random."""
    return {step.stage: step.parameters["seed"] for step in behind.steps if "seed" in step.parameters}


def as_json(found: Lineage, indent: int | None = None) -> str:
    """The whole lineage; what JSON has no form for becomes its fields, or its text."""
    return json.dumps(
        vars(found), indent=indent, sort_keys=True, default=lambda part: vars(part) if is_dataclass(part) else str(part)
    )
