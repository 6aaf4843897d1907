"""What counts as code that decides a result, and which edits of it do not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import InputError
from tasks.execution import closure
from tasks.execution.closure import deciding, modules_of_stage, source_digest, tasks_digest

ROOT = Path(__file__).parents[2]
BEFORE = '''
import logging
log = logging.getLogger("x")
LEVEL = 1.0

def gain(samples, by=2):
    """Louder."""
    total = []
    for sample in samples:
        if sample > LEVEL:
            raise ValueError("too loud")
        total.append(sample * by)
    return total
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Louder."""', '"""As loud as asked.\n\n    Raises:\n        ValueError: too loud.\n    """'),
        ('    """Louder."""\n', ""),
        ("LEVEL = 1.0", "LEVEL = 1.0  # full scale"),
        ("LEVEL = 1.0", "LEVEL = (\n    1.0\n)"),
        ("(samples, by=2)", "(samples: list[float], by: float = 2) -> list[float]"),
        ("total", "louder"),
        ("sample in", "one in"),
        ('"too loud"', 'f"too loud: {samples}", 1'),
        ("total = []", 'total = []\n    log.warning("slow")'),
        ("total = []", "total = []\n    assert samples"),
        ("import logging", "import logging\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import x"),
    ],
)
def test_what_cannot_change_a_result_leaves_the_digest(old: str, new: str) -> None:
    if old == "sample in":  # the loop's variable, and not the argument that begins the same way
        after = BEFORE.replace("sample in", "one in").replace("sample >", "one >").replace("(sample *", "(one *")
    else:
        after = BEFORE.replace(old, new)
    before = BEFORE
    if "TYPE_CHECKING" in new:
        before = BEFORE.replace("import logging", "import logging\nfrom typing import TYPE_CHECKING", 1)
    assert after != BEFORE
    assert source_digest(after) == source_digest(before)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LEVEL = 1.0", "LEVEL = 1"),
        ("LEVEL = 1.0", "LEVEL = True"),
        ("by=2", "by=3"),
        ("by=2", "factor=2"),  # callers may use its name
        ("> LEVEL", ">= LEVEL"),
        ("raise ValueError", "print"),
        ("raise ValueError", "raise TypeError"),  # who catches one catches not the other
        ("raise ValueError(", "raise AudioError("),  # its words become a row's reason
        ("return total", "return list(reversed(total))"),
        ("def gain", "def louder"),
    ],
)
def test_what_can_change_a_result_changes_the_digest(old: str, new: str) -> None:
    after = BEFORE.replace(old, new).replace("sample * by", "sample * factor" if "factor" in new else "sample * by")
    assert source_digest(after) != source_digest(BEFORE)


def test_the_words_of_an_error_that_becomes_a_row_are_part_of_the_result() -> None:
    text = 'raise AudioError("{}")'
    assert source_digest(text.format("silent")) != source_digest(text.format("no sound"))


def test_of_a_flow_only_its_tasks_decide() -> None:
    flow = "@task(retries=1)\ndef convert(bucket):\n    return f(bucket, {0})\n\n\n@flow\ndef run():\n    {1}\n"
    before = tasks_digest(flow.format("1", "print(1)"))
    assert tasks_digest(flow.format("1", "print(2)")) == before
    assert tasks_digest(flow.format("1", "print(1)").replace("retries=1", "retries=2")) == before
    assert tasks_digest(flow.format("2", "print(1)")) != before


def test_broken_source_is_named() -> None:
    with pytest.raises(InputError, match=r"b\.py"):
        source_digest("def (", "tasks/b.py")


@pytest.mark.parametrize("module", ["tasks.convert.convert", "tasks.train.train", "tasks.evaluate.evaluation"])
def test_contains_all_that_python_itself_imports(module: str) -> None:
    """Oracle: what a fresh interpreter has loaded of this project after importing the module."""
    script = f"""
import sys, {module}
print(*(name for name in sys.modules if name.startswith("tasks") and name.count(".") > 1))
"""
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) <= set(closure.closure(module))


def test_an_import_inside_a_function_counts() -> None:
    assert "tasks.trainer.loop" in closure.closure("tasks.train.train")


@pytest.mark.parametrize("stage", ["convert", "train", "report"])
def test_plumbing_decides_nothing(stage: str) -> None:
    names = modules_of_stage(stage)
    assert {"tasks.core.files", f"tasks.{stage}.{stage}"} <= set(names)
    assert not any("execution" in name or name.endswith((".params", ".storage", ".layout")) for name in names)


def test_the_faces_of_packages_hold_nothing_that_runs() -> None:
    for path in [*ROOT.glob("tasks/**/__init__.py"), *ROOT.glob("flows/**/__init__.py")]:
        assert source_digest(path.read_text()) == source_digest(""), path


def test_a_params_module_decides_nothing_but_by_its_values() -> None:
    """It is left out of the keys, which have the values: so it declares and checks, and computes nothing."""
    import importlib

    from tasks.core.params_base import Block

    for path in ROOT.glob("tasks/*/params.py"):
        module = importlib.import_module(f"tasks.{path.parent.name}.params")
        blocks = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Block)]
        for block in blocks:
            own = {name for name, value in vars(block).items() if isinstance(value, property)}
            assert not own, f"{block.__name__}: {own} decide what the values alone do not"


def test_deciding_modules_are_files_of_this_project() -> None:
    assert all(closure.file_of(name).is_file() for name in deciding("tasks.trainer.loop"))
