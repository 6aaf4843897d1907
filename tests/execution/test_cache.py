"""A hit is a hit only while its files are what they were."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import CacheError, LockError
from tasks.core.files import write_text
from tasks.core.storage import replacing, stamp
from tasks.execution.cache import Cache, dvc_cache, item_key, prune
from tasks.execution.locks import lock


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.chdir(tmp_path)
    return Cache()


def remembered(cache: Cache, text: str = "a", key: str = "key") -> Path:
    """A file, recorded under a key and stored in DVC's cache as a finished stage leaves it."""
    path = Path("out.txt")
    path.write_text(text)
    md5 = cache.remember(key, [{"file": path.name}], [path]).files["out.txt"]
    stored = cache.dvc_cache / md5[:2] / md5[2:]
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(text)
    return path


def test_touch_keeps_a_hit(cache: Cache) -> None:
    path = remembered(cache)
    os.utime(path, (1, 1))
    assert cache.intact("key")


def test_the_same_bytes_written_again_are_not_another_file(cache: Cache) -> None:
    path = Path("out.txt")
    write_text(path, "a")
    before = stamp(path)
    write_text(path, "a")
    assert stamp(path) == before
    write_text(path, "b")
    assert (path.read_text(), stamp(path) == before) == ("b", False)
    assert sorted(os.listdir()) == [".emoriff", "out.txt"]


def test_other_bytes_are_written_where_the_clock_of_the_disk_is_coarse(cache: Cache) -> None:
    path = Path("out.txt")
    for text in ("a", "a", "b"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            os.utime(temporary, (1, 1))
        assert path.read_text() == text


def test_an_altered_output_is_put_back_from_dvcs_cache(cache: Cache) -> None:
    path = remembered(cache)
    path.write_text("altered")
    assert cache.intact("key") is None
    assert cache.recall("key")
    assert path.read_text() == "a"


def test_a_deleted_output_without_a_copy_is_a_miss(cache: Cache) -> None:
    path = Path("out.txt")
    path.write_text("a")
    cache.remember("key", [], [path])
    path.unlink()
    assert cache.recall("key") is None
    assert cache.get("key") is None


def test_rows_come_back_with_their_columns_in_order(cache: Cache) -> None:
    """A manifest takes its columns from its first row, which may be remembered or made just now."""
    cache.remember("key", [{"song_id": 1, "file": "1.wav"}], [])
    record = cache.recall("key")
    assert record
    assert list(record.rows[0]) == ["song_id", "file"]


def test_outputs_that_vanish_or_change_before_the_stage_ends_are_named(cache: Cache) -> None:
    path = remembered(cache)
    assert cache.altered("key") == []
    path.write_text("altered")
    assert cache.altered("key") == ["out.txt"]
    path.unlink()
    assert cache.altered("key") == ["out.txt"]
    assert cache.altered("another key") == []


def test_inputs_a_b_a_never_leave_bs_output_under_as_name(cache: Cache) -> None:
    remembered(cache, "a", "key of a")
    path = remembered(cache, "b", "key of b")
    assert cache.recall("key of a")
    assert path.read_text() == "a"


def test_a_corrupt_entry_is_told_removed_and_made_again(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    path = remembered(cache)
    stored = next(file for file in cache.dvc_cache.rglob("*") if file.is_file())
    stored.write_text("corrupt")
    path.unlink()
    with caplog.at_level(logging.WARNING):
        assert cache.recall("key") is None
    assert "corrupt cache entry" in caplog.text
    assert not stored.exists()
    assert not path.exists()


def test_a_key_depends_on_inputs_and_parameters_not_on_their_order() -> None:
    key = item_key(["a"], {"a": "1", "b": "2"}, {"x": 1})
    assert key == item_key(["a"], {"b": "2", "a": "1"}, {"x": 1})
    assert key != item_key(["a"], {"a": "1", "b": "3"}, {"x": 1})
    assert key != item_key(["b"], {"a": "1", "b": "2"}, {"x": 1})


def test_a_cache_that_is_no_database_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_text("no database " * 100)
    with pytest.raises(CacheError, match="remove it"):
        Cache(tmp_path)


def test_a_full_disk_says_what_to_do(cache: Cache) -> None:
    cache._execute("pragma max_page_count = 5")  # as many as there are: SQLite's own way to be full
    with pytest.raises(CacheError, match="is full"):
        cache.remember("key", [{"long": "x" * 100_000}], [])
    cache._execute("pragma max_page_count = 1000")
    cache.remember("key", [{"long": "x" * 100_000}], [])
    assert cache.intact("key")


def test_a_read_only_cache_says_what_to_do(cache: Cache) -> None:
    cache._execute("pragma query_only = on")
    with pytest.raises(CacheError, match="readonly"):
        cache.remember("key", [], [])


@pytest.mark.parametrize(
    ("text", "place"),
    [("", ".dvc/cache"), ("[core]\n    analytics = false\n[cache]\n    dir = /lab/cache\n", "/lab/cache"),
     ("['remote \"s\"']\n    url = s3://a\n[cache]\n    dir = ../../shared\n", ".dvc/../../shared")],
)  # fmt: skip
def test_dvcs_cache_is_where_its_configuration_says(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(text)
    assert dvc_cache(tmp_path) == tmp_path / place / "files/md5"


def test_prune_removes_what_no_longer_belongs(tmp_path: Path) -> None:
    for name in ("keep.wav", "gone/orphan.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    prune(tmp_path, [tmp_path / "keep.wav"])
    assert [path.name for path in tmp_path.rglob("*")] == ["keep.wav"]


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    file = tmp_path / "stage.lock"
    code = f"""
from pathlib import Path; from tasks.execution.locks import lock
with lock(Path({str(file)!r}), True, print):
    print("held", flush=True); input()"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockError, match=f"process {holder.pid}"), lock(file, wait=False, echo=print):
            pass
        holder.kill()
    with lock(file, wait=False, echo=print):
        assert file.exists()


def test_a_lock_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file where the folder should be")
    with pytest.raises(LockError, match="give write permission"), lock(tmp_path / "locks/a.lock", True, print):
        pass


def test_a_full_disk_is_told_of_a_library_that_has_errors_of_its_own(tmp_path: Path) -> None:
    code = """
import resource, numpy
from pathlib import Path
from safetensors.numpy import save_file
from tasks.core.storage import replacing
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with replacing(Path("w.safetensors")) as temporary:
    save_file({"weights": numpy.zeros(10_000)}, temporary)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                         env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    assert "EmoriffError: cannot write: File too large\n" in run.stderr
    assert list(tmp_path.iterdir()) == []
