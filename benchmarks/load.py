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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.corpus import write_corpus
from benchmarks.plain import Plain, plain
from benchmarks.record import SAVED, Report
from benchmarks.watch import timed, watched
from tasks.files import write_json
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
    """One run from archives to data set, and what was asked of the finished repository; seconds and bytes."""

    n_songs: int
    seconds: float  # length of a song
    cpu: float  # of all processes
    wall: float
    rss: int  # peak, all processes
    pss: int  # the same with pages that several share counted once; sampled less often
    files: int  # open at once in all processes
    files_of_one: int
    workers: float  # CPU of the process pools
    alone: float  # CPU of what the stages do in their own process, without Prefect, DVC and caches
    dvc: float  # CPU of DVC's own process
    server: float  # CPU of Prefect's server
    stages: dict[str, float]  # wall time of the flows
    disk: dict[str, int]
    small: dict[str, list[float]]  # wall and CPU time of commands in the finished repository

    @property
    def useful(self) -> float:
        """CPU seconds of the nouns."""
        return self.workers + self.alone

    @property
    def others(self) -> dict[str, float]:
        """CPU seconds of what is not the nouns."""
        known = {"DVC": self.dvc, "Prefect's server": self.server}
        return known | {"flows (Prefect's client, our cache)": self.cpu - self.useful - sum(known.values())}


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
        n_songs=n_songs,
        seconds=seconds,
        cpu=watch.cpu,
        wall=watch.wall,
        rss=watch.peak_rss,
        pss=watch.peak_pss,
        files=watch.peak_files,
        files_of_one=watch.peak_files_of_one,
        workers=watch.workers,
        alone=nouns_alone(repository, folder / "alone"),
        dvc=watch.own("dvc"),
        server=watch.own("server"),
        stages={name: values["seconds"] for name, values in timings(repository).items()},
        disk={name: size_of(repository.folder / name) for name in ("data", ".dvc/cache", ".emoriff")},
        small=small_changes(repository, lambda: write_corpus(corpus, n_songs, seconds, changed=7)) if small else {},
    )
    shutil.rmtree(repository.folder)
    shutil.rmtree(corpus)
    return full


def remembered(resume: bool, n_songs: int, seconds: float, small: bool, measure: Callable[[], Full]) -> Full:
    """The run, kept as a file of its own; with `resume` one that an earlier, interrupted benchmark kept."""
    path = SAVED / "load" / f"{n_songs}x{seconds:g}.json"
    if resume and path.is_file():
        kept = Full(**json.loads(path.read_text()))
        if kept.small or not small:
            return kept
    full = measure()
    write_json(path, asdict(full))
    return full


def small_changes(repository: Repository, change: Callable[[], None]) -> dict[str, list[float]]:
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


def least(command: Callable[[], object]) -> list[float]:
    """Wall and CPU seconds of a command, the run with less CPU of two."""
    return list(min((timed(command) for _ in range(2)), key=lambda wall_and_cpu: wall_and_cpu[1]))


def one_changed(repository: Repository, change: Callable[[], None]) -> list[float]:
    """Wall and CPU seconds of the run after one song changed, which must make that song again and no other."""
    change()
    spent = timed(lambda: repository.emoriff("repro", "dataset"))
    for name, values in timings(repository).items():
        if name in ("convert", "spectrogram") and values["done"] - values["from cache"] != 1:
            raise SystemExit(f"{name} made {values['done'] - values['from cache']} songs again, not the one")
    return list(spent)


class Line:
    """What a straight line through the runs says of another number of songs."""

    def __init__(self, runs: list[Full], value: Callable[[Full], float]) -> None:
        self.n_songs, self.values = [one.n_songs for one in runs], [value(one) for one in runs]
        self.slope, self.start = np.polyfit(self.n_songs, self.values, 1)

    def at(self, n_songs: int) -> float:
        """Measured where it was, read from the line elsewhere."""
        measured = dict(zip(self.n_songs, self.values, strict=True))
        return float(measured.get(n_songs, self.start + self.slope * n_songs))

    def __str__(self) -> str:
        """The line, and how far the sizes are from it."""
        misfit = np.abs(np.polyval((self.slope, self.start), self.n_songs) - self.values).max()
        return f"{self.start:.3f} + {1000 * self.slope:.3f} a 1,000 songs, misfit at most {misfit:.3f}"


def tell_run(report: Report, full: Full) -> None:
    """The figures of one size."""
    report.say(
        f"{full.n_songs} songs of {full.seconds:g} s: {full.cpu:.0f} CPU s, {full.wall:.0f} s of wall time, "
        f"peak memory {full.rss / MIB:.0f} MiB ({full.pss / MIB:.0f} with shared pages once)"
    )
    disk = ", ".join(f"{name} {size / GIB:.2f}" for name, size in full.disk.items())
    report.say(f"  open files: {full.files} in all processes, {full.files_of_one} in one; disk, GiB: {disk}")
    pools = f"process pools {full.workers:.1f}, in the stages' processes {full.alone:.1f}"
    others = ", ".join(f"{name} {spent:.1f}" for name, spent in full.others.items())
    report.say(f"  CPU s: nouns {full.useful:.1f} ({pools}), {others}")
    report.say("  wall s of the flows: " + ", ".join(f"{name} {spent:.0f}" for name, spent in full.stages.items()))
    for name, (wall, cpu) in full.small.items():
        report.say(f"  {name}: {cpu:.1f} CPU s, {wall:.1f} s of wall time")
    report.save()


def tell_lines(report: Report, runs: list[Full], goal: int) -> None:
    """Time, memory and disk at `goal` songs and at ten times as many."""
    measures = {
        "CPU h": Line(runs, lambda one: one.cpu / 3600),
        "wall h": Line(runs, lambda one: one.wall / 3600),
        "disk GiB": Line(runs, lambda one: sum(one.disk.values()) / GIB),
        "peak memory GiB": Line(runs, lambda one: one.rss / GIB),
    }
    sizes = [one.n_songs for one in runs]
    report.say(f"straight lines through {sizes} songs of {runs[0].seconds:g} s, and what they say of other numbers:")
    for name, line in measures.items():
        report.say(f"  {name}: {goal} songs {line.at(goal):.2f}, {10 * goal} songs {line.at(10 * goal):.2f} ({line})")


def tell_shares(report: Report, runs: list[Full], goal: int) -> None:
    """Where the processor time of `goal` songs goes."""
    cpu = Line(runs, lambda one: one.cpu)
    for name in runs[0].others:
        share = Line(runs, lambda one, name=name: one.others[name]).at(goal) / cpu.at(goal)
        report.say(f"share of the CPU time of {goal} songs, {name}: {share:.1%}")
    share = 100 * (1 - Line(runs, lambda one: one.useful).at(goal) / cpu.at(goal))
    report.figure(f"all that is not the nouns, {goal} songs, share of the CPU time", share, "%", bar=5)


def tell_plain(report: Report, runs: list[Full], goal: int, ways: list[Plain]) -> None:
    """The plain way beside ours."""
    wall, cpu = (sum(values) / len(ways) for values in ([one.wall for one in ways], [one.cpu for one in ways]))
    report.say(f"the plain way, a song: {cpu:.2f} CPU s, {wall:.2f} s of wall time; peak memory "
               f"{max(one.peak for one in ways) / MIB:.0f} MiB, ffmpeg not counted")  # fmt: skip
    ours = Line(runs, lambda one: one.wall).at(goal), Line(runs, lambda one: one.cpu).at(goal)
    report.figure(f"plain way / ours, {goal} songs, wall time", goal * wall / ours[0], "times", 4, at_least=True)
    report.figure(f"plain way / ours, {goal} songs, CPU time", goal * cpu / ours[1], "times")
    report.save()


def tell_number(report: Report, few: Full, many: Full, whole: tuple[float, float]) -> None:
    """What depends on the number of songs; `whole` is wall and CPU seconds of a full run of as many whole songs."""
    report.figure(f"peak memory of all processes, {many.n_songs} songs", many.rss / GIB, "GiB", bar=2)
    report.figure(f"peak memory, {many.n_songs} songs / {few.n_songs} songs", many.rss / few.rss, "times", bar=1.1)
    noop, status = many.small["no-op dvc repro"], many.small["dvc status"]
    report.figure(f"no-op dvc repro / dvc status, {many.n_songs} songs, CPU time", noop[1] / status[1], "times", 1.5)
    for name, spent, of in zip(("wall", "CPU"), many.small["one changed song"], whole, strict=True):
        what = f"one changed song of {many.n_songs}, share of a full run's {name} time"
        report.figure(what, 100 * spent / of, "%", bar=3)
    report.save()


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, nargs="+", default=[100, 450, 1802], help="two numbers or more")
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--short", type=int, help=f"also so many songs of {SHORT_SECONDS} s")
    parser.add_argument("--plain", type=int, default=20, help="songs for the plain way")
    parser.add_argument(
        "--resume", action="store_true", help="take runs of an earlier, interrupted benchmark as they are"
    )
    parser.add_argument("--folder", type=Path, help="where there is room: 25 MB a song (else the system's)")
    options = parser.parse_args()
    if len(set(options.songs)) < 2:
        parser.error("a line needs two numbers of songs")
    if not shutil.which("ffmpeg"):
        parser.error("the plain way needs ffmpeg: pydub decodes MP3 with it")
    return options


def main() -> None:
    options, report = arguments(), Report("load")
    sizes, half = sorted(set(options.songs)), max(1, options.plain // 2)
    report.say("plain way: pydub with " + run("ffmpeg", "-version", folder=ROOT).split(" Copyright")[0])
    runs, ways = list[Full](), list[Plain]()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)

        def measured(n_songs: int, seconds: float, small: bool) -> Full:
            one = remembered(options.resume, n_songs, seconds, small, lambda: full_run(folder, n_songs, seconds, small))
            tell_run(report, one)
            return one

        for n_songs in sizes:
            if n_songs == sizes[-1]:
                ways.append(plain(folder / "plain", 2, half, options.seconds))
            runs.append(measured(n_songs, options.seconds, n_songs == sizes[-1] and not options.short))
        ways.append(plain(folder / "plain", 3 + half, half, options.seconds))
        goal = options.short or sizes[-1]
        tell_lines(report, runs, goal)
        tell_shares(report, runs, goal)
        tell_plain(report, runs, goal, ways)
        few, many = runs[0], runs[-1]
        if options.short:
            few, many = measured(sizes[0], SHORT_SECONDS, False), measured(options.short, SHORT_SECONDS, True)
        whole = Line(runs, lambda one: one.wall).at(goal), Line(runs, lambda one: one.cpu).at(goal)
        tell_number(report, few, many, whole)


if __name__ == "__main__":
    main()
