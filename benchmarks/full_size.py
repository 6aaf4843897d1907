"""Stable Diffusion v1.5 at full size: does each experiment of the thesis profile run, how fast, on which card?

    python -m benchmarks.full_size                  # on a CPU: memory of each experiment, one real step of exp1
    python -m benchmarks.full_size --steps 5        # on a GPU: five steps of each, measured
    python -m benchmarks.full_size --no-step        # memory only

Exact shapes, random weights: nothing is downloaded. Memory is counted: parameters, gradients, optimizer state, and
every tensor that one pass keeps for its gradient, seen by PyTorch's hooks while fake tensors (shapes without numbers)
go through the real modules; with gradient checkpointing, what is kept between checkpoints plus the largest block
between two. What a driver, cuDNN and fragmentation take is an allowance, so which card fits is an estimate until it
was tried there. On a GPU the measured peak stands beside it.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record import Report
from tasks.settings import load
from tasks.train.params import experiment_of
from tasks.trainer import loop
from tasks.trainer import run as training_run
from tasks.trainer.batches import Prompts
from tasks.trainer.params import ExperimentParams, changed

CARDS_GIB = {"T4": 14.6, "L4": 22.0, "24 GB": 23.6, "80 GB": 79.1}  # what a driver leaves to programs
CONTEXT_GIB = 0.8  # CUDA context, cuDNN workspaces and fragmentation
EXPERIMENTS = ("exp1", "exp2", "exp3", "ours")
GIB = 2**30


def parts() -> dict[str, Any]:
    """U-Net, text encoder and VAE with the sizes of Stable Diffusion v1.5, which riffusion-model-v1 has too."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        max_position_embeddings=77,
        projection_dim=768,
        bos_token_id=49406,
        eos_token_id=49407,
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    return {"unet": unet, "text_encoder": CLIPTextModel(text), "vae": vae}


class Tally:
    """Bytes of the tensors that autograd keeps, each storage once."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}

    def pack(self, tensor: Any) -> Any:
        self.seen[tensor.untyped_storage()._cdata] = tensor
        return tensor

    @property
    def bytes(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self.seen.values())


def kept_bytes(params: ExperimentParams) -> int:
    """Bytes that one micro-batch keeps for its gradients, U-Net and text encoder together, beyond the weights."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        model = parts()
        weights = {p.untyped_storage()._cdata for part in ("unet", "text_encoder") for p in model[part].parameters()}
        side = params.resolution // 8
        rows = params.batch * (2 if params.prior else 1)
        noisy, steps = torch.randn(rows, 4, side, side), torch.zeros(rows, dtype=torch.long)
        tokens = torch.zeros(min(rows, len(params.emotions) + 1), 77, dtype=torch.long)
        blocks = [] if not params.gradient_checkpointing else checkpointed(model["unet"])
        whole = Tally()
        inside: dict[Any, Tally] = {}
        with half(params), contextlib.ExitStack() as hooks:
            for block in blocks:
                inside[block] = Tally()
                watch(block, inside[block], hooks)
            with torch.autograd.graph.saved_tensors_hooks(whole.pack, lambda tensor: tensor):
                states = model["text_encoder"](tokens)[0]
                rows_of = torch.zeros(rows, dtype=torch.long)
                model["unet"](noisy, steps, states[rows_of]).sample.float().square().mean()
        for tally in [whole, *inside.values()]:
            for key in weights:
                tally.seen.pop(key, None)
        peak = max((tally.bytes for tally in inside.values()), default=0)
        return whole.bytes + peak


def checkpointed(unet: Any) -> list[Any]:
    """The blocks that diffusers recomputes in the backward pass."""
    kinds = ("ResnetBlock2D", "BasicTransformerBlock")
    return [module for module in unet.modules() if type(module).__name__ in kinds]


def watch(block: Any, tally: Tally, stack: contextlib.ExitStack) -> None:
    """What is kept inside `block` goes to its own tally, its input to the tally outside, as checkpointing does."""
    import torch

    forward = block.forward

    def counted(hidden: Any, *arguments: Any, **named: Any) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(tally.pack, lambda tensor: tensor):
            answer = forward(hidden, *arguments, **named)
        hidden.square()  # its input is what a checkpoint keeps
        return answer

    block.forward = counted
    stack.callback(lambda: setattr(block, "forward", forward))


def half(params: ExperimentParams) -> Any:
    """Mixed precision of the right width; fake tensors are on the CPU, where 16 bits are bfloat16."""
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=params.precision != "none")


def memory(params: ExperimentParams) -> dict[str, float]:
    """GiB of each part while training on a GPU."""
    import torch

    with torch.device("meta"):
        model = parts()
    unet, text = (sum(p.numel() for p in model[name].parameters()) for name in ("unet", "text_encoder"))
    learnt = unet + (text if params.text_encoder == "train" else 0)
    optimizer = {"adamw": 8, "adamw_8bit": 2.03}[params.optimizer.name]  # bytes a weight; 8 bits and a scale of 256
    mixed = params.precision != "none" and params.gradient_checkpointing
    sizes = {
        "weights": 4 * (unet + text),  # the VAE has gone when training begins
        "16-bit copies": 2 * (unet + text) if mixed else 0,  # autocast's; without checkpointing they are counted below
        "gradients": 4 * learnt,
        "optimizer": optimizer * learnt,
        "average": 4 * learnt if params.ema_decay else 0,
        "kept for gradients": kept_bytes(params),
        "context": CONTEXT_GIB * GIB,
    }
    return {name: size / GIB for name, size in sizes.items()}


def real_steps(params: ExperimentParams, steps: int, device: Any) -> tuple[float, float, str]:
    """Seconds an optimizer step, peak GiB and how it ran; random weights and latents, the trainer's own parts."""
    import torch

    model = parts()
    with tempfile.TemporaryDirectory() as folder:
        run = assembled(model, changed(params, {"steps": steps, "preview": None}), Path(folder))
        how = "; ".join(run.notes) or f"{params.optimizer.name}, precision {params.precision}"
        seconds = []
        for step in range(steps):
            started = time.perf_counter()
            one_step(run, step)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
    return min(seconds), peak_gib(device), how


def peak_gib(device: Any) -> float:
    """Peak memory of this process so far."""
    import resource

    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def assembled(model: dict[str, Any], params: ExperimentParams, work: Path) -> Any:
    """A Run around random parts: the trainer's own optimizer, precision, checkpointing and batches."""
    import numpy as np
    import torch
    from diffusers import DDIMScheduler

    from tasks.trainer import losses, optimizers, processes
    from tasks.trainer.batches import Order
    from tasks.trainer.data import TrainingData
    from tasks.trainer.images import Example
    from tasks.trainer.latents import Latents
    from tasks.trainer.model import TrainableModel

    accelerator, notes = processes.accelerator(params)
    prompts = Prompts(params.prompts, params.emotions)
    unet, text_encoder = model["unet"], model["text_encoder"]
    text_encoder.requires_grad_(params.text_encoder == "train")
    if params.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        text_encoder.gradient_checkpointing_enable()
    tokens = torch.randint(49406, (len(prompts.texts), 77), generator=torch.Generator().manual_seed(1))
    trainable = TrainableModel(unet, text_encoder, tokens, None).to(accelerator.device)
    optimizer, ran = optimizers.build(trainable.groups(params), params.optimizer, accelerator.device)
    if ran != params.optimizer.name:
        notes.append(f"optimizer {ran}")
    side, n = params.resolution // 8, 10
    means = torch.randn(n, 4, side, side, generator=torch.Generator().manual_seed(2))
    labels = np.arange(n) % len(params.emotions)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    training_data = TrainingData(
        params=params,
        seed=1,
        examples=[Example(Path(f"{index}.png"), f"{index}.png", "") for index in range(n)],
        labels=labels,
        latents=Latents(means, torch.zeros_like(means)),
        prior=None,
        prompts=prompts,
        order=Order(labels.tolist(), params, 1),
        schedule=losses.schedule_of(scheduler, params.loss),
        class_weights=losses.class_weights([2] * len(params.emotions)),
        fixed=None,  # type: ignore[arg-type]
        inputs={},
    )
    prepared, stepper = accelerator.prepare(trainable, optimizer)
    trainable_parameters = list(trainable.trainable_parameters().values())
    average = optimizers.MovingAverage(trainable_parameters, params.ema_decay) if params.ema_decay else None
    return training_run.Run(
        params, training_data, prepared, stepper, average, None, accelerator, notes, training_run.State(), work, None
    )


def one_step(run: Any, step: int) -> None:
    """An optimizer step as the loop does it."""
    for micro in range(run.params.accumulation):
        batch = run.data.batch(step, micro, 0)
        loss = loop.batch_loss(run, batch) / run.params.accumulation
        run.accelerator.backward(loss)
    run.accelerator.clip_grad_norm_(
        list(run.unwrapped_model.trainable_parameters().values()), run.params.optimizer.max_gradient_norm
    )
    run.optimizer.step()
    run.optimizer.zero_grad()
    if run.average:
        run.average.update(list(run.unwrapped_model.trainable_parameters().values()), step)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' warnings."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--no-step", action="store_true", help="count memory only")
    parser.add_argument("--only", choices=EXPERIMENTS, action="append")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train = load(Path("profiles/thesis.yaml")).train
    said = Report("full_size")
    with quiet():
        rows = {name: memory(experiment_of(train, name)) for name in EXPERIMENTS}
        said.say(table(rows))
        chosen = given.only or (EXPERIMENTS if device.type == "cuda" else ("exp1",))
        for name in [] if given.no_step else chosen:
            seconds, peak, how = real_steps(experiment_of(train, name), given.steps, device)
            said.say(f"{name}, {given.steps} step(s) on {device.type}, {how}:")
            said.say(f"{seconds:.2f} s a step, {1 / seconds:.3f} steps a second, peak {peak:.1f} GiB")
    said.save()


def table(rows: dict[str, dict[str, float]]) -> str:
    """GiB of each part and in all, and the cards that hold it, as Markdown."""
    parts_of = list(next(iter(rows.values())))
    lines = [
        f"| GiB on a GPU | {' | '.join(parts_of)} | in all | {' | '.join(CARDS_GIB)} |",
        "|---" * (2 + len(parts_of) + len(CARDS_GIB)) + "|",
    ]
    for name, row in rows.items():
        total = sum(row.values())
        fits = ["fits" if size >= total else "-" for size in CARDS_GIB.values()]
        lines.append(
            f"| {name} | {' | '.join(f'{row[part]:.1f}' for part in parts_of)} | {total:.1f} | {' | '.join(fits)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
