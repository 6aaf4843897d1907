"""Artifacts made when dvc.lock named single files of code, asked for after the code moved into packages."""

import shutil
from pathlib import Path

import pytest

from tasks.lineage.trace import trace
from tasks.why.status import why
from tests import toy

PICTURE = "data/spectrograms/00003_000_0.png"
OLD_FORM = {"flows/convert.py, tasks/audio": "tasks/audio.py", "flows/spectrogram.py, tasks/codec": "tasks/mel.py"}
OLD_FILES = {"tasks/audio/decoding.py": "tasks/audio.py", "tasks/codec/mel.py": "tasks/mel.py"}


def build_old_form(root: Path) -> str:
    """The toy pipeline as it was before the move, run; the commit that made its artifacts."""
    toy.build(root)
    texts = {new: (root / new).read_text() for new in OLD_FILES}
    shutil.rmtree(root / "tasks")
    for new, old in OLD_FILES.items():
        toy.write(str(root / old), texts[new])
    replace(root / "dvc.yaml", OLD_FORM)
    toy.make(root)
    return toy.commit(root, "Single files")


def move_into_packages(root: Path) -> None:
    """The same code as packages; nothing has run since."""
    for new, old in OLD_FILES.items():
        text = (root / old).read_text()
        (root / old).unlink()
        toy.write(str(root / new), text)
    replace(root / "dvc.yaml", {old: new for new, old in OLD_FORM.items()})
    toy.commit(root, "A package per stage")


def replace(path: Path, words: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in words.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("moved")
    return root, build_old_form(root)


@pytest.fixture
def moved(before: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """The repository right after the move, and the commit before it."""
    root = Path(shutil.copytree(before[0], tmp_path / "copy", symlinks=True))
    move_into_packages(root)
    return root, before[1]


def test_what_was_made_before_the_move_keeps_its_commit(moved: tuple[Path, str]) -> None:
    root, commit = moved
    link = trace(root, root / PICTURE).links[0]
    assert (link.code.commit, link.code.dirty, link.n_code_files) == (commit, False, 1)


def test_a_version_that_only_git_remembers_keeps_its_commit(moved: tuple[Path, str]) -> None:
    root, commit = moved
    former = (root / PICTURE).read_text()
    toy.set_parameter(root, "spectrogram.power", 0.5)
    toy.make(root)
    now = toy.commit(root, "Packages, and another power")
    assert trace(root, root / PICTURE).links[0].code.commit == now
    (root / PICTURE).write_text(former)
    link = trace(root, root / PICTURE).links[0]
    assert (link.evidence, link.code.commit, link.code.dirty) == ("git history", commit, False)


def test_uncommitted_code_made_it_before_the_move(before: tuple[Path, str], tmp_path: Path) -> None:
    root = Path(shutil.copytree(before[0], tmp_path / "copy", symlinks=True))
    (root / "tasks/mel.py").write_text("POWER = 2\n")
    toy.make(root)
    code = trace(root, root / PICTURE).links[0].code
    assert (code.commit, code.dirty, code.differs) == (before[1], True, ("tasks/mel.py",))


@pytest.mark.parametrize(("changed_again", "named"), [(False, "tasks/codec/mel.py"), (True, "tasks/codec")])
def test_uncommitted_code_made_it_after_the_move(moved: tuple[Path, str], changed_again: bool, named: str) -> None:
    """Without a record, a package that changed once more is known by its name only."""
    root, _ = moved
    (root / "tasks/codec/mel.py").write_text("POWER = 2\n")
    toy.make(root)
    if changed_again:
        (root / "tasks/codec/mel.py").write_text("POWER = 3\n")
    code = trace(root, root / PICTURE).links[0].code
    assert (code.commit, code.dirty) == (toy.run(root, "git", "rev-parse", "HEAD").strip(), True)
    assert code.differs == (named,)


def test_why_names_the_new_packages_then_file_and_line(moved: tuple[Path, str]) -> None:
    root, _ = moved
    (status,) = why(root, "spectrogram")
    assert {reason.what for reason in status.reasons if reason.kind == "code"} == {
        "flows/spectrogram.py",
        "tasks/codec",
    }
    toy.make(root)
    toy.commit(root, "Made by packages")
    (root / "tasks/codec/mel.py").write_text("POWER = 2\n")
    (reason,) = why(root, "spectrogram")[0].reasons
    assert (reason.what, reason.lines) == ("tasks/codec/mel.py", ("line 1: - POWER = 1", "line 1: + POWER = 2"))
