"""A corpus of DEAM's size from archives to data set: time, memory, disk, and the shares of Prefect and DVC.

    python -m benchmarks.load                                         # 100, 450 and 1,802 songs of 45 s
    python -m benchmarks.load --songs 20 60 --short 1802 --plain 4    # where time is lacking

Songs are tones in noise, stereo MP3s packed like DEAM's archives, and no two are the same. Each number of songs is
run in a fresh copy of the repository: `emoriff repro dataset` (download, convert, segment, label, spectrogram,
dataset), then the nouns alone, a no-op and one changed song. Beside it the plain way: a notebook-style loop with
pydub, librosa and Pillow over some of the songs, half before and half after the largest run.

What a run costs is a straight line through the sizes, start + songs x slope; what is told of another number of songs
is read from it and says so. `--short N` adds N songs of 5 s for what depends on their number and not their length:
memory, open files, a no-op, one changed song.

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
import yaml

from benchmarks.corpus import write_corpus
from benchmarks.plain import Plain, plain
from benchmarks.record import Report
from benchmarks.watch import Watch, timed, watched
from tests.repository import ROOT, Repository, run

GIB, MIB = 2**30, 2**20
SHORT_SECONDS = 5.12

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


def parameters(corpus: Path, seconds: float) -> dict[str, Any]:
    """The demo's parameters, with these archives in the place of the demo's; short songs are one segment each."""
    values = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())
    for source in values["download"]["sources"]:
        source["urls"] = [f"file://{corpus / source['name']}"]
    values["download"] |= {"corpus": None, "watch": str(corpus / "SHA256SUMS")}
    values["label"]["split"]["salt"] = None
    length = min(values["segment"]["length_seconds"], seconds)
    values["segment"] |= {"length_seconds": length, "hop_seconds": length}
    return values


@dataclass(frozen=True)
class Full:
    """One run from archives to data set, and what was asked of the finished repository."""

    n_songs: int
    watch: Watch
    stages: dict[str, float]  # wall seconds of the flows
    disk: dict[str, int]  # bytes by folder
    alone: float  # CPU seconds of what the stages do in their own process, without Prefect, DVC and caches
    small: dict[str, tuple[float, float]]  # wall and CPU seconds of small changes, where they were made

    @property
    def useful(self) -> float:
        """CPU seconds of the nouns."""
        return self.watch.workers + self.alone

    @property
    def parts(self) -> dict[str, float]:
        """CPU seconds of what is not the nouns."""
        known = {"DVC": self.watch.own("dvc"), "Prefect's server": self.watch.own("server")}
        return known | {"flows": self.watch.cpu - self.useful - sum(known.values())}


def full_run(folder: Path, n_songs: int, seconds: float, small: bool) -> Full:
    """`emoriff repro dataset` of a new corpus in a fresh copy of the project; nothing of it is left."""
    corpus = folder / "corpus"
    corpus.mkdir()
    write_corpus(corpus, n_songs, seconds)
    repository = Repository(folder / "repository")
    repository.set_params(parameters(corpus, seconds))
    with watched() as watch:
        repository.emoriff("repro", "dataset")
    full = Full(
        n_songs,
        watch,
        stages={name: values["seconds"] for name, values in timings(repository).items()},
        disk={name: size_of(repository.folder / name) for name in ("data", ".dvc/cache", ".emoriff")},
        alone=nouns_alone(repository, folder / "alone"),
        small=small_changes(repository, lambda: write_corpus(corpus, n_songs, seconds, changed=7)) if small else {},
    )
    shutil.rmtree(repository.folder)
    shutil.rmtree(corpus)
    return full


def small_changes(repository: Repository, change: Callable[[], None]) -> dict[str, tuple[float, float]]:
    """Wall and CPU seconds of commands in a finished repository."""
    return {
        "no-op dvc repro": least(lambda: repository.dvc("repro", "dataset")),
        "dvc status": least(lambda: repository.dvc("status", "dataset")),
        "one changed song": one_changed(repository, change),
    }


def timings(repository: Repository) -> dict[str, dict[str, Any]]:
    """Seconds and counts of each stage's last run."""
    return dict(json.loads((repository.folder / "reports/timings.json").read_text())["stages"])


def size_of(folder: Path) -> int:
    """Bytes on disk, a file with several names once."""
    found = {(stat := path.stat()).st_ino: stat.st_blocks * 512 for path in folder.rglob("*") if path.is_file()}
    return sum(found.values())


def nouns_alone(repository: Repository, work: Path) -> float:
    """See Full."""
    printed = run(sys.executable, "-c", ALONE, str(work), folder=repository.folder, PYTHONPATH=".")
    shutil.rmtree(work)
    return float(printed.strip().split("\n")[-1])


def least(command: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a command, the run with less CPU of two."""
    return min((timed(command) for _ in range(2)), key=lambda wall_and_cpu: wall_and_cpu[1])


def one_changed(repository: Repository, change: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds of the run after one song changed, which must make that song again and no other."""
    change()
    spent = timed(lambda: repository.emoriff("repro", "dataset"))
    for name, values in timings(repository).items():
        if name in ("convert", "spectrogram") and values["done"] - values["from cache"] != 1:
            raise SystemExit(f"{name} made {values['done'] - values['from cache']} songs again, not the one")
    return spent


class Line:
    """What a straight line through the runs says of another number of songs."""

    def __init__(self, runs: list[Full], value: Callable[[Full], float]) -> None:
        self.n_songs, self.values = [one.n_songs for one in runs], [value(one) for one in runs]
        self.slope, self.start = np.polyfit(self.n_songs, self.values, 1)

    def at(self, n_songs: int) -> float:
        """Measured where it was, read from the line elsewhere."""
        measured = dict(zip(self.n_songs, self.values, strict=True))
        return float(measured.get(n_songs, self.start + self.slope * n_songs))

    def told(self) -> str:
        """The line, and how far the sizes are from it."""
        misfit = np.abs(np.polyval((self.slope, self.start), self.n_songs) - self.values).max()
        return f"{self.start:.3f} + {1000 * self.slope:.3f} a 1,000 songs, misfit at most {misfit:.3f}"


def tell_run(report: Report, full: Full, seconds: float) -> None:
    """The figures of one size."""
    watch = full.watch
    disk = ", ".join(f"{name} {size / GIB:.2f}" for name, size in full.disk.items())
    report.say(
        f"{full.n_songs} songs of {seconds:g} s: {watch.cpu:.0f} CPU s, {watch.wall:.0f} s of wall time, "
        f"peak memory {watch.peak_rss / MIB:.0f} MiB ({watch.peak_pss / MIB:.0f} with shared pages once)"
    )
    report.say(
        f"  open files: {watch.peak_files} in all processes, {watch.peak_files_of_one} in one; disk, GiB: {disk}"
    )
    pools = f"process pools {watch.workers:.1f}, in the stages' processes {full.alone:.1f}"
    others = ", ".join(f"{name} {spent:.1f}" for name, spent in full.parts.items())
    report.say(f"  CPU s: nouns {full.useful:.1f} ({pools}), {others}")
    report.say("  wall s of the flows: " + ", ".join(f"{name} {spent:.0f}" for name, spent in full.stages.items()))
    for name, (wall, cpu) in full.small.items():
        report.say(f"  {name}: {cpu:.1f} CPU s, {wall:.1f} s of wall time")
    report.save()


def tell_lines(report: Report, runs: list[Full], goal: int, plain_ways: list[Plain]) -> None:
    """Time and its shares at `goal` songs and at ten times as many; the plain way beside it."""
    cpu, wall = Line(runs, lambda one: one.watch.cpu), Line(runs, lambda one: one.watch.wall)
    disk = Line(runs, lambda one: sum(one.disk.values()) / GIB)
    memory = Line(runs, lambda one: one.watch.peak_rss / GIB)
    useful, shares = Line(runs, lambda one: one.useful), {
        name: Line(runs, lambda one, name=name: one.parts[name]) for name in runs[0].parts
    }  # fmt: skip
    source = "measured" if goal in cpu.n_songs else f"read from the lines through {cpu.n_songs}"
    report.say(f"lines: CPU s {cpu.told()}\n       wall s {wall.told()}\n       disk, GiB {disk.told()}\n"
               f"       peak memory, GiB {memory.told()}\n{goal} songs, {source}: {cpu.at(goal):.0f} CPU s, "
               f"{wall.at(goal):.0f} s, {disk.at(goal):.1f} GiB of disk")  # fmt: skip
    many = 10 * goal
    report.say(f"{many} songs, read from the lines: {cpu.at(many) / 3600:.1f} CPU hours, {disk.at(many):.0f} GiB of "
               f"disk, {memory.at(many):.2f} GiB of memory")  # fmt: skip
    for name, share in shares.items():
        report.say(f"share of the CPU time of {goal} songs, {name}: {share.at(goal) / cpu.at(goal):.1%}")
    share = 100 * (1 - useful.at(goal) / cpu.at(goal))
    report.figure(f"orchestration of {goal} songs, share of the CPU time", share, "%", bar=5)
    seconds = [sum(getattr(one, name) for one in plain_ways) / len(plain_ways) for name in ("wall", "cpu")]
    report.say(f"the plain way: {seconds[1]:.2f} CPU s, {seconds[0]:.2f} s of wall time a song; "
               f"peak memory {max(one.peak for one in plain_ways) / MIB:.0f} MiB, ffmpeg not counted")  # fmt: skip
    for name, line, plain_seconds in (("wall", wall, seconds[0]), ("CPU", cpu, seconds[1])):
        ratio = goal * plain_seconds / line.at(goal)
        report.figure(
            f"plain way / ours, {goal} songs, {name} time", ratio, "times", 4 if name == "wall" else None, True
        )


def tell_number(report: Report, few: Full, many: Full, whole: tuple[float, float]) -> None:
    """What depends on the number of songs; `whole` is wall and CPU seconds of a full run of as many whole songs."""
    report.figure(f"peak memory of all processes, {many.n_songs} songs", many.watch.peak_rss / GIB, "GiB", bar=2)
    growth = many.watch.peak_rss / few.watch.peak_rss
    report.figure(f"peak memory, {many.n_songs} songs / {few.n_songs} songs", growth, "times", bar=1.1)
    ratio = many.small["no-op dvc repro"][1] / many.small["dvc status"][1]
    report.figure(f"no-op dvc repro / dvc status, {many.n_songs} songs, CPU time", ratio, "times", bar=1.5)
    for name, spent, of in zip(("wall", "CPU"), many.small["one changed song"], whole, strict=True):
        report.figure(
            f"one changed song of {many.n_songs}, share of a full run's {name} time", 100 * spent / of, "%", 3
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, nargs="+", default=[100, 450, 1802], help="at least two numbers")
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--short", type=int, help="also so many songs of 5.12 s")
    parser.add_argument("--plain", type=int, default=20, help="songs for the plain way")
    parser.add_argument("--folder", type=Path, help="where there is room: 25 MB a song (else the system's)")
    options = parser.parse_args()
    if not shutil.which("ffmpeg"):
        parser.error("the plain way needs ffmpeg: pydub decodes MP3 with it")
    report, sizes = Report("load"), sorted(options.songs)
    report.say("plain way: pydub with " + run("ffmpeg", "-version", folder=ROOT).split(" Copyright")[0])
    runs: list[Full] = []
    plain_ways: list[Plain] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder, half = Path(name), max(1, options.plain // 2)
        for n_songs in sizes:
            if n_songs == sizes[-1]:
                plain_ways.append(plain(folder / "plain", 2, half, options.seconds))
            small = n_songs == sizes[-1] and not options.short
            runs.append(full_run(folder, n_songs, options.seconds, small))
            tell_run(report, runs[-1], options.seconds)
        plain_ways.append(plain(folder / "plain", 3 + half, half, options.seconds))
        tell_lines(report, runs, options.short or sizes[-1], plain_ways)
        few, many = runs[0], runs[-1]
        if options.short:
            few = full_run(folder, sizes[0], SHORT_SECONDS, small=False)
            tell_run(report, few, SHORT_SECONDS)
            many = full_run(folder, options.short, SHORT_SECONDS, small=True)
            tell_run(report, many, SHORT_SECONDS)
        whole = [
            Line(runs, value).at(many.n_songs) for value in (lambda one: one.watch.wall, lambda one: one.watch.cpu)
        ]
        tell_number(report, few, many, (whole[0], whole[1]))
    report.save()


if __name__ == "__main__":
    main()
