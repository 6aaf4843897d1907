"""The benchmarks' own sums: bars, the table, a corpus in which every song is another."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import corpus, load, record, results, watch
from benchmarks.plain import Plain
from benchmarks.record import Figure, Report
from tasks.audio.decoding import decode


def test_a_bar_is_met_from_the_side_it_is_asked_for() -> None:
    assert Figure("a", 1.5, "times", bar=1.5).met
    assert not Figure("a", 1.51, "times", bar=1.5).met
    assert Figure("a", 4, "times", bar=4, at_least=True).met
    assert not Figure("a", 3.9, "times", bar=4, at_least=True).met
    assert Figure("a", 1).met is None


def test_the_page_shows_what_was_saved_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [{"what": "memory", "value": 2.5, "unit": "GiB", "bar": 2.0, "at_least": False}]
    machine = {"processor": "2 x P", "memory": "24 GiB", "system": "Linux", "load": 1.0}
    one = {
        "figures": figures,
        "lines": ["peak: 2.5"],
        "command": "python -m x",
        "machine": machine,
        "versions": {"v": "1"},
    }
    (tmp_path / "load.json").write_text(json.dumps(one))
    monkeypatch.setattr(results, "SAVED", tmp_path)
    page = results.page(results.saved())
    assert "| load | memory | 2.5 GiB | at most 2 GiB | **missed** |" in page
    assert "Not run: noop, codec, denoise, training, sampling, features, lineage." in page
    assert "peak: 2.5" in page


def test_the_page_is_what_the_saved_results_give() -> None:
    assert results.TARGET.read_text(encoding="utf-8") == results.page(results.saved())


def test_songs_strung_together_decode_cleanly_and_differ(tmp_path: Path) -> None:
    parts = corpus.pieces(1, n_pieces=4)
    for index, version in ((2, 0), (3, 0), (2, 1)):
        (tmp_path / f"{index}{version}.mp3").write_bytes(corpus.song(index, parts, 10.0, version))
    decoded = [decode(path) for path in sorted(tmp_path.glob("*.mp3"))]
    assert [one.flags for one in decoded] == [(), (), ()]
    assert all(10 < one.waveform.shape[1] / one.sample_rate_hz < 10.3 for one in decoded)
    assert len({one.waveform.tobytes() for one in decoded}) == 3


@pytest.mark.parametrize(
    ("words", "role"),
    [
        ("python -m prefect server start", "server"),
        ("python -m dvc repro dataset", "dvc"),
        ("python -m flows repro dataset", "other"),
        ("/bin/sh -c python -m flows dataset", "other"),
        ("python -m flows dataset", "stage"),
    ],
)
def test_what_a_process_is_there_for(words: str, role: str) -> None:
    assert watch.role_of(words.split()) == role


def full(n_songs: int) -> load.Full:
    """A made-up run: 10 s of CPU and 1 s a song, half of it the task functions'."""
    cpu = 10.0 + n_songs
    return load.Full(
        n_songs=n_songs, seconds=45.0, cpu=cpu, wall=cpu / 2, rss=2**30, pss=2**29, files=90, files_of_one=50,
        workers=cpu / 2 - 1, alone=1.0, dvc=cpu / 8, server=cpu / 8, stages={"convert": 1.0}, disk={"data": 2**30},
        small={"no-op dvc repro": [2.0, 3.0], "dvc status": [1.0, 2.0], "one changed song": [1.0, 1.1]},
        changed={"DVC": 1.1}, bare={"dvc add": 6.0, "import prefect, 6 times": 1.5},
    )  # fmt: skip


def test_a_line_gives_back_what_was_measured_and_reads_off_the_rest() -> None:
    line = load.Line([full(10), full(30)], lambda one: one.cpu)
    assert (line.at(10), line.at(30)) == (20.0, 40.0)
    assert line.at(100) == pytest.approx(110.0)


def test_a_line_does_not_fall() -> None:
    runs = [full(10), replace(full(30), wall=1.0)]
    assert load.Line(runs, lambda one: one.wall).at(1000) == pytest.approx(5.5)


def test_what_load_tells_follows_from_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "SAVED", tmp_path)
    runs, report = [full(10), full(90)], Report("load")
    for one in runs:
        load.tell_run(report, one)
    total = load.tell_times(report, runs, 90)
    load.tell_plain(report, runs, 90, total, [Plain(wall=2.0, cpu=3.0, peak=2**29), Plain(wall=3.0, cpu=3.0, peak=1)])
    load.tell_number(report, *runs, whole=total)
    assert "the packages by themselves, 90 songs" in (printed := capsys.readouterr().out)
    assert "together 20.0% of the CPU time" in printed
    told = {one["what"]: one["value"] for one in json.loads((tmp_path / "load.json").read_text())["figures"]}
    assert told == {
        "Prefect, DVC and caches, 90 songs, share of the CPU time": pytest.approx(50),
        "plain way / ours, 90 songs, CPU time": pytest.approx(2.7),
        "plain way / ours, 90 songs, wall time": pytest.approx(4.5),
        "peak memory of all processes, 90 songs of 45 s": 1.0,
        "peak memory, 90 songs of 45 s against 10": 1.0,
        "no-op dvc repro / dvc status, 90 songs of 45 s, CPU time": 1.5,
        "one changed of 90 songs of 45 s, share of the CPU time of a full run of as many whole ones": pytest.approx(
            1.1
        ),
    }


def test_what_was_not_run_is_told_as_read_from_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("load")
    assert load.tell_times(report, [full(10), full(30)], 500) == pytest.approx(510)
    assert "500 songs (read from the lines): 510 CPU s" in capsys.readouterr().out
    assert "(from 10 to 30)" in report.figures[0].what
    with pytest.raises(SystemExit):
        load.tell_times(report, [full(10), full(30)], 2000)


def test_an_interrupted_benchmark_goes_on_from_what_it_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "KEPT", tmp_path)
    first = load.remembered(False, 10, 45.0, True, lambda: full(10))
    again = load.remembered(True, 10, 45.0, True, lambda: pytest.fail("measured again"))
    assert again == first == full(10)
    assert load.remembered(False, 10, 45.0, True, lambda: full(11)).n_songs == 11


def test_what_a_child_process_uses_is_seen() -> None:
    with watch.watched() as seen:
        subprocess.run([sys.executable, "-c", "sum(range(3_000_000)); import time; time.sleep(1.2)"], check=True)
    assert seen.wall > 1.2
    assert seen.cpu > 0.01
    assert seen.peak_rss > 2**20
    assert seen.peak_files >= 3


def test_clips_that_are_too_few_to_judge_are_refused_before_training() -> None:
    command = [sys.executable, "-m", "benchmarks.ablation", "--clips", "2"]
    done = subprocess.run(command, cwd=record.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs at least 10 an emotion" in done.stderr
