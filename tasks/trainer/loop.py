"""DreamBooth, one readable loop: data/dataset + models/base -> **training** -> models/EXPERIMENT.

Method: Ruiz et al. 2023 (DreamBooth); what each parameter adds is said, with its source, in tasks/trainer/params.py.
Every draw is keyed by (seed, purpose, step), so a run that was killed and resumed gives the same weights, bit by bit
on a CPU, as one that was not.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.core.errors import TrainingError
from tasks.core.seeding import pinned
from tasks.models import pipelines
from tasks.trainer import (
    checkpoints,
    data,
    emotion_classifier,
    export,
    losses,
    model,
    optimizers,
    preview,
    processes,
    trackers,
)
from tasks.trainer.data import Batch
from tasks.trainer.losses import squared_errors, weighted
from tasks.trainer.params import ExperimentParams
from tasks.trainer.run import Run, State
from tasks.trainer.validation import fixed_losses

Progress = Callable[[int, int, str], None]


def train(
    name: str,
    dataset: Path,
    base: Path,
    experiment: ExperimentParams,
    seed: int,
    target: Path,
    work: Path,
    reports: Path,
    progress: Progress | None,
) -> dict[str, Any]:
    """A fine-tuned pipeline folder `target` and its curves in `reports`; gives the run's row of figures.

    Args:
        work: the experiment's own folder, for checkpoints; a run with the same inputs continues from there. Latents
            and prior images are beside it, shared by all experiments.
        progress: called with (steps done, steps in all, note).

    Raises:
        TrainingError: a class without images, a loss that is not a number, out of memory.
        ModelError: `base` is no Stable Diffusion.
    """
    arguments = (name, dataset, base, experiment, seed, target, work, reports)
    if experiment.processes > 1 and not processes.inside():
        return processes.launch(train, arguments, experiment.processes, progress)
    show = progress or (lambda done, total, note: None)
    with pinned(experiment.threads), explained_memory(experiment):
        run = prepare(dataset, base, experiment, seed, work, show)
        fit(run, show)
        return export.export(run, name, base, target, reports)


def prepare(dataset: Path, base: Path, params: ExperimentParams, seed: int, work: Path, progress: Progress) -> Run:
    """The run of an experiment, at its newest checkpoint if there is one."""
    accelerator, notes = processes.accelerator(params)
    pipeline = pipelines.load(base)
    notes += model.word_notes(pipeline.tokenizer, params.emotions)
    model.refuse_cut_prompts(pipeline.tokenizer, params)
    pipeline.vae.requires_grad_(False).to(accelerator.device)
    if params.prior:
        pipeline.to(accelerator.device)
    with accelerator.main_process_first():  # the others find latents and prior images on the disk
        training_data = data.load(pipeline, dataset, base, params, seed, work, progress)
    pipeline.to("cpu")  # the VAE has done its work: its memory is for training
    pipeline.register_modules(scheduler=losses.scheduler_for(pipeline.scheduler, params.loss))
    trainable = model.build(pipeline, training_data.prompts.texts, params, seed).to(accelerator.device)
    optimizer, ran = optimizers.build(trainable.groups(params), params.optimizer, accelerator.device)
    if ran != params.optimizer.name:
        notes.append(f"optimizer {ran}")
    trainable_parameters = list(trainable.trainable_parameters().values())
    run = Run(
        params=params,
        data=training_data,
        model=trainable,
        optimizer=optimizer,
        average=optimizers.MovingAverage(trainable_parameters, params.ema_decay) if params.ema_decay else None,
        classifier=emotion_classifier.train(training_data.latents, training_data.labels, len(params.emotions), seed)
        if params.loss.auxiliary_emotion
        else None,
        accelerator=accelerator,
        notes=notes,
        state=State(),
        folder=checkpoints.run_folder(work / "runs", training_data.inputs),
        pipeline=pipeline,
    )
    with accelerator.main_process_first():  # it removes what nobody can continue from; then the others read
        resume(run)
    run.model, run.optimizer = accelerator.prepare(trainable, optimizer)
    return run


def fit(run: Run, progress: Progress) -> None:
    """Train to the last step, or until the validation loss no longer falls."""
    params, state = run.params, run.state
    trainable_parameters = list(run.unwrapped_model.trainable_parameters().values())
    logs = trackers.Trackers(params.trackers if run.accelerator.is_main_process else [], run.folder / "trackers")
    while state.step < params.steps and not state.stopped_early:
        if state.step % params.validation.every_steps == 0 and last_validation_step(state) != state.step:
            validate(run)
            if state.stopped_early:
                break
        if params.preview and state.step % params.preview.every_steps == 0:
            preview_now(run)
        share = optimizers.learning_rate_share(
            state.step, params.steps, params.optimizer.warmup_steps, params.optimizer.schedule
        )
        optimizers.set_learning_rates(run.optimizer, share)
        loss, names = 0.0, []
        for micro in range(params.accumulation):
            batch = run.data.batch(state.step, micro, run.accelerator.process_index)
            last = micro == params.accumulation - 1
            with contextlib.nullcontext() if last else run.accelerator.no_sync(run.model):
                part = batch_loss(run, batch) / params.accumulation
                run.accelerator.backward(part)
            loss += float(part.detach())
            names += batch.names
        loss = processes.mean(run.accelerator, loss)
        refuse_nan(run, loss, f"step {state.step + 1}, images {', '.join(sorted(set(names))[:8])}")
        if state.step and state.step % params.checkpoints.every_steps == 0:
            save_checkpoint(run)  # only now are these weights known to be good: they gave a finite loss
        if params.optimizer.max_gradient_norm:
            run.accelerator.clip_grad_norm_(trainable_parameters, params.optimizer.max_gradient_norm)
        run.optimizer.step()
        run.optimizer.zero_grad(set_to_none=True)
        if run.average:
            run.average.update(trainable_parameters, state.step)
        state.step += 1
        state.losses.append([state.step, loss, share * params.optimizer.learning_rate])
        logs.log_new(state.losses, state.validations)
        progress(state.step, params.steps, f"loss {loss:.3f}, validation {last_validation(state):.3f}")
    if last_validation_step(state) != state.step:
        validate(run)
    save_checkpoint(run)
    if params.preview:
        preview_now(run)
    logs.log_new(state.losses, state.validations)
    logs.close()


def preview_now(run: Run) -> None:
    """Images by the weights that would be exported now."""
    run.model.eval()
    with averaged(run):
        preview.draw(run)


def batch_loss(run: Run, batch: Batch) -> Any:
    """The loss of a micro-batch: images, plus the weighted prior, plus the weighted emotion classifier."""
    params, device, n = run.params, run.accelerator.device, len(batch.labels)
    run.model.train()
    batch = batch.to(device)
    predicted = run.model(batch.noisy, batch.timesteps, batch.prompts, batch.conditions)
    errors = squared_errors(predicted, batch.target)
    schedule, weights = run.data.schedule, run.data.class_weights
    loss = weighted(errors[:n], batch.timesteps[:n], batch.labels, schedule, params.loss, weights).mean()
    if params.prior:
        loss = loss + params.prior.weight * errors[n:].mean()
    if run.classifier is not None:
        judged = emotion_classifier.errors(run.classifier.to(device), schedule, predicted, batch)
        loss = loss + params.loss.auxiliary_emotion * judged.mean()
    return loss


@contextlib.contextmanager
def averaged(run: Run) -> Iterator[None]:
    """The moving averages stand in for the weights inside the block, where there are any."""
    trainable_parameters = list(run.unwrapped_model.trainable_parameters().values())
    if run.average:
        run.average.swap(trainable_parameters)
    try:
        yield
    finally:
        if run.average:
            run.average.swap(trainable_parameters)


def validate(run: Run) -> None:
    """Add the fixed losses of this step; keep the weights when they are the best so far; decide on stopping."""
    state, device = run.state, run.accelerator.device

    def predict(*tensors: Any) -> Any:
        return run.unwrapped_model(*(tensor.to(device) for tensor in tensors))

    run.model.eval()
    with averaged(run):
        rows = fixed_losses(run.data.fixed, predict, max(16, run.params.batch))
        # The same figures in every process, or they could disagree on when to stop.
        rows = [(group, name, processes.mean(run.accelerator, loss)) for group, name, loss in rows]
        refuse_nan(run, rows[0][2], f"validation after step {state.step}")
        state.validations += [[state.step, *row] for row in rows]
        stopping = run.params.early_stopping
        if rows[0][2] < state.best_loss - (stopping.min_delta if stopping else 0.0):
            state.best_loss, state.best_step = rows[0][2], state.step
            if run.accelerator.is_main_process and data.saves_best(run.params):
                checkpoints.save_best(run.folder, run.unwrapped_model.trainable_parameters())
    if stopping:
        since = [step for step, group, *_ in state.validations if group == "total" and step > state.best_step]
        state.stopped_early = len(since) >= stopping.patience


def last_validation(state: State) -> float:
    """The newest total validation loss."""
    return next(row[3] for row in reversed(state.validations) if row[1] == "total")


def last_validation_step(state: State) -> int:
    """The step of the newest validation; -1: there was none."""
    return state.validations[-1][0] if state.validations else -1


def save_checkpoint(run: Run) -> None:
    """Write a checkpoint, from one process."""
    if not run.accelerator.is_main_process:
        return
    tensors, numbers = checkpoints.flatten_optimizer(run.optimizer)
    tensors |= {f"weight.{name}": value for name, value in run.unwrapped_model.trainable_parameters().items()}
    if run.average:
        tensors |= {f"average.{index:05d}": value for index, value in enumerate(run.average.shadows)}
    facts = {
        "fingerprint": checkpoints.fingerprint(run.data.inputs),
        "inputs": run.data.inputs,
        "numbers": numbers,
        "scaler": run.accelerator.scaler.state_dict() if run.accelerator.scaler else None,
        "state": {**vars(run.state), "best_loss": None if run.state.best_loss == math.inf else run.state.best_loss},
    }
    checkpoints.save(run.folder / "checkpoints", run.state.step, tensors, facts, run.params.checkpoints.keep)
    checkpoints.remove_other_runs(run.folder)


def resume(run: Run) -> None:
    """Put the run where its newest checkpoint stands; without one it starts at step 0."""
    import torch

    checkpoint = checkpoints.latest(run.folder / "checkpoints", checkpoints.fingerprint(run.data.inputs))
    if checkpoint is None:
        if run.accelerator.is_main_process:
            checkpoints.warn_of_other_run(run.folder, run.data.inputs)
        return
    tensors, facts = checkpoint
    with torch.no_grad():
        for name, parameter in run.model.trainable_parameters().items():
            parameter.copy_(tensors[f"weight.{name}"])
        for index, shadow in enumerate(run.average.shadows if run.average else []):
            shadow.copy_(tensors[f"average.{index:05d}"])
    checkpoints.restore_optimizer(run.optimizer, tensors, facts["numbers"])
    if run.accelerator.scaler and facts["scaler"]:
        run.accelerator.scaler.load_state_dict(facts["scaler"])
    values = facts["state"]
    run.state = State(**{**values, "best_loss": math.inf if values["best_loss"] is None else values["best_loss"]})


def refuse_nan(run: Run, loss: float, where: str) -> None:
    """Raise when the loss is not a finite number; the last checkpoint is of good weights."""
    if math.isfinite(loss):
        return
    saved = checkpoints.list_checkpoints(run.folder / "checkpoints")
    raise TrainingError(
        "the loss is not a number any more",
        where=where,
        got=f"{loss}; last good checkpoint: {saved[-1] if saved else 'none yet'}",
        todo="lower optimizer.learning_rate, or precision: bf16 or none instead of fp16, then run again",
    )


@contextlib.contextmanager
def explained_memory(params: ExperimentParams) -> Iterator[None]:
    """Say what to lower when memory runs out inside the block."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not (isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text):
            raise
        raise TrainingError(
            "out of memory",
            got=f"{params.batch} images of {params.resolution} pixels a micro-batch ({text.splitlines()[0][:200]})",
            todo="halve batch and double accumulation (the same gradient), then gradient_checkpointing: true, "
            "optimizer.name: adamw_8bit, text_encoder: frozen, lora, and last a lower resolution",
        ) from error
