"""What the tests share."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks import settings as parameters
from tests import planted
from tests.repository import Repository

ROOT = Path(__file__).parent.parent


FIRST = ("test_pipeline.py", "test_changes.py", "test_orchestration.py")  # long, so no worker waits for them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; a worker of xdist takes whole files, because session fixtures are dear."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture
def real_data() -> Path:
    """Real DEAM annotations and clips, where the machine has them."""
    folder = Path(os.environ.get("EMORIFF_REAL_DATA", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set EMORIFF_REAL_DATA")
    return folder


@pytest.fixture
def demo_params() -> parameters.Params:
    """The demo profile, checked."""
    return parameters.load(ROOT / "profiles" / "demo.yaml")


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A small copy of the project after `emoriff repro`; tests that change it change it back."""
    repository = Repository(tmp_path_factory.mktemp("repository") / "emoriff")
    planted.plant(repository.folder)  # tests/test_security.py looks for what leaked
    repository.printed = repository.emoriff("repro", **planted.SECRETS)
    repository.commit("reproduced")
    return repository


@pytest.fixture
def zombie() -> Iterator[int]:
    """The number of a process that has ended and that nobody has reaped."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    yield process.pid
    process.wait()
