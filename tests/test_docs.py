"""The docs: reference pages are the code's, examples run, commands exist, links lead somewhere."""

import doctest
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer

from docs import generate, pipeline_picture
from flows.__main__ import main
from tests.repository import ROOT, Repository, tiny_params

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"(?:^<!-- (run[^>]*?) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]


def fences(page: Path, language: str) -> list[tuple[str, str]]:
    """(mark, content) of the fences of a language."""
    return [(mark, text) for mark, name, text in FENCE.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """(mark, words) of every command of a page, without remarks."""
    return [
        (mark, shlex.split(line[2:], comments=True))
        for mark, text in fences(page, "console")
        for line in text.split("\n")
        if line.startswith("$ ")
    ]


def real_folder() -> Path:
    return Path(os.environ.get("EMORIFF_REAL_DATA", ROOT.parent / "shared" / "real"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of the project that has run nothing, with the files that the docs speak of."""
    place = Repository(tmp_path_factory.mktemp("docs") / "emoriff")
    seconds = np.arange(6 * 44100) / 44100
    tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(place.folder / "tone.wav", tone, 44100)
    (place.folder / "mine").mkdir()
    soundfile.write(place.folder / "mine" / "1.wav", tone, 44100)
    (place.folder / "mine" / "labels.csv").write_text("song_id,valence,arousal\n1,7,3\n")
    if real_folder().is_dir():
        (place.folder / "DEAM").symlink_to(real_folder() / "deam")
    return place


@pytest.mark.parametrize("name", generate.pages())
def test_the_reference_is_what_the_code_prints(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert (generate.FOLDER / name).read_text() == generate.pages()[name], "run `python -m docs.generate`"


def test_the_picture_of_the_data_flow_is_what_the_code_draws() -> None:
    assert pipeline_picture.TARGET.read_text() == pipeline_picture.drawing(), "run `python -m docs.pipeline_picture`"


RUNNABLE = [page for page in PAGES if any(mark for mark, _ in commands(page))]


@pytest.mark.parametrize("page", RUNNABLE, ids=[page.stem for page in RUNNABLE])
def test_marked_commands_of_a_page_run_one_after_the_other(
    page: Path, workplace: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace.folder)
    workplace.set_params(tiny_params())
    marked = [(mark, words) for mark, words in commands(page) if mark]
    possible = [words for mark, words in marked if "DEAM" not in mark or Path("DEAM").exists()]
    for words in possible:
        assert words[0] == "emoriff", f"{page}: only our own commands are marked"
        with pytest.raises(SystemExit) as ended:
            main(words[1:])
        assert not ended.value.code, words
        assert capsys.readouterr().out.strip()
    if not possible:
        pytest.skip("no real annotations: set EMORIFF_REAL_DATA")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_and_option_exists(page: Path) -> None:
    for _, words in commands(page):
        assert words[0] in CHECKS, f"unknown program: {words}"
        CHECKS[words[0]](words[1:])


def check_emoriff(words: list[str]) -> None:
    from flows.__main__ import app

    group: Any = typer.main.get_command(app)
    if words[0] == "repro":
        return check_dvc(words)
    if words[0] == "--help":
        return None
    known = {name for parameter in group.commands[words[0]].params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}, words
    return None


def check_dvc(words: list[str]) -> None:
    from dvc.cli.parser import get_main_parser

    get_main_parser().parse_args(words)  # SystemExit on an unknown command or option


def check_make(words: list[str]) -> None:
    assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words


def check_python(words: list[str]) -> None:
    assert words[0] == "-m"
    assert (ROOT / f"{words[1].replace('.', '/')}.py").is_file(), words


CHECKS = {"emoriff": check_emoriff, "dvc": check_dvc, "make": check_make, "python": check_python}


def test_examples_of_the_api_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [text for _, text in fences(ROOT / "docs" / "api.md", "python")]
    if real_folder().is_dir():
        (tmp_path / "DEAM").symlink_to(real_folder() / "deam")
    else:
        texts = [text for text in texts if "DEAM" not in text]
    example = doctest.DocTestParser().get_doctest("\n".join(texts), {}, "api.md", "api.md", 0)
    said: list[str] = []
    results = doctest.DocTestRunner().run(example, out=said.append)
    assert results.attempted > 15
    assert not results.failed, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target
