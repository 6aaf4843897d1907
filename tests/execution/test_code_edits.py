"""Edits of the real sources, and the stages whose keys they change."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.execution import closure
from tests.flow_tasks import STAGES, tasks_of

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.name for path in (ROOT / "tasks").iterdir() if (path / "__init__.py").is_file())


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the sources, whose texts the keys are made of."""
    shutil.copytree(ROOT / "tasks", tmp_path / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    closure.code_digest.cache_clear()
    yield tmp_path
    closure.code_digest.cache_clear()


def keys() -> dict[str, list[str]]:
    """The code's part in the keys of each stage."""
    closure.code_digest.cache_clear()
    modules = {stage: {task.cache_policy.function.__module__ for task in tasks_of(stage)} for stage in STAGES}
    return {stage: [closure.code_digest(module) for module in sorted(modules[stage])] for stage in STAGES}


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / name
    assert old in path.read_text(), f"{name} has no {old!r}"
    path.write_text(path.read_text().replace(old, new, 1))


def comment(text: str) -> str:
    return f"{text}\n# a comment, at the end\n".replace("\n\n\n", "\n\n\n# and one between\n", 1)


def docstring(text: str) -> str:
    return re.sub(r'( {4}""")([A-Z`])', r"\1In other words: \2", text)


@pytest.mark.parametrize("change", [comment, docstring])
@pytest.mark.parametrize("package", PACKAGES)
def test_a_comment_or_docstring_changes_no_key(copy: Path, package: str, change: Callable[[str], str]) -> None:
    before = keys()
    for path in (copy / "tasks" / package).glob("*.py"):
        path.write_text(change(path.read_text()))
    assert keys() == before


NOTHING = {
    "how bytes reach the disk": ("tasks/core/storage.py", "os.replace(temporary, target)", "temporary.rename(target)"),
    "how long a lock is waited for": ("tasks/execution/locks.py", "time.sleep(0.2)", "time.sleep(0.1)"),
    "the cache's database": ("tasks/execution/cache.py", "synchronous = normal", "synchronous = off"),
    "an error's words": ("tasks/label/labels.py", "InputError(\n", "InputError(\n            \"odd: \"\n"),
    "an error": ("tasks/core/errors.py", "class LockError", "class OddError(Exception): ...\n\n\nclass LockError"),
    "a place": ("tasks/core/layout.py", 'WAV = DATA / "wav"', 'WAV = DATA / "wave"'),
    "an added block": ("tasks/settings.py", "class Params(", "class More(Block):\n    more: int\n\n\nclass Params("),
    "an added knob": ("tasks/convert/params.py", "    min_seconds", "    dither: bool = False\n    min_seconds"),
    "an experiment": ("tasks/train/params.py", "class TrainParams", "class Odd(Block): ...\n\n\nclass TrainParams"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_what_decides_no_byte_changes_no_key(copy: Path, name: str) -> None:
    before = keys()
    edit(copy, *NOTHING[name])
    assert keys() == before


COMPUTES = {
    "the corpus": (("tasks/demo_corpus/corpus.py", "FULL_SONG = 1.2", "FULL_SONG = 1.3"), ["download"]),
    "full scale": (("tasks/audio/write.py", "FULL_SCALE = 32767", "FULL_SCALE = 9"), ["convert", "generate", "report"]),
    "a rejected song's reason": (("tasks/convert/convert.py", 'AudioError("silent', 'AudioError("mute'), ["convert"]),
    "the codec": (
        ("tasks/codec/forward.py", "BLOCK_FRAMES = 16", "BLOCK_FRAMES = 8"),
        ["evaluate", "generate", "report", "spectrogram"],
    ),
    "how many salts are tried": (("tasks/label/splits.py", "N_SALTS = 100", "N_SALTS = 99"), ["dataset", "label"]),
    "what every stage calls": (("tasks/core/files.py", "[:8], 16)", "[:9], 16)"), STAGES),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPUTES)
def test_what_decides_bytes_changes_the_keys_of_the_stages_that_call_it(copy: Path, name: str) -> None:
    change, stages = COMPUTES[name]
    before = keys()
    edit(copy, *change)
    after = keys()
    assert sorted(stage for stage in STAGES if after[stage] != before[stage]) == stages


def test_a_renamed_local_variable_computes_its_own_package_at_most(copy: Path) -> None:
    before = keys()
    path = copy / "tasks/convert/convert.py"
    path.write_text(re.sub(r"\btarget\b", "destination", path.read_text()))
    after = keys()
    assert {stage for stage in STAGES if after[stage] != before[stage]} <= {"convert"}
