"""What each knob of the trainer does to emotion accuracy, distance, time and memory: `python -m benchmarks.ablation`.

After `make repro`. Every variant of benchmarks/ablation.yaml is laid over the experiment `ours`, trained on the same
data from the same base with the same seed, asked for the same clips, and judged by the same judge in one go. Finished
variants are kept in .emoriff/ablation, so a stopped run goes on where it was. Out come reports/ablation/ablation.csv,
ablation.md and metrics.json. `--only NAME` (repeatable), `--clips`, `--steps` and `--jobs` make it smaller or wider;
`--page FILE` writes the table there too.
"""

import argparse
import json
import math
import os
import resource
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.record import command
from benchmarks.training import clock
from tasks.core.files import digest, slug, write_json, write_parquet, write_text
from tasks.settings import Params, load
from tasks.train.params import experiment_of
from tasks.trainer import data
from tasks.trainer.params import ExperimentParams, changed

REFERENCE = "ours"
WORK, REPORTS = Path(".emoriff/ablation"), Path("reports/ablation")
NEEDED = ("data/dataset", "data/wav", "data/segments", "data/labels", "models/base")
ALPHA = 0.05


def known() -> dict[str, dict[str, Any]]:
    """Name -> what a variant changes in `ours`."""
    table: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return table


def variants(params: Params, only: list[str], steps: int | None) -> dict[str, ExperimentParams]:
    """Name -> experiment; the reference always among them."""
    ours = experiment_of(params.train, "ours")
    if steps:
        ours = changed(ours, {"steps": steps})
    table = known()
    unknown = sorted(set(only) - set(table))
    if unknown:
        raise SystemExit(f"no such variant: {', '.join(unknown)}; known: {', '.join(table)}")
    chosen = {name: changes for name, changes in table.items() if not only or name in only or name == REFERENCE}
    return {name: changed(ours, {**changes, "threads": 1}) for name, changes in chosen.items()}


def make(name: str, experiment: ExperimentParams | None, params: Params, clips: int) -> dict[str, Any]:
    """Train a variant and draw its clips, in a process of its own; gives its row of costs.

    `experiment` None: the base itself.
    """
    from tasks.generate import sampling
    from tasks.trainer import loop

    folder, model = slug(name), WORK / "models" / slug(name)
    if experiment is None:
        shutil.copytree("models/base", model, dirs_exist_ok=True)
        seconds = step = 0.0
    else:
        started, ends = time.process_time(), []
        loop.train(
            folder,
            Path("data/dataset"),
            Path("models/base"),
            experiment,
            params.seed,
            model,
            WORK / "work" / folder,
            WORK / "curves" / folder,
            clock(ends),
        )
        seconds = time.process_time() - started
        step = statistics.median(later - earlier for earlier, later in pairwise(ends))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    target = WORK / "data/generated" / folder
    rows = [
        row
        for emotion in params.generate.prompts
        for row in sampling.generate_batch(
            model, folder, emotion, list(range(clips)), params.generate, params.spectrogram, target, params.seed
        )
    ]
    write_parquet(target / "manifest.parquet", pd.DataFrame(rows).sort_values(["emotion", "seed"]))
    row = {
        "variant": name,
        "cpu_seconds": seconds,
        "ms_a_step": 1000 * step,
        "peak_mib": peak,
    }
    write_json(WORK / "rows" / f"{folder}.json", row)
    return row


def is_cached(name: str, key: str) -> bool:
    """Was this variant finished with these parameters before?"""
    path = WORK / "keys" / f"{slug(name)}.txt"
    return path.is_file() and path.read_text() == key


def make_all(chosen: dict[str, ExperimentParams], params: Params, clips: int, jobs: int) -> list[dict[str, Any]]:
    """Rows of costs, the base first."""
    wanted: dict[str, ExperimentParams | None] = {"base": None, **chosen}
    base = Path("models/base/emoriff.json").read_text()  # names, by their hash, the data set and all it was made of
    state = digest([params.generate.model_dump(), clips, base, data.code()])
    keys = {name: digest([state, one.model_dump() if one else None]) for name, one in wanted.items()}
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        running = {
            pool.submit(make, name, one, params, clips): name
            for name, one in wanted.items()
            if not is_cached(name, keys[name])
        }
        for done in as_completed(running):
            row, name = done.result(), running[done]
            write_text(WORK / "keys" / f"{slug(name)}.txt", keys[name])
            print(f"{name}: {row['cpu_seconds']:.0f} s of processor time, {row['peak_mib']:.0f} MiB", flush=True)
    return [json.loads((WORK / "rows" / f"{slug(name)}.json").read_text()) for name in wanted]


def judge(names: list[str], params: Params) -> dict[str, Any]:
    """metrics.json of all variants together."""
    from tasks.evaluate import evaluation

    for name in ("wav", "segments", "labels"):
        link = WORK / "data" / name
        link.unlink(missing_ok=True)
        link.symlink_to(Path("data", name).resolve())
    return evaluation.measure_clips(
        [slug(name) for name in names],
        WORK / "data",
        Path("models/base"),
        REPORTS,
        params.evaluate,
        params.spectrogram,
        params.generate.decode,
        params.generate.prompts,
        params.dataset.resolution,
        params.seed,
        params.compute.workers,
    )


def summary(rows: list[dict[str, Any]], metrics: dict[str, Any]) -> pd.DataFrame:
    """A row per variant: accuracy and distance with intervals, difference from ours with p, costs, and a conclusion."""
    table = []
    for row in rows:
        own = metrics["experiments"][slug(row["variant"])]
        accuracy, distance = own["emotion_accuracy"], own["kad"]
        against = own["comparisons"].get(slug(REFERENCE), {}).get("emotion_accuracy", {})
        table.append(
            {
                **row,
                **{f"accuracy{end}": accuracy[key] for end, key in ENDS.items()},
                **{f"kad{end}": distance[key] for end, key in ENDS.items()},
                "n": accuracy["n"],
                "difference": against.get("value", 0.0),
                "p": against.get("p", 1.0),
            }
        )
    frame = pd.DataFrame(table).astype({f"kad{end}": float for end in ENDS})
    frame["p"] = holm(frame["p"].tolist())
    frame["verdict"] = [conclusion(row, frame) for _, row in frame.iterrows()]
    return frame


def holm(p: list[float]) -> list[float]:
    """p-values of so many comparisons at once, adjusted (Holm 1979): 1 counts as no comparison."""
    left, worst, adjusted = sum(value < 1 for value in p), 0.0, list(p)
    for index in sorted(range(len(p)), key=lambda index: p[index]):
        if p[index] < 1:
            worst = max(worst, min(1.0, left * p[index]))
            adjusted[index], left = worst, left - 1
    return adjusted


ENDS = {"": "value", "_low": "low", "_high": "high"}


def conclusion(row: Any, frame: pd.DataFrame) -> str:
    """In a word what the knob did here, at 5 %: better, worse, or nothing that 2 x n clips can show."""
    ours = frame[frame["variant"] == REFERENCE].iloc[0]
    if row["variant"] in (REFERENCE, "base"):
        return "reference" if row["variant"] == REFERENCE else "start"
    if not learnt(frame):
        return "undecided"
    if row["p"] < ALPHA:
        return "helps" if row["difference"] > 0 else "harms"
    if row["kad_high"] < ours["kad_low"]:  # NaN where artists are too few for an interval: neither is said
        return "nearer to real music"
    if row["kad_low"] > ours["kad_high"]:
        return "farther from real music"
    cheaper = row["ms_a_step"] < 0.9 * ours["ms_a_step"] or row["peak_mib"] < 0.9 * ours["peak_mib"]
    return "as good and cheaper" if cheaper else "useless here"


def learnt(frame: pd.DataFrame) -> bool:
    """Whether `ours` plays what it is asked for better than the base it started from; else nothing can be compared."""
    low, high = (frame.set_index("variant")[key] for key in ("accuracy_low", "accuracy_high"))
    return bool(low[REFERENCE] > high["base"])


UNDECIDED = """
**Nothing can be concluded from this table.** After {steps} steps `ours` itself is not better than the base, so no knob
can show an effect on accuracy. Only time and memory can be read from it. Run it with all {full} steps.
"""
PAGE = """# What each knob of the trainer does on the demo

Made by `{command}`; nothing is written by hand.

Each variant is the experiment `ours` with one thing changed, trained for {steps} steps ({full} in the demo), asked for
{n} clips ({clips} an emotion), and judged as in `reports/metrics.json`: the share of clips in which the judge
recognises what was asked for, and the distance to real music (KAD, 0 is equal), with 95 % intervals. p is
that of a permutation test against `ours`, adjusted for the number of variants (Holm). Time is processor time on one
thread.

One training seed each: the intervals say nothing of another seed. With {n} clips a difference below about {least:.2f}
cannot be seen. {caveat}"Useless here" means: no difference seen, and no cheaper. It says nothing of riffusion-model-v1.

{table}
{left_out}"""


def page(frame: pd.DataFrame, given: argparse.Namespace, full: ExperimentParams) -> str:
    """The whole page."""
    n = int(frame["n"].iloc[0])
    left_out = [name for name in known() if name not in set(frame["variant"])]
    return PAGE.format(
        command=command(),
        steps=given.steps or full.steps,
        full=full.steps,
        n=n,
        clips=given.clips,
        least=2.8 * (2 * 0.25 / n) ** 0.5,  # power .8 at 5 %, both shares near a half
        table=markdown(frame),
        caveat="" if learnt(frame) else UNDECIDED.format(steps=given.steps or full.steps, full=full.steps) + "\n",
        left_out=f"Not run here: {', '.join(left_out)}.\n" if left_out else "",
    )


def markdown(frame: pd.DataFrame) -> str:
    """The table as a person reads it."""
    lines = [
        "| variant | emotion accuracy | against ours | p | KAD | ms a step | MiB | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in frame.itertuples():
        accuracy = f"{row.accuracy:.2f} [{row.accuracy_low:.2f}, {row.accuracy_high:.2f}]"
        distance = f"{row.kad:.2f} [{row.kad_low:.2f}, {row.kad_high:.2f}]"
        if math.isnan(row.kad_low):
            distance = f"{row.kad:.2f}, no interval"
        cells = [
            accuracy,
            f"{row.difference:+.2f}",
            f"{row.p:.3f}",
            distance,
            f"{row.ms_a_step:.0f}",
            f"{row.peak_mib:.0f}",
        ]
        lines.append(f"| {row.variant} | {' | '.join(cells)} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--clips", type=int, default=10, help="clips an emotion")
    parser.add_argument("--steps", type=int, help="training steps (default: as ours)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table there too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    params = load()
    if given.clips < params.evaluate.min_clips:
        parser.error(f"--clips: the judge needs at least {params.evaluate.min_clips} an emotion (evaluate.min_clips)")
    missing = [path for path in NEEDED if not Path(path).exists()]
    if missing:
        raise SystemExit(f"run `make repro` first: no {', '.join(missing)}")
    chosen = variants(params, given.only, given.steps)
    rows = make_all(chosen, params, given.clips, given.jobs)
    frame = summary(rows, judge(["base", *chosen], params))
    write_text(REPORTS / "ablation.csv", frame.round(6).to_csv(index=False))
    for path in [REPORTS / "ablation.md", *([given.page] if given.page else [])]:
        write_text(path, page(frame, given, experiment_of(params.train, REFERENCE)))
    print(markdown(frame))


if __name__ == "__main__":
    main()
