"""What dvc.yaml says that follows from elsewhere: the code a stage depends on, the plots of the experiments.

`python -m flows.graph` writes it into dvc.yaml. A stage's code is the import closure of its noun, and its flow's
file; what only runs the work (server, locks, progress, registry) is left out: it enters no result.
"""

from pathlib import Path
from typing import Any

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


def plots(values: dict[str, Any]) -> list[Any]:
    """`dvc plots show`: the losses of all experiments in one plot, and the first clip of every arm and emotion."""
    experiments = list(values["train"]["experiments"])
    losses = {f"reports/train/{name}/loss.csv": "loss" for name in experiments}
    pictures = [
        f"reports/media/{arm}/{prompt}_0000.png"
        for arm in ["base", *experiments]
        for prompt in values["generate"]["prompts"]
    ]
    return [{"loss": {"x": "step", "y": losses, "title": "Training loss", "y_label": "loss"}}, *pictures]


def rewrite(root: Path) -> None:
    """Bring code and plots in dvc.yaml up to date."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    graph = yaml.load((root / "dvc.yaml").read_text())
    for name, stage in graph["stages"].items():
        body = stage.get("do", stage)
        body["deps"][:] = with_code(name, list(body["deps"]), root)
    graph["plots"] = plots(YAML(typ="safe").load((root / "params.yaml").read_text()))
    with replacing(root / "dvc.yaml") as temporary, temporary.open("w") as file:
        yaml.dump(graph, file)


if __name__ == "__main__":
    rewrite(Path.cwd())
