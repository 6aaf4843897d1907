"""From the last step to the model folder: training -> **models/EXPERIMENT** with card, facts and curves."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.files import write_json
from tasks.core.reading import json_of
from tasks.models import model_card, pipelines
from tasks.trainer import checkpoints, lora, trackers
from tasks.trainer.batches import filled
from tasks.trainer.params import ExperimentParams

if TYPE_CHECKING:
    from tasks.trainer.run import Run


def weights_to_export(run: "Run") -> dict[str, dict[str, Any]]:
    """The trained weights by name for each of `last` and `best` that is exported; the exported one first."""
    from safetensors.torch import load_file

    other = {"last": "best", "best": "last"}[run.params.export]
    last = {name: value.detach().clone() for name, value in run.unwrapped_model.trainable_parameters().items()}
    return {
        which: load_file(run.folder / checkpoints.BEST) if which == "best" else last
        for which in ([run.params.export, other] if run.params.export_both else [run.params.export])
    }


def export(run: "Run", name: str, base: Path, target: Path, reports: Path) -> dict[str, Any]:
    """Write the model folder and the curves; gives the run's row of figures.

    With `export_both` the other of last and best is a whole model in a folder of that name inside `target`.
    """
    row = figures(run, name)
    if not run.accelerator.is_main_process:
        return row
    if run.average:
        run.average.swap(list(run.unwrapped_model.trainable_parameters().values()))
    for which, weights in weights_to_export(run).items():
        set_weights(run, weights)
        folder = target if which == run.params.export else target / which
        write_model(run, folder, name, base, {**row, "weights": which})
    trackers.write_curves(reports, run.state.losses, run.state.validations)
    write_json(reports / "training.json", row)
    return row


def set_weights(run: "Run", weights: dict[str, Any]) -> None:
    """Set the trainable parameters to these weights."""
    import torch

    with torch.no_grad():
        for name, parameter in run.unwrapped_model.trainable_parameters().items():
            parameter.copy_(weights[name])


def write_model(run: "Run", folder: Path, name: str, base: Path, row: dict[str, Any]) -> None:
    """The present weights as a model folder."""
    pipeline = run.pipeline
    if run.params.lora:  # folding is final, and the model may be needed again
        parts = {part: lora.folded(getattr(pipeline, part)) for part in ("unet", "text_encoder")}
        pipeline = type(pipeline)(**{**pipeline.components, **parts}, requires_safety_checker=False)
    facts = {
        "base": base_facts(base),
        "figures": row,
        "inputs": checkpoints.fingerprint(run.data.inputs),
        "parameters": run.params.model_dump(),
        "seed": run.data.seed,
    }
    pipelines.save(pipeline, folder, card_of(run, name, base, row), facts, run.unwrapped_model.emotion)


def base_facts(base: Path) -> dict[str, Any]:
    """What the base says of itself."""
    path = base / "emoriff.json"
    return json_of(path) if path.is_file() else {}


def figures(run: "Run", name: str) -> dict[str, Any]:
    """The run in numbers; nothing that depends on the clock."""
    params, state = run.params, run.state
    totals = [(step, loss) for step, group, _, loss in state.validations if group == "total"]
    counts = Counter(example.emotion for example in run.data.examples)
    return {
        "experiment": name,
        "steps": state.step,
        "stopped_early": state.stopped_early,
        "pictures": {emotion: counts[emotion] for emotion in params.emotions},
        "pictures_seen": state.step * images_per_step(params),
        "learnt_parameters": sum(value.numel() for value in run.unwrapped_model.trainable_parameters().values()),
        "validation_loss_before": rounded(totals[0][1]),
        "validation_loss_after": rounded(totals[-1][1]),
        "best_step": state.best_step,
        "best_validation_loss": rounded(state.best_loss),
        "notes": run.notes,
    }


def rounded(value: float) -> float:
    """Seven significant digits."""
    return float(f"{value:.7g}")


def card_of(run: "Run", name: str, base: Path, row: dict[str, Any]) -> str:
    """The model card."""
    params = run.params
    made = {
        "base": base_facts(base).get("name", "a Stable Diffusion"),
        "method": f"DreamBooth, {row['steps']} steps of {images_per_step(params)} pictures",
        "prompts": ", ".join(repr(prompt) for prompt in params.prompts),
        "emotions": ", ".join(f"{emotion} ({count} pictures)" for emotion, count in row["pictures"].items()),
        "resolution": f"{params.resolution} pixels",
        "optimizer": f"{params.optimizer.name}, {params.optimizer.schedule} from {params.optimizer.learning_rate:g}",
        "text encoder": {"train": "trained", "frozen": "frozen"}[params.text_encoder],
        "weights": row["weights"],
        "notes": "; ".join(row["notes"]) or "none",
    }
    numbers = {
        "validation loss before, after": f"{row['validation_loss_before']:.4f}, {row['validation_loss_after']:.4f}",
        "lowest": f"{row['best_validation_loss']:.4f} at step {row['best_step']}",
    }
    return model_card.card(
        name,
        "Draws spectrograms of music of an emotion.",
        filled(params.prompts[0], params.emotions[0]),
        params.resolution,
        params.data_licence,
        model_card.bullets(made),
        model_card.bullets(numbers),
    )


def images_per_step(params: ExperimentParams) -> int:
    """Images seen in one optimizer step, over all processes."""
    return params.batch * params.accumulation * params.processes
