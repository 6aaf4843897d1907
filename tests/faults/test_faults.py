"""Faults in short: what a stage reads or wrote is disturbed, a disk that is full. `make faults` is the long run."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from flows.engine import run as flow_run
from tasks.core.errors import CacheError, EmoriffError
from tasks.core.files import write_text
from tasks.core.storage import replacing
from tasks.execution import buckets
from tasks.execution.cache import Cache
from tasks.execution.items import Bucket, Item
from tasks.execution.locks import holder, lock
from tasks.lineage import records
from tests.faults.kills import half_written, kills
from tests.faults.table import Row, message_of, skipped, table
from tests.faults.undisturbed import STAGES, shared_server, undisturbed
from tests.repository import ROOT, environment

STAGE = {
    "convert": {
        "cmd": "python -m flows convert",
        "params": ["convert"],
        "deps": ["raw", "tasks/audio.py"],
        "outs": ["wav"],
    }
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of one stage, with one item that was remembered from inputs as they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flow_run, "KEYS", ["key"])
    for name, text in {
        "dvc.yaml": yaml.safe_dump({"stages": STAGE}), "params.yaml": "convert: {rate: 44100}\n", "raw/12.mp3": "song",
        "tasks/audio.py": "x = 1\n", "wav/12.wav": "sound",
    }.items():  # fmt: skip
        write_text(tmp_path / name, text)
    Cache().remember("key", [{"file": "12.wav"}], [Path("wav/12.wav")])
    return tmp_path


CHANGES = {  # file -> its new text, what the message names
    "raw/12.mp3": ("another song", "raw"),
    "params.yaml": ("convert: {rate: 22050}\n", "params.yaml"),
    "tasks/audio.py": ("x = 2\n", "tasks/audio.py"),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_what_changes_under_a_stage_fails_it_and_leaves_nothing_in_the_cache(folder: Path, name: str) -> None:
    text, named = CHANGES[name]
    with pytest.raises(records.ChangedError, match=named), flow_run.forgetting(), records.recorded(folder, "convert"):
        (folder / name).write_text(text)
    assert Cache().get("key") is None
    assert records.read(folder)[-1].status == "failed"


def test_an_error_that_a_change_caused_is_told_as_the_change(folder: Path) -> None:
    song = folder / "raw/12.mp3"
    with pytest.raises(records.ChangedError, match="raw"), records.recorded(folder, "convert"):
        song.rename(folder / "gone.mp3").with_name("12.mp3").read_bytes()


def test_an_undisturbed_stage_keeps_its_cache_and_its_own_errors(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), flow_run.forgetting(), records.recorded(folder, "convert"):
        raise ZeroDivisionError
    assert Cache().get("key")


def test_an_output_that_vanishes_before_the_end_fails_the_stage(folder: Path) -> None:
    flow_run.check_outputs()
    (folder / "wav/12.wav").unlink()
    with pytest.raises(CacheError, match=r"1 files were removed[\s\S]*wav/12\.wav"):
        flow_run.check_outputs()


def test_a_worker_that_hangs_does_not_hold_up_the_error() -> None:
    started = time.monotonic()
    with pytest.raises(EmoriffError, match="takes too long"), buckets.process_pool(1):
        buckets.result_of("song 1", buckets.POOL[-1].submit(time.sleep, 300), 0.1)
    assert time.monotonic() - started < 100


def test_waiting_for_ones_turn_is_not_taking_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Item(f"song {number}", {}, {"seconds": 1}) for number in range(4)]
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(4) as waiting:
        monkeypatch.setattr(buckets, "POOL", [pool])
        done = waiting.map(lambda item: list(buckets.computed(Bucket("all", [item]), nap, [item], 2, {})), items)
    assert [rows for bucket in done for _, (rows, _) in bucket] == [[{"slept": 1}]] * 4


def nap(seconds: int) -> dict[str, int]:
    time.sleep(seconds)
    return {"slept": seconds}


def test_a_stop_ends_the_living_beside_the_dead() -> None:
    code = """
import subprocess, time
from flows.engine.run import stop
dead, living = subprocess.Popen(["true"]), subprocess.Popen(["sleep", "300"])  # which holds the output open
time.sleep(0.5)
stop()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, timeout=200, check=False)
    assert done.returncode == 143


def test_random_kills_of_a_bucket_leave_nothing_half_written_and_resume_to_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.buckets", str(tmp_path), "10", "1"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"kills": 10, "files": 5, "broken": []}


@pytest.mark.slow
def test_random_kills_of_whole_stages(tmp_path: Path) -> None:
    with shared_server(tmp_path / "prefect") as server:
        world = undisturbed(tmp_path, server, STAGES[:3])
        done = kills(world, range(4), seed=1, jobs=1)
    assert [kill.line() for kill in done if not kill.good] == []


@contextmanager
def files_of(n_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond that; not a fixture, for then pytest's own report would not either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_does_not_fit_keeps_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    wanted = pytest.raises(EmoriffError, match="cannot write: File too large")
    with files_of(1000), wanted, replacing(target) as temporary:
        temporary.write_bytes(bytes(2000))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert target.read_bytes() == b"old"


def test_a_full_disk_keeps_only_the_holders_name_out_of_a_lock(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_bytes(bytes(1000))
    with files_of(0), lock(tmp_path / "a.lock", wait=False, echo=print):
        assert "not said its name" in holder(tmp_path / "a.lock")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere; the long run mounts a read-only folder")
def test_a_read_only_folder_says_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(EmoriffError, match="give write permission"):
        write_text(tmp_path / "below/a.txt", "x")


def test_the_table_tells_good_bad_and_skipped_apart() -> None:
    rows = [Row("a", "b", "c", "d | e", True, True), Row("a", "b", "c", "d", False, False), skipped("a", "no root")]
    verdicts = [line.split(" | ")[-2:] for line in table(rows).splitlines()[2:]]
    assert verdicts == [["yes", "good |"], ["NO", "BAD |"], ["-", "skipped |"]]


def test_half_written_is_what_is_neither_old_nor_new() -> None:
    now = {"kept": "1", "new": "2", "half": "x", ".part-3-new": "y"}
    assert half_written(now, {"kept": "1"}, {"kept": "1", "new": "2", "half": "3"}) == ["half"]


def test_our_message_is_found_in_what_a_run_prints() -> None:
    said = "Running stage\nemoriff: cannot write\n  where: a\n  what to do: free some space\nERROR: failed\n"
    assert message_of(said) == "emoriff: cannot write; where: a; what to do: free some space"
