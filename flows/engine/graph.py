"""What dvc.yaml says that follows from elsewhere: the packages of each stage's code, the plots of the experiments.

`python -m flows.engine.graph` writes it into dvc.yaml. A stage's code is the flow's file and the packages in the
import closures of what that imports. DVC asks coarsely, a package at a time: what really has to be computed is
decided item by item (docs/adr/0002). What only runs the work (flows/engine, tasks/execution) is left out.
"""

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from tasks.core.files import write_text
from tasks.execution.closure import packages_of_stage


def code_of(stage: str) -> list[str]:
    """The flow's file and the packages of this project whose code can change the stage's result."""
    flow = stage.removesuffix("_base")
    return [f"flows/{flow}.py", *packages_of_stage(flow)]


def with_code(stage: str, deps: list[str]) -> list[str]:
    """The data a stage depends on, then its code."""
    return [name for name in deps if name.split("/")[0] not in ("tasks", "flows")] + code_of(stage)


def plots(values: dict[str, Any]) -> list[Any]:
    """`dvc plots show`: the losses of all experiments in one plot, and the first clip of every system and emotion."""
    experiments = list(values["train"]["experiments"])
    losses = {f"reports/train/{name}/loss.csv": "loss" for name in experiments}
    pictures = [
        f"reports/media/{system}/{prompt}_0000.png"
        for system in ["base", *experiments]
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
        body["deps"] = CommentedSeq(with_code(name, list(body["deps"])))
        body["deps"].fa.set_flow_style()
    graph["plots"] = plots(YAML(typ="safe").load((root / "params.yaml").read_text()))
    text = StringIO()
    yaml.dump(graph, text)
    write_text(root / "dvc.yaml", "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


if __name__ == "__main__":
    rewrite(Path.cwd())
