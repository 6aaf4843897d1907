"""docs/images/pipeline.svg, drawn from dvc.yaml and the import closures: `python -m docs.pipeline_picture`.

Stages in data-flow order with the folders between them, and below each the libraries that its code calls.
"""

import html
from pathlib import Path

from tasks.core.files import write_text
from tasks.execution.closure import packages_of_stage
from tasks.lineage.pipeline import Stage, declared

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "images" / "pipeline.svg"
LIBRARIES = ("audio", "codec", "models", "trainer")  # core is called by all
WIDTH, ROW, LEFT, STAGE_WIDTH, RIGHT = 1000, 44, 330, 130, 770
STYLE = "font-family:sans-serif;font-size:13px"


def flows() -> dict[str, list[Stage]]:
    """The stages of dvc.yaml by flow: `train` stands for every train@..."""
    found: dict[str, list[Stage]] = {}
    for name, stage in declared(ROOT).items():
        found.setdefault(name.split("@")[0].removesuffix("_base"), []).append(stage)
    return found


def folders(stages: list[Stage], kind: str) -> list[str]:
    """The data that the stages read or make, an experiment's name as NAME."""
    paths = (path for stage in stages for path in getattr(stage, kind))
    names = [path for path in paths if not path.startswith(("tasks/", "flows/"))]
    instances = {stage.name.partition("@")[2] or "base" for stage in stages if len(stages) > 1}
    parts = [["NAME" if part in instances else part for part in name.split("/")] for name in names]
    return list(dict.fromkeys("/".join(part) for part in parts))


def drawing() -> str:
    """The whole picture as SVG."""
    rows = list(flows().items())
    height = ROW * (len(rows) + 1) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *header(),
    ]
    for number, (name, stages) in enumerate(rows, start=1):
        parts += row(name, stages, number * ROW + 10)
    return "\n".join([*parts, "</svg>"]) + "\n"


def header() -> list[str]:
    """The titles of the columns."""
    titles = [(10, "reads"), (LEFT, "stage"), (LEFT + STAGE_WIDTH + 30, "makes"), (RIGHT, "libraries that it calls")]
    return [text(x, 28, title, "font-weight:bold") for x, title in titles]


def row(name: str, stages: list[Stage], top: int) -> list[str]:
    """One stage with what it reads, makes and calls."""
    middle = top + 20
    reads, makes = folders(stages, "deps"), folders(stages, "outs")
    called = [package.split("/")[1] for package in packages_of_stage(name)]
    libraries = [library for library in LIBRARIES if library in called]
    box = f'<rect x="{LEFT}" y="{top}" width="{STAGE_WIDTH}" height="30" rx="6" fill="#dfe8f7" stroke="#44608c"/>'
    parts = [
        text(10, middle, shortened(reads), "fill:#444"),
        arrow(LEFT - 22, middle - 4, LEFT - 4),
        box,
        text(LEFT + 12, middle, name, "font-weight:bold"),
        arrow(LEFT + STAGE_WIDTH + 4, middle - 4, LEFT + STAGE_WIDTH + 24),
        text(LEFT + STAGE_WIDTH + 30, middle, shortened(makes), "fill:#444"),
    ]
    for number, library in enumerate(libraries):
        parts.append(text(RIGHT + 64 * number, middle, library, "fill:#7a4b00"))
    return parts


def shortened(names: list[str]) -> str:
    """Names that fit into their column, the folders before files; how many more there are."""
    names = sorted((name.removeprefix("data/") for name in names), key=lambda name: (Path(name).suffix != "", name))
    shown = names[:1]
    while len(shown) < len(names) and len(", ".join(names[: len(shown) + 1])) <= 34:
        shown = names[: len(shown) + 1]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def text(x: int, y: int, words: str, style: str = "") -> str:
    """Words at a place."""
    return f'<text x="{x}" y="{y}" style="{STYLE};{style}">{html.escape(words)}</text>'


def arrow(start: int, y: int, end: int) -> str:
    """A short arrow to the right."""
    return f'<path d="M{start} {y}H{end}m-6 -4l6 4l-6 4" fill="none" stroke="#44608c"/>'


if __name__ == "__main__":
    write_text(TARGET, drawing())
