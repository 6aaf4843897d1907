"""The code that each stage of dvc.yaml depends on: the import closure of its noun, and its flow's file.

`python -m flows.graph` writes it into dvc.yaml. What only runs the work (server, locks, progress, registry)
is left out: it enters no result.
"""

from pathlib import Path

from ruamel.yaml import YAML

from tasks.files import replacing
from tasks.imports import closure

EXTRA = {"download": ["corpus"]}


def code_of(stage: str, root: Path) -> list[str]:
    """Files of this project whose source can change the stage's result, sorted."""
    from tasks.registry import TABLE

    flow = stage.removesuffix("_base")
    files = {root / "flows" / f"{flow}.py"}
    for name in [flow, *EXTRA.get(flow, [])]:
        files |= closure(root / (TABLE[name].noun.split(":")[0].replace(".", "/") + ".py"), root)
    return sorted(path.relative_to(root).as_posix() for path in files)


def with_code(stage: str, deps: list[str], root: Path) -> list[str]:
    """The data a stage depends on, then its code."""
    return [name for name in deps if not name.endswith(".py")] + code_of(stage, root)


def rewrite(root: Path) -> None:
    """Bring the code in dvc.yaml up to date."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    graph = yaml.load((root / "dvc.yaml").read_text())
    for name, stage in graph["stages"].items():
        body = stage.get("do", stage)
        body["deps"][:] = with_code(name, list(body["deps"]), root)
    with replacing(root / "dvc.yaml") as temporary, temporary.open("w") as file:
        yaml.dump(graph, file)


if __name__ == "__main__":
    rewrite(Path.cwd())
