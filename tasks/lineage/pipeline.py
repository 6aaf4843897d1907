"""The pipeline as its files declare it: dvc.yaml + params.yaml + dvc.lock -> **stages** -> records, lineage.

DVC's own resolver unfolds `foreach` and fills in `${...}`. dvc.lock is read without DVC, whose import takes as long
as half an answer of `emoriff lineage`.
"""

import re
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

from pydantic import StringConstraints

from tasks.core.errors import InputError
from tasks.core.reading import yaml_of

HASH = re.compile(r"([0-9a-zA-Z]{1,64}(\.dir)?)?")
Hash = Annotated[str, StringConstraints(pattern=f"^{HASH.pattern}$")]
MISFITS = (AttributeError, KeyError, TypeError, ValueError, RecursionError)  # of values of another form


@dataclass(frozen=True)
class Stage:
    """One stage as declared; paths relative to the repository."""

    name: str  # "convert", "train@exp1"
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    parameters: tuple[str, ...]  # dotted keys of params.yaml


@dataclass(frozen=True)
class Locked:
    """One stage as it last ran: MD5 of every dep and out (`.dir`: a folder's), values of its parameters."""

    name: str
    command: str
    deps: dict[str, str]
    outs: dict[str, str]
    parameters: dict[str, Any]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; a missing file is an empty mapping."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    return parse_yaml(text, path)


def parse_yaml(text: str, where: object) -> dict[str, Any]:
    """The mapping in a YAML text; an empty text is an empty one.

    Raises:
        InputError: not YAML, or no mapping.
    """
    value = yaml_of(text, where)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError("no mapping", where=where, expected="names and values", got=type(value).__name__)
    return value


def declared(root: Path) -> dict[str, Stage]:
    """Every stage of dvc.yaml by name, `foreach` unfolded, `${...}` filled in from params.yaml.

    Raises:
        InputError: one of the files is not YAML, or dvc.yaml has another form.
    """
    from dvc.exceptions import DvcException  # takes .1 s to load, which `emoriff lineage` does not need
    from dvc.fs import LocalFileSystem
    from dvc.parsing import DataResolver

    read_yaml(root / "params.yaml")  # DVC reads it again, without a bound
    entries = read_yaml(root / "dvc.yaml").get("stages")
    if not entries:
        return {}
    repository: Any = SimpleNamespace(fs=LocalFileSystem(), config={})  # all that the resolver asks of one
    try:
        resolved = DataResolver(repository, str(root), {"stages": entries}).resolve()["stages"]
        return {name: _stage(name, entry) for name, entry in resolved.items()}
    except (DvcException, AssertionError, *MISFITS) as error:
        got, todo = f"{type(error).__name__}: {error}", "git checkout dvc.yaml"
        raise InputError("not a pipeline", where=root / "dvc.yaml", got=got, todo=todo) from error


def _stage(name: str, entry: dict[str, Any]) -> Stage:
    outs = [path for kind in ("outs", "metrics", "plots") for path in _paths(entry.get(kind, []))]
    keys = [key for key in entry.get("params", []) if isinstance(key, str)]
    return Stage(name, str(entry["cmd"]), _paths(entry.get("deps", [])), tuple(outs), tuple(keys))


def _paths(entries: list[Any]) -> tuple[str, ...]:
    return tuple(next(iter(entry)) if isinstance(entry, dict) else str(entry) for entry in entries)


def at(values: Any, key: str) -> Any:
    """The value of a dotted key; None where it is missing."""
    return reduce(lambda value, part: value.get(part) if isinstance(value, dict) else None, key.split("."), values)


def locked(root: Path) -> dict[str, Locked]:
    """Every stage of dvc.lock by name."""
    return parse_lock(read_yaml(root / "dvc.lock"))


def parse_lock(lock: dict[str, Any]) -> dict[str, Locked]:
    """Every stage of a parsed dvc.lock by name.

    Raises:
        InputError: it has another form.
    """
    try:
        return {str(name): _locked(str(name), entry) for name, entry in (lock.get("stages") or {}).items()}
    except MISFITS as error:
        got, todo = f"{type(error).__name__}: {error}", "git checkout dvc.lock, or `emoriff repro`"
        raise InputError("not a dvc.lock", where="dvc.lock", got=got, todo=todo) from error


def _locked(name: str, entry: dict[str, Any]) -> Locked:
    hashes = {
        kind: {str(item["path"]): hash_of(item.get("md5")) for item in entry.get(kind) or []}
        for kind in ("deps", "outs")
    }
    parameters = {str(key): value for file in (entry.get("params") or {}).values() for key, value in file.items()}
    return Locked(name, str(entry.get("cmd", "")), hashes["deps"], hashes["outs"], parameters)


def hash_of(md5: object) -> str:
    """A hash as dvc.lock has it, "" for none. It becomes the name of a file, so it may be nothing else.

    Raises:
        ValueError: no hash.
    """
    text = "" if md5 is None else str(md5)
    if not HASH.fullmatch(text):
        raise ValueError(f"no hash: {text[:60]!r}")
    return text


def is_code(path: str) -> bool:
    """Whether a dep is this project's source: a file, or a package."""
    return path.split("/")[0] in ("tasks", "flows")


def find(stages: dict[str, Any], name: str, argument: str | None = None) -> str | None:
    """The name that dvc.yaml gives to a stage's run on `argument` ("train@exp1", "generate_base")."""
    names = [f"{name}@{argument}", f"{name}_{argument}"] if argument else [name]
    return next((found for found in names if found in stages), None)
