"""Whole parameter sets: profiles/NAME.yaml -> **params.yaml**, and every parameter explained."""

import io
import types
import typing
from pathlib import Path
from typing import Any

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from tasks.core.errors import InputError, ParameterError
from tasks.core.files import write_text
from tasks.core.params_base import nested_blocks
from tasks.download.folder import LICENCE, find_audio
from tasks.settings import PROFILES, Params, load, parse


def use_profile(name: str, folder: Path | None, labels: Path | None, scale: tuple[float, float]) -> list[str]:
    """Write profile `name` into params.yaml; lines that say what was done and what comes next.

    Raises:
        ParameterError: no such profile. InputError: as `find_audio`; no label table.
    """
    if name == "folder":
        text = folder_profile(folder, labels, scale)
    elif folder is not None:
        raise ParameterError("only the profile `folder` takes a path", got=folder, todo=f"emoriff use folder {folder}")
    else:
        text = _file_of(name).read_text(encoding="utf-8")
    params = parse(yaml.safe_load(text), where=name)
    kept = _keep_edited(Path("params.yaml"))
    write_text(Path("params.yaml"), text)
    lines = [f"params.yaml is now the profile {name}", *kept]
    if any(source.needs_acknowledgement for source in params.download.sources):
        lines.append("read the licence (CC BY-NC), then set download.acknowledge_noncommercial: true in params.yaml")
    return [
        *lines,
        "next: `emoriff doctor`, then `emoriff repro` (or `dvc repro dataset` to stop before training)",
    ]


def _keep_edited(target: Path) -> list[str]:
    if not target.is_file():
        return []
    text = target.read_text(encoding="utf-8")
    if any(text == path.read_text(encoding="utf-8") for path in PROFILES.glob("*.yaml")):
        return []
    names = (target.with_suffix(f".before{number}.yaml") for number in ["", *range(2, 1000)])
    backup = next(name for name in names if not name.is_file() or name.read_text(encoding="utf-8") == text)
    write_text(backup, text)
    return [f"your edited parameters are kept in {backup}"]


def _file_of(name: str) -> Path:
    file = PROFILES / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join([*sorted(path.stem for path in PROFILES.glob("*.yaml")), "folder"])
        raise ParameterError("no such profile", where=PROFILES, expected=known, got=name)
    return file


def folder_profile(folder: Path | None, labels: Path | None, scale: tuple[float, float]) -> str:
    """The demo profile (comments and all) with a user's own audio in the place of the demo corpus."""
    if folder is None:
        raise ParameterError("which folder?", expected="emoriff use folder PATH")
    find_audio(folder)  # says what is wrong with it
    table = labels or _only_csv(folder)
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.representer.add_representer(type(None), _null)
    values = yaml.load((PROFILES / "demo.yaml").read_text(encoding="utf-8"))
    values.yaml_set_start_comment("Your own folder of audio and the demo's small Stable Diffusion, trained on it.")
    values["profile"] = "folder"
    own = {"audio": str(folder), "labels": str(table), "scale_min": scale[0], "scale_max": scale[1]}
    values["download"].update({"sources": [], "corpus": None, "folder": own, "watch": str(folder)})
    values["download"].ca.items.pop("watch", None)  # the remark is about the demo
    values["label"]["split"]["salt"] = None  # the demo's is chosen for the demo's artists
    values["base"]["demo"]["training"]["data_licence"] = LICENCE
    buffer = io.StringIO()
    yaml.dump(values, buffer)
    return buffer.getvalue()


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _only_csv(folder: Path) -> Path:
    tables = sorted(folder.glob("*.csv"))
    if len(tables) != 1:
        raise InputError(
            "which CSV has the labels?",
            where=folder,
            expected="one CSV with song_id, valence, arousal (and optionally artist)",
            got=", ".join(path.name for path in tables) or "none",
            todo="name it: emoriff use folder PATH --labels FILE.csv",
        )
    return tables[0]


def rows() -> list[dict[str, str]]:
    """Every parameter: key, type and range, meaning with unit, the demo's value, the present value."""
    demo = load(PROFILES / "demo.yaml").model_dump()
    present = load().model_dump() if Path("params.yaml").is_file() else demo
    return list(_rows(Params, "", demo, present))


def _rows(block: type[BaseModel], prefix: str, demo: Any, present: Any) -> typing.Iterator[dict[str, str]]:
    for name, field in block.model_fields.items():
        inner = nested_blocks(field.annotation)
        default, value = _of(demo, name), _of(present, name)
        if inner and not isinstance(default, list):
            yield from _rows(inner[0], f"{prefix}{name}.", default, value)
        else:
            yield {
                "key": prefix + name,
                "range": _range(field),
                "meaning": field.description or "",
                "default": _short(default),
                "value": _short(value),
            }


def _of(values: Any, name: str) -> Any:
    return values.get(name) if isinstance(values, dict) else None


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _range(field: FieldInfo) -> str:
    signs = {Ge: ">= {0.ge}", Gt: "> {0.gt}", Le: "<= {0.le}", Lt: "< {0.lt}"}
    bounds = [signs[type(rule)].format(rule) for rule in field.metadata if type(rule) in signs]
    return " ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(map(str, typing.get_args(annotation)))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(_type(part) for part in typing.get_args(annotation))
    return "null" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def table() -> str:
    """The parameters as a table for the terminal."""
    found = rows()
    changed = {row["key"] for row in found if row["value"] != row["default"]}
    lines = [f"{'':2}{'parameter':38}{'value':22}{'demo':22}{'range':32}meaning"]
    for row in found:
        mark = "* " if row["key"] in changed else "  "
        lines.append(f"{mark}{row['key']:38}{row['value']:22}{row['default']:22}{row['range']:32}{row['meaning']}")
    return "\n".join(line.rstrip() for line in lines)
