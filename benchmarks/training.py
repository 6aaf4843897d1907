"""Training speed and memory: ours against a plain DreamBooth loop, in one run, on the same model, data and batch.

    python -m benchmarks.training                         # CPU, or the GPU where there is one
    python -m benchmarks.training --batch 4 --steps 60 --dataset data/dataset --base models/base

The plain loop does what the DreamBooth script of diffusers does: each step it opens, scales and encodes the
pictures, encodes one prompt a picture, and steps torch's AdamW. Both arms run in a process of their own, in turns,
so that their peak memories are their own. On a CPU processor time is measured, which a loaded machine does not
stretch. Both end with the same fixed validation loss; each round has another seed, and the losses count as equal when
the interval of their difference over the rounds holds 0.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.record import Report
from tasks.base import pretraining
from tasks.base.demo_model import build_vae
from tasks.core.seeding import pinned
from tasks.models import pipelines
from tasks.settings import load
from tasks.train.params import experiment_of
from tasks.trainer import loop
from tasks.trainer.params import ExperimentParams, changed

ROUNDS = 3
SKIPPED = 3  # first steps, in which libraries set themselves up


def drawn_dataset(folder: Path, emotions: list[str], side: int = 512) -> Path:
    """40 drawn pictures of 512 pixels, for a machine without the demo's data: speed does not depend on content."""
    rows = []
    for split, count in (("train", 6), ("validation", 2)):
        for index in range(count * len(emotions)):
            name = f"{split}/{index:05d}.png"
            (folder / split).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(index).integers(0, 256, (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name, compress_level=1)
            rows.append(
                {"file_name": name, "emotion": emotions[index % len(emotions)], "split": split, "augmentation": ""}
            )
    pd.DataFrame(rows).to_parquet(folder / "dataset.parquet")
    return folder


def untrained_base(folder: Path) -> Path:
    """The demo's model with the weights it is drawn with."""
    sizes = load(Path("profiles/demo.yaml")).base.demo
    assert sizes is not None
    pipelines.save(pretraining.assemble(build_vae(sizes).eval(), sizes, 1), folder, "untrained\n", {})
    return folder


def ours(dataset: Path, model: Path, params: ExperimentParams, seed: int, work: Path) -> list[float]:
    """Times (s) at which each step of the project's own loop ended."""
    ends: list[float] = []
    loop.train("bench", dataset, model, params, seed, work / "m", work / "w" / "x", work / "c", clock(ends))
    return ends


def now() -> float:
    """Seconds: processor time on a CPU, which a loaded machine does not stretch; the clock's on a GPU."""
    return time.perf_counter() if on_gpu() else time.process_time()


def on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def clock(ends: list[float]) -> Any:
    """A progress function that notes the time of each optimizer step."""

    def progress(_done: int, _total: int, note: str) -> None:
        if note.startswith("loss"):
            ends.append(now())

    return progress


def plain(dataset: Path, model: Path, params: ExperimentParams, seed: int, work: Path) -> list[float]:
    """The same for a plain loop; the material is gathered first, to end with the same validation."""
    import torch

    run = loop.prepare(dataset, model, params, seed, work / "w" / "x", lambda *_: None)
    unet, text_encoder, vae = run.pipeline.unet, run.pipeline.text_encoder, run.pipeline.vae
    tokenizer, device, schedule = run.pipeline.tokenizer, run.accelerator.device, run.data.schedule
    vae.to(device)
    rate = params.optimizer.learning_rate
    optimizer = torch.optim.AdamW([*unet.parameters(), *text_encoder.parameters()], lr=rate, weight_decay=0.0)
    torch.manual_seed(seed)
    ends = []
    for step in range(params.steps):
        rows = run.data.order.rows_of(step, 0, 0)
        examples = [run.data.examples[row] for row in rows]
        pictures = []
        for example in examples:
            image = Image.open(example.path).convert("RGB")
            image = image.resize((params.resolution, params.resolution), Image.Resampling.BOX)
            pictures.append(torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1)
        texts = [params.prompts[0].replace("{emotion}", example.emotion) for example in examples]
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(device)
        with torch.no_grad():
            clean = vae.encode(torch.stack(pictures).to(device)).latent_dist.sample() * vae.config.scaling_factor
        noise = torch.randn_like(clean)
        timesteps = torch.randint(0, schedule.n_steps, (len(rows),), device=device)
        states = text_encoder(tokens)[0]
        predicted = unet(schedule.noisy(clean, noise, timesteps), timesteps, states).sample
        target = schedule.target(clean, noise, timesteps)
        loss = torch.nn.functional.mse_loss(predicted.float(), target.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*unet.parameters(), *text_encoder.parameters()], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        ends.append(now())
    loop.validate(run)
    (work / "c").mkdir(parents=True)
    total = loop.last_validation(run.state)
    (work / "c/training.json").write_text(json.dumps({"validation_loss_after": total}))
    return ends


def measure(arm: str, dataset: Path, model: Path, params: ExperimentParams, seed: int, results: Any) -> None:
    """Run one arm here and send its figures."""
    import torch

    with tempfile.TemporaryDirectory() as folder, pinned(params.threads):
        ends = {"ours": ours, "plain": plain}[arm](dataset, model, params, seed, Path(folder))
        loss = json.loads((Path(folder) / "c/training.json").read_text())["validation_loss_after"]
    peak = torch.cuda.max_memory_allocated() if on_gpu() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    steps = np.diff(ends)[SKIPPED:]
    results.put({"arm": arm, "step_seconds": float(np.median(steps)), "peak": peak, "loss": loss})


def in_own_process(*arguments: Any) -> dict[str, Any]:
    """The figures of one arm, measured in a fresh process."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=measure, args=(*arguments, results))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"the {arguments[0]} arm ended with {process.exitcode}")
    return results.get()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    if given.rounds < 2:
        parser.error("an interval needs two rounds or more")
    with tempfile.TemporaryDirectory() as folder:
        demo = experiment_of(load(Path("profiles/demo.yaml")).train, "ours")
        params = changed(
            demo,
            {
                "batch": given.batch,
                "steps": given.steps,
                "threads": given.threads,
                "device": "auto",
                "optimizer": {"schedule": "constant", "warmup_steps": 0},
                "validation": {"every_steps": given.steps},
                "checkpoints": {"every_steps": given.steps},
                "conditioning": {"dropout": 0.0},
            },
        )
        dataset = given.dataset or drawn_dataset(Path(folder) / "dataset", params.emotions)
        model = given.base or untrained_base(Path(folder) / "base")
        rows = [
            in_own_process(arm, dataset, model, params, seed)
            for seed in range(1, given.rounds + 1)
            for arm in ("plain", "ours")
        ]
    report(rows, given)


def report(rows: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """The table: medians over the rounds, ratios within each round."""
    said = Report("training")
    place = "GPU, seconds of the clock" if on_gpu() else "CPU, seconds of processor time"
    said.say(f"batch {given.batch}, {given.steps} steps, {given.threads} thread(s), {given.rounds} rounds; {place}")
    said.say(f"{'':8}{'ms a step':>11}{'steps/s':>9}{'peak MiB':>10}{'validation loss':>17}")
    for arm in ("plain", "ours"):
        own = [row for row in rows if row["arm"] == arm]
        mid = {key: statistics.median(row[key] for row in own) for key in ("step_seconds", "peak", "loss")}
        said.say(
            f"{arm:8}{1000 * mid['step_seconds']:11.1f}{1 / mid['step_seconds']:9.2f}{mid['peak'] / 2**20:10.0f}"
            f"{mid['loss']:17.4f}"
        )
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    speed = [slow["step_seconds"] / fast["step_seconds"] for slow, fast in pairs]
    memory = [fast["peak"] / slow["peak"] for slow, fast in pairs]
    said.say(
        f"rounds: {min(speed):.2f} to {max(speed):.2f} times faster, "
        f"{min(memory):.3f} to {max(memory):.3f} of the memory"
    )
    said.figure("speed of a step, ours over plain", statistics.median(speed), "times", 1.5, at_least=True)
    said.figure("peak memory, ours over plain", statistics.median(memory), "of plain's", 1.0)
    apart = [fast["loss"] - slow["loss"] for slow, fast in pairs]
    mean, reach = statistics.mean(apart), half_interval(apart)
    verdict = "equal within noise" if abs(mean) <= reach else "NOT equal"
    said.say(f"validation loss, ours less plain's: {mean:+.4f}, 95 % within {reach:.4f} of it: {verdict}")
    said.save()


def half_interval(values: list[float]) -> float:
    """Half the 95 % interval of a mean, by Student's t."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5)


if __name__ == "__main__":
    main()
