import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import __main__ as commands
from flows.deploy import repro
from tasks.core.errors import CacheError
from tasks.core.files import write_text
from tasks.execution import buckets
from tasks.execution.cache import Cache
from tasks.execution.items import Bucket, Item
from tasks.execution.worker import call
from tasks.lineage import pipeline, records
from tasks.lineage.dvc_dirs import folder_md5, song_of, songs_by_part
from tasks.lineage.machine import git_state

DVC_YAML = """
stages:
  convert:
    cmd: python -m flows convert
    params: [convert, seed]
    deps: [raw, tasks/audio.py]
    outs: [wav: {persist: true}]
  train:
    foreach: ${train.experiments}
    do:
      cmd: python -m flows train ${key}
      params: ["train.experiments.${key}"]
      deps: [wav]
      outs: ["models/${key}"]
"""
PARAMS = "seed: 7\nconvert: {rate: 44100}\ntrain: {experiments: {exp1: {steps: 5}, ours: {steps: 9}}}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small pipeline: one song, one source file."""
    for name, text in {
        "dvc.yaml": DVC_YAML, "params.yaml": PARAMS, "raw/12.mp3": "song", "tasks/audio.py": "x = 1\n",
        ".gitignore": ".emoriff\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "start")
    return tmp_path


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def make_wav(root: Path) -> None:
    (root / "wav").mkdir(exist_ok=True)
    (root / "wav" / "12.wav").write_text("sound")


def test_a_run_tells_what_made_what(root: Path) -> None:
    with records.recorded(root, "convert") as counts:
        make_wav(root)
        counts.update({"done": 1, "from cache": 0, "flow_run": "abc"})
    (run,) = records.read(root)
    assert (run.stage, run.status, run.counts, run.flow_run) == (
        "convert",
        "complete",
        {"done": 1, "from cache": 0},
        "abc",
    )
    assert run.parameters == {"convert": {"rate": 44100}, "seed": 7}
    assert list(run.inputs) == ["raw"]
    assert list(run.outputs) == ["wav"]
    assert run.git.commit == git(root, "rev-parse", "HEAD").strip()
    assert not run.git.dirty
    assert run.environment.packages["pyarrow"]
    assert records.load_object(root, run.code["tasks/audio.py"]) == b"x = 1\n"
    assert records.songs_of(root, run.outputs["wav"]) == {"": [12]}


def test_a_failed_run_is_recorded_and_raised(root: Path) -> None:
    with pytest.raises(ValueError, match="no luck"), records.recorded(root, "convert"):
        raise ValueError("no luck")
    (run,) = records.read(root)
    assert (run.status, run.error, run.outputs) == ("failed", "ValueError: no luck", {})


def test_experiments_have_their_own_name_and_parameters(root: Path) -> None:
    with records.recorded(root, "train", "ours"):
        pass
    (run,) = records.read(root)
    assert (run.stage, run.parameters) == ("train@ours", {"train.experiments.ours": {"steps": 9}})


def test_uncommitted_code_is_seen_and_outputs_of_runs_are_not(root: Path) -> None:
    (root / "dvc.lock").write_text("new")
    assert not git_state(root).dirty
    (root / "tasks" / "new.py").write_text("1")
    first = git_state(root)
    (root / "tasks" / "new.py").write_text("2")
    assert first.dirty
    assert first.changes != git_state(root).changes


def test_an_untracked_file_may_have_any_name(root: Path) -> None:
    (root / "tasks" / "cópia of audio.py").write_text("x = 2\n")
    assert git_state(root).dirty


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path).commit is None


def test_a_queued_experiment_leaves_its_record_in_the_repository(root: Path) -> None:
    elsewhere = root / ".dvc/tmp/exps/tmp1"
    elsewhere.mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        (elsewhere / name).write_bytes((root / name).read_bytes())
    with records.recorded(elsewhere, "convert"):
        make_wav(elsewhere)
    assert [run.stage for run in records.read(root)] == ["convert"]


def test_a_line_cut_short_by_a_kill_costs_only_itself(root: Path) -> None:
    for _ in range(2):
        with records.recorded(root, "convert"):
            make_wav(root)
        with (root / records.FOLDER / "runs.jsonl").open("a") as file:
            file.write('{"id": "half')
    assert len(records.read(root)) == 2


def test_a_record_of_a_newer_version_is_read(root: Path) -> None:
    with records.recorded(root, "convert"):
        make_wav(root)
    path = root / records.FOLDER / "runs.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), "future": 1}) + "\n")
    assert records.read(root)[0].stage == "convert"


def test_appending_from_two_processes_loses_nothing(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from tasks.lineage.records import append\n"
    script += "for i in range(50): append(Path(sys.argv[1]), sys.argv[2] * 20000)"
    path = tmp_path / "runs.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", script, path, mark]) for mark in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(set(path.read_text().splitlines())) == ["a" * 20000, "b" * 20000]
    assert len(path.read_text().splitlines()) == 100


def test_hashes_and_stages_are_dvcs(root: Path) -> None:
    """Oracle: DVC itself runs the stage, hashes the folders and writes the lock."""
    text = (
        (root / "dvc.yaml")
        .read_text()
        .replace("python -m flows convert", "mkdir -p wav/a && cp raw/12.mp3 wav/a/é.wav")
    )
    (root / "dvc.yaml").write_text(
        text.replace("python -m flows train ${key}", "mkdir -p models && cp -r wav models/${key}")
    )
    for arguments in (["init", "-q"], ["repro", "-q"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, check=True)
    lock, stages = pipeline.locked(root), pipeline.declared(root)
    assert lock.keys() == stages.keys() == {"convert", "train@exp1", "train@ours"}
    for name, ran in lock.items():
        assert {**ran.deps, **ran.outs} == {path: records.content_md5(root, path) for path in (*ran.deps, *ran.outs)}
        assert set(stages[name].deps) == set(ran.deps)
        assert stages[name].command == ran.command
        assert set(stages[name].parameters) == set(ran.parameters)


@pytest.mark.parametrize(
    ("name", "song"),
    [("audio/12.mp3", 12), ("00012_003_0.png", 12), ("train/00002_000_1-pitch+2.png", 2), ("manifest.parquet", None),
     ("annotations/2_x.csv", None), ("3abc.wav", None)],
)  # fmt: skip
def test_the_song_of_a_file(name: str, song: int | None) -> None:
    assert song_of(name) == song


@given(st.dictionaries(st.sampled_from(["b", "a/1", "a/2"]), st.text("0123456789abcdef", min_size=32, max_size=32)))
def test_a_folders_hash_ignores_the_order_of_its_files(files: dict[str, str]) -> None:
    assert folder_md5(files) == folder_md5(dict(reversed(files.items())))


def test_songs_are_kept_apart_by_split() -> None:
    names = ["train/00002_000_0.png", "train/00002_001_0.png", "test/00003_000_0.png", "dataset.parquet"]
    assert songs_by_part(names) == {"train": [2], "test": [3]}


@pytest.mark.parametrize("harm", ["remove", "alter"])
def test_an_output_disturbed_before_it_is_remembered_is_an_error(tmp_path, monkeypatch, harm: str) -> None:
    def seven() -> dict[str, str]:
        write_text(tmp_path / "7.txt", "seven")
        return {"file": "7.txt"}

    def disturbed_call(function, arguments):
        rows, written = call(function, arguments)
        (tmp_path / "7.txt").unlink() if harm == "remove" else (tmp_path / "7.txt").write_text("eight")
        return rows, written

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(buckets, "call", disturbed_call)
    bucket = Bucket("7", [Item("song 7", {}, {}, folder=str(tmp_path), key="k")])
    with pytest.raises(CacheError, match=r"removed or altered(?s:.*)7\.txt"):
        buckets.in_pool(bucket, seven, files=["file"])
    assert Cache().get("k") is None


def test_a_lock_file_that_a_full_disk_cut_short_is_put_back(tmp_path, monkeypatch, capsys) -> None:
    def full(words: list[str], env: dict[str, str]) -> int:
        Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  convert:\n    cm")
        return 255

    monkeypatch.chdir(tmp_path)
    repro.LOCAL.mkdir()
    (repro.LOCAL / "dvc.lock.before").write_text("of an earlier run")
    Path("dvc.lock").write_text(before := "schema: '2.0'\nstages: {}\n")
    monkeypatch.setattr(repro.subprocess, "call", full)
    monkeypatch.setattr(repro, "free_gib", lambda path: 0.001)
    assert repro.dvc_repro([]) == 255
    assert Path("dvc.lock").read_text() == before
    assert "free some space" in capsys.readouterr().out
    Path("dvc.lock").unlink()
    assert repro.dvc_repro([]) == 255
    assert not Path("dvc.lock").exists()


def test_a_full_disk_without_a_name_is_a_message(monkeypatch, capsys) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(commands, "app", full)
    with pytest.raises(SystemExit):
        commands.main(["convert"])
    assert "emoriff: cannot be used: No space left on device\n  what to do: " in capsys.readouterr().err


def test_what_a_zombie_holds_of_dvcs_paths_is_released(tmp_path, monkeypatch, zombie: int) -> None:
    monkeypatch.chdir(tmp_path)
    mine, dead = {"pid": os.getpid(), "cmd": "me"}, {"pid": zombie, "cmd": "dvc repro"}
    repro.PATHS_LOCK.parent.mkdir(parents=True)
    held = {"read": {"a": [dead], "b": [dead, mine]}, "write": {"c": dead, "d": mine}}
    repro.PATHS_LOCK.write_text(json.dumps(held))
    repro.release_dead()
    assert json.loads(repro.PATHS_LOCK.read_text()) == {"read": {"b": [mine]}, "write": {"d": mine}}


def test_a_run_waits_for_a_dvc_at_work_and_not_for_another_program(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    repro.PATHS_LOCK.parent.mkdir(parents=True)
    (tmp_path / "dvc").write_text("print(flush=True); input()")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "dvc", "repro"], text=True, **pipes) as left_behind:
        left_behind.stdout.readline()  # it runs
        by = {"write": {"c": {"pid": left_behind.pid, "cmd": "dvc"}}}
        repro.PATHS_LOCK.write_text(json.dumps({"read": {"a": [{"pid": os.getpid(), "cmd": "me"}]}} | by))
        said = list[str]()

        def echo(message: str) -> None:
            said.append(message)
            print(file=left_behind.stdin, flush=True)  # it ends

        monkeypatch.setattr(repro, "echo", echo)
        repro.wait_for_dvc()
        assert not repro.is_dvc(left_behind.pid)
        assert left_behind.wait() == 0
        assert said == [f"waiting for DVC (process {left_behind.pid}), which is at work here"]
