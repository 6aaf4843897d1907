"""A corpus of DEAM's size from archives to data set: time, memory, disk, and the shares of Prefect and DVC.

    python -m benchmarks.load                            # 100, 450 and 1,802 songs of 45 s
    python -m benchmarks.load --songs 20 60 --plain 4    # a try

Songs are tones in noise, stereo MP3s packed like DEAM's archives, and no two are the same. Each number of songs is
run in a fresh copy of the repository: `emoriff repro dataset` (download, convert, segment, label, spectrogram,
dataset). At the largest, a no-op, one changed song and the nouns alone follow in the same copy. Beside it the plain
way: a notebook-style loop with pydub, librosa and Pillow over some of the songs, half before and half after the
largest run, scaled to all of them.

Other work on the machine stretches wall times, not processor times, so both are told. Memory is the sum of the
resident sizes of all processes, DVC and Prefect's server included; pages that they share count in each.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from benchmarks.corpus import write_corpus
from benchmarks.plain import plain
from benchmarks.record import Report
from benchmarks.watch import Watch, timed, watched
from tests.repository import ROOT, Repository, run

GIB, MIB = 2**30, 2**20

ALONE = """
import json, sys, time
from pathlib import Path
from tasks import dataset, labels, params as parameters, segments, sources

params, target = parameters.load(), Path(sys.argv[1])
sources.obtain(params.download, target / "raw", target / "downloads")
segments.write_table(Path("data/wav/manifest.parquet"), target / "segments/segments.parquet", params.segment)
labels.write_labels(raw=target / "raw", segments=target / "segments/segments.parquet", target=target / "labels",
                    params=params.label, seed=params.seed)
dataset.write_dataset(Path("data/spectrograms"), target / "labels", target / "raw/sources.json",
                      target / "dataset", params.dataset)
print(time.process_time())
"""


def parameters(corpus: Path) -> dict[str, Any]:
    """The demo's parameters, with these archives in the place of the demo's."""
    values = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())
    for source in values["download"]["sources"]:
        source["urls"] = [f"file://{corpus / source['name']}"]
    values["download"] |= {"corpus": None, "watch": str(corpus / "SHA256SUMS")}
    values["label"]["split"]["salt"] = None
    return values


@dataclass(frozen=True)
class Full:
    """One run from archives to data set."""

    n_songs: int
    watch: Watch
    stages: dict[str, float]  # seconds of the flows
    disk: dict[str, int]  # bytes by folder


def full_run(report: Report, repository: Repository, n_songs: int) -> Full:
    """`emoriff repro dataset` in a fresh copy, told."""
    with watched() as watch:
        repository.emoriff("repro", "dataset")
    timings = json.loads((repository.folder / "reports/timings.json").read_text())["stages"]
    disk = {name: size_of(repository.folder / name) for name in ("data", ".dvc/cache", ".emoriff")}
    full = Full(n_songs, watch, {name: values["seconds"] for name, values in timings.items()}, disk)
    tell_full(report, full)
    return full


def size_of(folder: Path) -> int:
    """Bytes on disk, a file with several names once."""
    found = {(stat := path.stat()).st_ino: stat.st_blocks * 512 for path in folder.rglob("*") if path.is_file()}
    return sum(found.values())


def nouns_alone(repository: Repository, work: Path) -> float:
    """CPU seconds of what the stages do in their own process, without Prefect, DVC and caches."""
    printed = run(sys.executable, "-c", ALONE, str(work), folder=repository.folder, PYTHONPATH=".")
    shutil.rmtree(work)
    return float(printed.strip().split("\n")[-1])


def tell_full(report: Report, full: Full) -> None:
    """The figures of one size."""
    watch = full.watch
    report.say(
        f"{full.n_songs} songs: {watch.cpu:.0f} CPU s, {watch.wall:.0f} s of wall time, "
        f"peak memory {watch.peak_rss / MIB:.0f} MiB ({watch.peak_pss / MIB:.0f} with shared pages once), "
        f"open files {watch.peak_files} in all processes, {watch.peak_files_of_one} in one"
    )
    disk = ", ".join(f"{name} {size / GIB:.2f}" for name, size in full.disk.items())
    report.say(f"  disk, GiB: {disk}; flows, s: " + ", ".join(f"{n} {s:.0f}" for n, s in full.stages.items()))


def tell_shares(report: Report, full: Full, alone: float) -> None:
    """Where the time of the largest run went, and the share of orchestration."""
    watch = full.watch
    useful = watch.workers + alone
    parts = {"DVC": watch.own("dvc"), "Prefect's server": watch.own("server")}
    parts["Prefect's client, our cache, start-up"] = watch.cpu - useful - sum(parts.values())
    report.say(f"  CPU s: the nouns {useful:.0f} (process pools {watch.workers:.0f}, alone {alone:.0f})")
    for name, seconds in parts.items():
        report.say(f"  CPU s: {name} {seconds:.1f}, {seconds / watch.cpu:.1%}")
    report.figure("orchestration, share of the CPU time", 100 * (1 - useful / watch.cpu), "%", bar=5)
    outside = watch.wall - sum(full.stages.values())
    report.figure("outside the flows (DVC, start-up, server), share of the wall time", 100 * outside / watch.wall, "%")


def tell_growth(report: Report, runs: list[Full], factor: int) -> None:
    """Memory over the number of songs, and what `factor` times as many songs would take."""
    first, last = runs[0], runs[-1]
    report.figure("peak memory of all processes", last.watch.peak_rss / GIB, "GiB", bar=2)
    if len(runs) < 2:
        return
    growth = last.watch.peak_rss / first.watch.peak_rss
    report.figure(f"peak memory, {last.n_songs} songs against {first.n_songs}", growth, "times", bar=1.1)
    n_songs = np.array([one.n_songs for one in runs])
    many = factor * last.n_songs
    measures = {
        "CPU hours": [one.watch.cpu / 3600 for one in runs],
        "peak memory, GiB": [one.watch.peak_rss / GIB for one in runs],
        "disk, GiB": [sum(one.disk.values()) / GIB for one in runs],
    }
    report.say(f"extrapolated to {many} songs by straight lines through the {len(runs)} sizes:")
    for name, values in measures.items():
        slope, start = np.polyfit(n_songs, values, 1)
        misfit = np.abs(np.polyval((slope, start), n_songs) - values).max()
        report.say(f"  {name}: {start + slope * many:.2f} ({start:.3f} + {1000 * slope:.3f} a 1,000 songs; "
                   f"misfit at most {misfit:.3f})")  # fmt: skip


def tell_small(report: Report, repository: Repository, full: Full, change: Callable[[], None]) -> None:
    """A no-op and one changed song, in the repository of the full run."""
    noop = min(timed(lambda: repository.dvc("repro", "dataset"))[::-1] for _ in range(3))
    status = min(timed(lambda: repository.dvc("status", "dataset"))[::-1] for _ in range(3))
    report.say(f"no-op dvc repro {noop[0]:.1f} CPU s ({noop[1]:.1f} s), dvc status {status[0]:.1f} ({status[1]:.1f})")
    report.figure("no-op dvc repro / dvc status, CPU time", noop[0] / status[0], "times", bar=1.5)
    change()
    wall, cpu = timed(lambda: repository.emoriff("repro", "dataset"))
    timings = json.loads((repository.folder / "reports/timings.json").read_text())["stages"]
    for name in ("convert", "spectrogram"):
        made = timings[name]["done"] - timings[name]["from cache"]
        if made != 1:
            raise SystemExit(f"{name} made {made} songs again, not the one that changed")
    report.say(f"one changed song: {cpu:.1f} CPU s, {wall:.1f} s; converted and rendered again: that one")
    report.figure("one changed song, share of the full run's CPU time", 100 * cpu / full.watch.cpu, "%", bar=3)
    report.figure("one changed song, share of the full run's wall time", 100 * wall / full.watch.wall, "%", bar=3)


def tell_plain(report: Report, halves: list[tuple[float, float, float]], full: Full) -> None:
    """Ours against the plain way, scaled to as many songs."""
    wall, cpu = (np.mean([half[column] for half in halves]) * full.n_songs for column in (0, 1))
    report.say(f"the plain way, scaled: {cpu:.0f} CPU s, {wall:.0f} s of wall time; "
               f"peak memory {max(half[2] for half in halves) / MIB:.0f} MiB without ffmpeg")  # fmt: skip
    report.figure("from archives to data set, plain / ours, wall time", wall / full.watch.wall, "times", 4, True)
    report.figure("from archives to data set, plain / ours, CPU time", cpu / full.watch.cpu, "times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, nargs="+", default=[100, 450, 1802])
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--plain", type=int, default=20, help="songs for the plain way")
    parser.add_argument("--folder", type=Path, help="where there is room: about 25 MB a song (else the system's)")
    options = parser.parse_args()
    if not shutil.which("ffmpeg"):
        parser.error("the plain way needs ffmpeg: pydub decodes MP3 with it")
    report = Report("load")
    ffmpeg = run("ffmpeg", "-version", folder=ROOT).split(" Copyright")[0]
    report.say(
        f"songs of {options.seconds:.0f} s, stereo; {psutil.cpu_count()} processors; the plain way with {ffmpeg}"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        sizes = sorted(options.songs)
        runs = [measure_small(report, Path(name), n_songs, options.seconds) for n_songs in sizes[:-1]]
        measure_largest(report, Path(name), sizes[-1], options.seconds, runs, options.plain)
    report.save()


def measure_small(report: Report, folder: Path, n_songs: int, seconds: float) -> Full:
    """A full run, and nothing of it left."""
    repository = fresh(folder, n_songs, seconds)
    full = full_run(report, repository, n_songs)
    shutil.rmtree(repository.folder)
    return full


def measure_largest(
    report: Report, folder: Path, n_songs: int, seconds: float, before: list[Full], n_plain: int
) -> None:
    """The full run with the plain way round it, then what can be asked of the finished repository."""
    repository, half = fresh(folder, n_songs, seconds), max(1, n_plain // 2)
    halves = [plain(folder / "plain", 2, half, seconds)]
    full = full_run(report, repository, n_songs)
    halves.append(plain(folder / "plain", 3 + half, half, seconds))
    tell_plain(report, halves, full)
    tell_shares(report, full, nouns_alone(repository, folder / "alone"))
    tell_growth(report, [*before, full], 10)
    tell_small(report, repository, full, lambda: write_corpus(folder / f"corpus{n_songs}", n_songs, seconds, changed=7))


def fresh(folder: Path, n_songs: int, seconds: float) -> Repository:
    """A copy of the project that will take its songs from a new corpus."""
    corpus = folder / f"corpus{n_songs}"
    corpus.mkdir()
    write_corpus(corpus, n_songs, seconds)
    repository = Repository(folder / f"repository{n_songs}")
    repository.set_params(parameters(corpus))
    return repository


if __name__ == "__main__":
    main()
