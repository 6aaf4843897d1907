import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.imports import closure

ROOT = Path(__file__).parent.parent


def write(root: Path, **sources: str) -> None:
    (root / "tasks").mkdir(exist_ok=True)
    for name, text in sources.items():
        (root / "tasks" / f"{name}.py").write_text(text)


def names(root: Path, start: str = "a") -> set[str]:
    return {path.stem for path in closure(root / "tasks" / f"{start}.py", root)}


@pytest.mark.parametrize(
    "line",
    [
        "import tasks.b",
        "from tasks import b",
        "from tasks.b import x",
        "from . import b",
        "from .b import x",
        "def f():\n    from tasks.b import x",
        "class C:\n    def f(self):\n        import tasks.b as q",
        "try:\n    pass\nfinally:\n    import tasks.b",
        "import importlib\nimportlib.import_module('tasks.b')",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import tasks.b",
    ],
)
def test_every_way_to_import_counts(tmp_path: Path, line: str) -> None:
    write(tmp_path, a=line, b="", c="")
    assert names(tmp_path) == {"a", "b"}


@pytest.mark.parametrize(
    "line", ["import json", "from typing import Any", "'tasks.b'", "if TYPE_CHECKING:\n    import tasks.b"]
)
def test_what_never_runs_does_not_count(tmp_path: Path, line: str) -> None:
    write(tmp_path, a=line, b="")
    assert names(tmp_path) == {"a"}


def test_follows_chains_and_circles(tmp_path: Path) -> None:
    write(tmp_path, a="import tasks.b", b="import tasks.c", c="import tasks.a", d="import tasks.a")
    assert names(tmp_path) == {"a", "b", "c"}
    assert names(tmp_path, "d") == {"a", "b", "c", "d"}


def test_a_packages_own_file_counts(tmp_path: Path) -> None:
    write(tmp_path, a="from tasks.b import x", b="", __init__="import tasks.c", c="")
    assert names(tmp_path) == {"__init__", "a", "b", "c"}


def test_broken_source_is_named(tmp_path: Path) -> None:
    write(tmp_path, a="import tasks.b", b="def (")
    with pytest.raises(InputError, match=r"b\.py"):
        closure(tmp_path / "tasks" / "a.py", tmp_path)


def test_contains_all_that_python_itself_imports() -> None:
    """Oracle: what a fresh interpreter has loaded of this project after importing the module."""
    script = """
import sys, tasks.params
for name in list(sys.modules):
    if name.startswith("tasks"):
        print(sys.modules[name].__file__)
"""
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = closure(ROOT / "tasks" / "params.py", ROOT)
    assert {Path(name) for name in loaded.stdout.split()} <= ours
