"""The reference pages, printed from the code: `python -m docs.generate` rewrites docs/reference/.

A test compares the committed pages with what this prints, so they cannot fall behind.
"""

import typing
from pathlib import Path
from typing import Any

from docs.schemas import TABLES
from tasks.apps.profiles import rows
from tasks.core.files import write_text
from tasks.download.params import Source
from tasks.settings import Params

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- printed by `python -m docs.generate`; do not edit -->"


def pages() -> dict[str, str]:
    """File name below docs/reference -> its whole text."""
    return {"parameters.md": parameters(), "commands.md": commands(), "data.md": data()}


def parameters() -> str:
    """Every key of params.yaml: type and range, the demo's value, meaning with unit; one section a block."""
    lines = [
        "# Parameters",
        NOTE,
        "",
        "Every knob of `params.yaml`. The code has no second default: a missing key is an error, an unknown key is",
        "answered with the nearest known one. `emoriff params` prints this table with your present values.",
        "",
    ]
    section = ""
    for row in rows():
        block = row["key"].split(".")[0]
        if block != section:
            section = block
            lines += _head(block)
        cells = [f"`{row['key']}`", row["range"], f"`{row['default']}`" if row["default"] else "empty", row["meaning"]]
        lines.append(_line(cells))
    lines += ["", "## One source of `download.sources`", "", *_table("key", "meaning")]
    lines += [_line([f"`{name}`", field.description or ""]) for name, field in Source.model_fields.items()]
    lines += ["", "## One experiment of `train.experiments`", "", "Any key of `train.defaults`; what it says wins.", ""]
    return "\n".join(lines)


def _head(block: str) -> list[str]:
    annotation = Params.model_fields[block].annotation
    title = (annotation.__doc__ or "").strip().split("\n")[0] if hasattr(annotation, "model_fields") else ""
    return ["", f"## {block}", "", *([title, ""] if title else []), *_table("key", "type, range", "demo", "meaning")]


def commands() -> str:
    """Every command of `emoriff`: what it does, its arguments and options."""
    import typer

    from flows.__main__ import app

    group: Any = typer.main.get_command(app)
    lines = ["# Commands", NOTE, "", "`emoriff COMMAND --help` says the same in the terminal.", ""]
    for name, command in group.commands.items():
        words = " ".join(_usage(parameter) for parameter in command.params if parameter.name != "help")
        lines += [
            f"## {name}",
            "",
            " ".join((command.help or "").split()),
            "",
            f"    emoriff {name} {words}".rstrip(),
            "",
        ]
        described = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if described:
            lines += [*_table("argument or option", "type", "default", "meaning"), *described, ""]
    return "\n".join(lines)


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return parameter.name.upper() if parameter.required else f"[{parameter.name.upper()}]"
    word = parameter.opts[0]
    return f"[{word}]" if parameter.is_flag else f"[{word} {parameter.name.upper()}]"


def _parameter(parameter: Any) -> str:
    option = parameter.param_type_name == "option"
    name = parameter.opts[0] if option else parameter.name.upper()
    default = parameter.default if parameter.default is not None and not parameter.required else ""
    shown = "" if option and parameter.is_flag else f"`{default}`" if default != "" else ""
    return _line([f"`{name}`", "flag" if option and parameter.is_flag else _kind(parameter), shown,
                  getattr(parameter, "help", None) or ""])  # fmt: skip


def _kind(parameter: Any) -> str:
    """The type as a plain word, with its bounds, or the choices."""
    words = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH", bool: "FLAG"}
    annotation = parameter.type_descriptor.annotation
    parts = typing.get_args(annotation) or (annotation,)
    bounds = [f"{sign} {bound}" for sign, bound in ((">=", parameter.min), ("<=", parameter.max)) if bound is not None]
    return " ".join([*(words.get(part, f"`{part}`") for part in parts), *bounds])


def data() -> str:
    """Every table of the pipeline with its columns."""
    lines = [
        "# Data",
        NOTE,
        "",
        "Files and columns, in data-flow order. Song ids join everything. Nothing holds a time of day or an absolute",
        "path, so equal inputs give equal bytes.",
        "",
    ]
    for table in TABLES:
        lines += [f"## `{table.path}`", "", table.what, ""]
        if table.columns:
            lines += _table("column", "meaning")
            lines += [_line([f"`{name}`", meaning]) for name, meaning in table.columns.items()]
            lines.append("")
    return "\n".join(lines)


def _table(*titles: str) -> list[str]:
    return [_line(list(titles)), "|---" * len(titles) + "|"]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    for file, text in pages().items():
        write_text(FOLDER / file, text)
