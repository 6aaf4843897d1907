"""A corpus of DEAM's size from archives to data set: time, memory, disk, and the shares of Prefect and DVC.

    python -m benchmarks.load                                         # 100, 450 and 1,802 songs of 45 s
    python -m benchmarks.load --songs 20 60 --short 1802 --plain 4    # where time is lacking

Songs are tones in noise, stereo MP3s packed like DEAM's archives, and no two are the same. Each number of songs is
run in a fresh copy of the repository: `emoriff repro dataset` (download, convert, segment, label, spectrogram,
dataset), then the functions alone, a no-op and one changed song. Beside it the plain way: a notebook-style loop with
pydub, librosa and Pillow over some of the songs, half before and half after the largest run.

What a run costs is a straight line through the sizes, start + songs x slope, none of whose parts can be below zero;
what is told of a number of songs that was not run is read from it and says so, at most 40 times beyond the largest,
and of processor time and disk only. `--short N` adds N songs of 5 s for what depends on their number and not their
length: memory, open files, a no-op, one changed song.

Other work on the machine stretches wall times, but processor times hardly: the bars are on those (Prefect's server
works by the clock, so its part grows a little with the wall time). Memory is the sum of the
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
from scipy import optimize

from benchmarks.corpus import write_corpus
from benchmarks.plain import Plain, plain
from benchmarks.record import Report
from benchmarks.watch import STAGES, Watch, least, timed, watched
from tasks.core.files import write_json
from tasks.download import sources
from tests.repository import ROOT, Repository, run

GIB, MIB = 2**30, 2**20
SHORT_SECONDS = 5.12
KEPT = ROOT / ".emoriff" / "benchmarks" / "load"  # runs for --resume
FARTHEST = 40  # times the largest run that a line is followed

ALONE = """
import json, sys, time
from pathlib import Path
from tasks import settings
from tasks.dataset import dataset
from tasks.download import sources
from tasks.label import labels
from tasks.segment import segments

params, target = settings.load(), Path(sys.argv[1])
sources.obtain(params.download, target / "raw", target / "downloads")
segments.write_table(Path("data/wav/manifest.parquet"), target / "segments/segments.parquet", params.segment)
labels.write_labels(raw=target / "raw", segments=target / "segments/segments.parquet", target=target / "labels",
                    params=params.label, seed=params.seed)
dataset.write_dataset(Path("data/spectrograms"), target / "labels", target / "raw/sources.json",
                      target / "dataset", params.dataset)
print(time.process_time())
"""


def parameters(corpus: Path, seconds: float) -> dict[str, Any]:
    """The demo's parameters, with these archives and their hashes; short songs are one segment each."""
    values = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())
    sums = sources.sums_in(corpus / "SHA256SUMS")
    for source in values["download"]["sources"]:
        source |= {"urls": [f"file://{corpus / source['name']}"], "sha256": sums[source["name"]]}
    values["download"]["corpus"] = None
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
    changed: dict[str, float]  # CPU of the run after one song changed, by process
    bare: dict[str, float]  # CPU of the packages by themselves, see `bare_packages`

    @property
    def useful(self) -> float:
        """CPU seconds of the task functions."""
        return self.workers + self.alone

    @property
    def others(self) -> dict[str, float]:
        """CPU seconds of what is not the task functions."""
        known = {"DVC": self.dvc, "Prefect's server": self.server}
        return known | {"flows (Prefect's client, our cache)": self.cpu - self.useful - sum(known.values())}


def full_run(folder: Path, n_songs: int, seconds: float, small: bool) -> Full:
    """`emoriff repro dataset` of a new corpus in a fresh copy of the project; nothing of it is left."""
    corpus = folder / "corpus"
    corpus.mkdir()
    write_corpus(corpus, n_songs, seconds)
    repository = Repository(folder / "repository")
    repository.set_params(parameters(corpus, seconds))

    def change() -> None:
        write_corpus(corpus, n_songs, seconds, changed=7)
        repository.set_params(parameters(corpus, seconds))

    with watched() as watch:
        repository.emoriff("repro", "dataset")
    alone = functions_alone(repository, folder / "alone")
    disk = {name: size_of(repository.folder / name) for name in ("data", ".dvc/cache", ".emoriff")}
    stages = {name: values["seconds"] for name, values in timings(repository).items()}
    spent, by_process = small_changes(repository, change) if small else ({}, {})
    bare = bare_packages(repository.folder, folder / "bare") if small else {}
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
        alone=alone,
        dvc=watch.own("dvc"),
        server=watch.own("server"),
        stages=stages,
        disk=disk,
        small=spent,
        changed=by_process,
        bare=bare,
    )
    shutil.rmtree(repository.folder)
    shutil.rmtree(corpus)
    return full


def remembered(resume: bool, n_songs: int, seconds: float, small: bool, measure: Callable[[], Full]) -> Full:
    """The run, kept as a file of its own; with `resume` one that an earlier, interrupted benchmark kept."""
    path = KEPT / f"{n_songs}x{seconds:g}.json"
    if resume and path.is_file():
        kept = Full(**json.loads(path.read_text()))
        if kept.small or not small:
            return kept
    full = measure()
    write_json(path, asdict(full))
    return full


def small_changes(
    repository: Repository, change: Callable[[], None]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Wall and CPU seconds of commands in a finished repository; those of one changed song by process.

    `dvc status` of a target looks at its stage only, `dvc repro` at all before it too: hence `--with-deps`. It
    looks at some things twice, so benchmarks/noop.py compares the two without a target.
    """
    spent = {
        "no-op dvc repro": least(lambda: repository.dvc("repro", "dataset")),
        "dvc status": least(lambda: repository.dvc("status", "--with-deps", "dataset")),
    }
    watch = one_changed(repository, change)
    dvc, server = watch.own("dvc"), watch.own("server")
    parts = {"DVC": dvc, "Prefect's server": server, "stages and their pools": watch.cpu - dvc - server}
    return spent | {"one changed song": [watch.wall, watch.cpu]}, parts


def bare_packages(repository: Path, work: Path) -> dict[str, float]:
    """CPU seconds of DVC and Prefect with nothing of ours: what no code of ours can go below.

    `dvc add` of the data that the stages made, and one `import prefect` a stage. Takes the data away.
    """
    shutil.rmtree(repository / ".dvc" / "cache")
    work.mkdir()
    names = sorted(path.name for path in (repository / "data").iterdir() if path.is_dir())
    for name in names:
        (repository / "data" / name).rename(work / name)
    run(sys.executable, "-m", "dvc", "init", "--no-scm", folder=work)
    _, adding = timed(lambda: run(sys.executable, "-m", "dvc", "add", *names, folder=work))
    _, importing = least(lambda: run(sys.executable, "-c", "import prefect", folder=work))
    shutil.rmtree(work)
    return {"dvc add": adding, f"import prefect, {len(STAGES)} times": len(STAGES) * importing}


def timings(repository: Repository) -> dict[str, dict[str, Any]]:
    """Seconds and counts of each stage's last run."""
    return dict(json.loads((repository.folder / "reports/timings.json").read_text())["stages"])


def size_of(folder: Path) -> int:
    """Bytes on disk, a file with several names once."""
    found = {(stat := path.stat()).st_ino: stat.st_blocks * 512 for path in folder.rglob("*") if path.is_file()}
    return sum(found.values())


def functions_alone(repository: Repository, work: Path) -> float:
    """See Full."""
    printed = run(sys.executable, "-c", ALONE, str(work), folder=repository.folder, PYTHONPATH=".")
    shutil.rmtree(work)
    return float(printed.strip().split("\n")[-1])


def one_changed(repository: Repository, change: Callable[[], None]) -> Watch:
    """What the run after one song changed used; it must make that song again and no other."""
    change()
    with watched() as watch:
        repository.emoriff("repro", "dataset")
    for name, values in timings(repository).items():
        if name in ("convert", "spectrogram") and values["done"] - values["from cache"] != 1:
            raise SystemExit(f"{name} made {values['done'] - values['from cache']} songs again, not the one")
    return watch


class Line:
    """What a straight line through the runs says of another number of songs."""

    def __init__(self, runs: list[Full], value: Callable[[Full], float]) -> None:
        self.n_songs, self.values = [one.n_songs for one in runs], [value(one) for one in runs]
        ones = np.stack([np.ones(len(runs)), self.n_songs], axis=1)
        (self.start, self.slope), _ = optimize.nnls(ones, self.values)

    def at(self, n_songs: int) -> float:
        """Measured where it was, read from the line elsewhere."""
        measured = dict(zip(self.n_songs, self.values, strict=True))
        return float(measured.get(n_songs, self.start + self.slope * n_songs))

    def __str__(self) -> str:
        """The line, and how far the sizes are from it."""
        misfit = np.abs(np.polyval((self.slope, self.start), self.n_songs) - self.values).max()
        return f"{self.start:.2f} + {1000 * self.slope:.2f} a 1,000 songs, misfit at most {misfit:.2f}"


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
    report.say(f"  CPU s: task functions {full.useful:.1f} ({pools}), {others}")
    report.say("  wall s of the flows: " + ", ".join(f"{name} {spent:.0f}" for name, spent in full.stages.items()))
    for name, (wall, cpu) in full.small.items():
        report.say(f"  {name}: {cpu:.1f} CPU s, {wall:.1f} s of wall time")
    if full.changed:
        report.say("    of it " + ", ".join(f"{name} {cpu:.1f}" for name, cpu in full.changed.items()))
    report.save()


def tell_times(report: Report, runs: list[Full], goal: int) -> float:
    """Where the processor time of `goal` songs goes, and what ten times as many take; the CPU seconds in all."""
    disk, useful = Line(runs, lambda one: sum(one.disk.values()) / GIB), Line(runs, lambda one: one.useful)
    others = {name: Line(runs, lambda one, name=name: one.others[name]) for name in runs[0].others}
    largest = runs[-1].n_songs
    if goal > FARTHEST * largest:
        raise SystemExit(f"{goal} songs are too far from {largest} to be read from a line")
    report.say(f"straight lines through {[one.n_songs for one in runs]} songs of {runs[0].seconds:g} s:")
    for name, line in {"task functions, CPU s": useful, **others, "disk, GiB": disk}.items():
        report.say(f"  {name}: {line}")
    for n_songs in (goal, 10 * goal):
        if n_songs <= FARTHEST * largest:
            total = sum(line.at(n_songs) for line in (useful, *others.values()))
            source = "measured" if n_songs in disk.n_songs else "read from the lines"
            report.say(f"{n_songs} songs ({source}): {total:.0f} CPU s, {disk.at(n_songs):.0f} GiB of disk")
    total = sum(line.at(goal) for line in (useful, *others.values()))
    for name, line in others.items():
        report.say(f"share of the CPU time of {goal} songs, {name}: {line.at(goal) / total:.1%}")
    share = 100 * (1 - useful.at(goal) / total)
    for one in runs:
        if one.bare:
            floor = one.bare | {"Prefect's server": one.server}
            parts = ", ".join(f"{name} {spent:.1f}" for name, spent in floor.items())
            report.say(f"the packages by themselves, {one.n_songs} songs, CPU s: {parts}; together "
                       f"{sum(floor.values()) / one.cpu:.1%} of the CPU time")  # fmt: skip
    report.figure(
        f"Prefect, DVC and caches, {goal} songs{beyond(runs, goal)}, share of the CPU time", share, "%", bar=5
    )
    return total


def beyond(runs: list[Full], goal: int) -> str:
    """A remark where `goal` songs were not run."""
    return "" if goal in [one.n_songs for one in runs] else f" (from {runs[0].n_songs} to {runs[-1].n_songs})"


def tell_plain(report: Report, runs: list[Full], goal: int, total: float, ways: list[Plain]) -> None:
    """The plain way beside ours, of which `total` CPU seconds are known; wall times only of what was run."""
    wall, cpu = (sum(values) / len(ways) for values in ([one.wall for one in ways], [one.cpu for one in ways]))
    report.say(f"the plain way, a song: {cpu:.2f} CPU s, {wall:.2f} s of wall time; peak memory "
               f"{max(one.peak for one in ways) / MIB:.0f} MiB, ffmpeg not counted")  # fmt: skip
    where = f"{goal} songs{beyond(runs, goal)}"
    report.figure(f"plain way / ours, {where}, CPU time", goal * cpu / total, "times", 4, at_least=True)
    for one in runs:
        if one.n_songs == goal:
            report.figure(f"plain way / ours, {where}, wall time", goal * wall / one.wall, "times", 4, at_least=True)
    report.save()


def tell_number(report: Report, few: Full, many: Full, whole: float) -> None:
    """What depends on the number of songs; `whole` is the CPU seconds of a full run of as many whole songs."""
    what = f"{many.n_songs} songs of {many.seconds:g} s"
    report.figure(f"peak memory of all processes, {what}", many.rss / GIB, "GiB", bar=2)
    report.figure(f"peak memory, {what} against {few.n_songs}", many.rss / few.rss, "times", bar=1.1)
    if many.small:
        noop, status = (many.small[name][1] for name in ("no-op dvc repro", "dvc status"))
        report.figure(f"no-op dvc repro / dvc status, {what}, CPU time", noop / status, "times", 1.5)
        share = 100 * many.small["one changed song"][1] / whole
        report.figure(
            f"one changed of {what}, share of the CPU time of a full run of as many whole ones", share, "%", bar=3
        )
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
        folder = Path(name).resolve()

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
        total = tell_times(report, runs, goal)
        tell_plain(report, runs, goal, total, ways)
        few, many = runs[0], runs[-1]
        if options.short:
            few, many = measured(sizes[0], SHORT_SECONDS, False), measured(options.short, SHORT_SECONDS, True)
        tell_number(report, few, many, total)


if __name__ == "__main__":
    main()
