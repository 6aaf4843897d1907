"""What a killed run goes on from: training state -> **work/runs/KEY/checkpoints/step-N** -> the same, bit by bit.

Tensors in safetensors (nothing pickled), the rest in JSON; a folder is written aside and renamed, so that one
with a name is whole. Random state need not be saved: every draw is keyed by seed and step.

A run's folder is named after its inputs, all that its weights and curves follow from. A run of other inputs has a
folder beside it, and removes the older one only once it has a checkpoint of its own.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.files import digest, write_json
from tasks.core.reading import json_of
from tasks.core.storage import remove_temporaries, replacing

log = logging.getLogger("emoriff.training")
BEST = "best.safetensors"  # in a run's folder: the weights of the lowest validation loss so far
LONGEST_VALUE = 60  # characters of a value in a message; digests are longer


def fingerprint(inputs: dict[str, Any]) -> str:
    """One word for inputs: equal for two runs exactly when they must give the same weights and curves."""
    return digest(inputs)


def run_folder(runs: Path, inputs: dict[str, Any]) -> Path:
    """The folder of the run with these inputs, below `runs`."""
    return runs / fingerprint(inputs)[:16]


def remove_other_runs(run: Path) -> None:
    """Remove the folders of runs of other inputs beside `run`, once it has a checkpoint of its own."""
    for other in run.parent.iterdir():
        if other != run and list_checkpoints(run / "checkpoints"):
            shutil.rmtree(other, ignore_errors=True)


def warn_of_other_run(run: Path, inputs: dict[str, Any]) -> None:
    """Say what changed when there is no checkpoint for `run`, but one of other inputs beside it."""
    others = [path for path in run.parent.glob("*/checkpoints/step-*") if path.parents[1] != run]
    if list_checkpoints(run / "checkpoints") or not others:
        return
    newest = max(others, key=lambda path: path.stat().st_mtime)
    log.warning(
        "training starts anew: the checkpoint %s was made from other inputs (%s); it stays until this run has "
        "one of its own",
        newest,
        "; ".join(changes(inputs_of(newest), inputs)) or "which ones, it does not say",
    )


def inputs_of(checkpoint: Path) -> dict[str, Any]:
    """The inputs of the run that wrote a checkpoint; empty when it cannot be read."""
    try:
        inputs = json_of(checkpoint / "state.json").get("inputs")
    except (InputError, OSError, AttributeError):
        return {}
    return inputs if isinstance(inputs, dict) else {}


def changes(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """What differs between the inputs of two runs, in words; nothing where either is unknown.

    >>> changes({"parameters": {"batch": 2}, "code": 64 * "a"}, {"parameters": {"batch": 4}, "code": 64 * "b"})
    ['parameters.batch 2 -> 4', 'code']
    """
    lines: list[str] = []
    for key in dict.fromkeys([*old, *new]) if old and new else []:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += changes(before, after, f"{prefix}{key}.")
        elif before != after:
            values = f" {before} -> {after}"
            lines.append(f"{prefix}{key}" + (values if len(values) < LONGEST_VALUE else ""))
    return lines


def save(folder: Path, step: int, tensors: dict[str, Any], facts: dict[str, Any], keep: int) -> None:
    """Write the checkpoint after `step` steps, unless it is there, and remove all but the newest `keep`."""
    from safetensors.torch import save_file

    target = folder / f"step-{step:07d}"
    if target.exists():
        return
    with replacing(target) as temporary:
        temporary.mkdir()
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(whole, temporary / "state.safetensors")
        write_json(temporary / "state.json", facts)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def save_best(run: Path, weights: dict[str, Any]) -> None:
    """Write the weights of now into the run's folder as the best so far."""
    from safetensors.torch import save_file

    whole = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    with replacing(run / BEST) as temporary:
        save_file(whole, temporary)


def list_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def latest(folder: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Tensors and facts of the newest checkpoint that was made of the same inputs; None: start from nothing.

    Damaged ones (a disk that lost what it had taken) are removed, those of other inputs are left alone.
    """
    if not folder.is_dir():
        return None
    remove_temporaries(folder)
    for path in reversed(list_checkpoints(folder)):
        checkpoint = read(path)
        if checkpoint is None:
            shutil.rmtree(path, ignore_errors=True)  # another process may be at it too
        elif checkpoint[1].get("fingerprint") == fingerprint:
            return checkpoint
    return None


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Tensors and facts of a checkpoint; None: it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path / "state.safetensors"), json_of(path / "state.json")
    except (OSError, InputError, SafetensorError):
        return None


def flatten_optimizer(optimizer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The optimizer's state as named tensors and plain numbers, by "optimizer/INDEX/NAME[/NAME]".

    bitsandbytes nests its quantisation tables one level deeper.
    """
    import torch

    tensors: dict[str, Any] = {}
    numbers: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for name, part in value.items():
                walk(part, f"{path}/{name}")
        else:
            (tensors if torch.is_tensor(value) else numbers)[path] = value

    walk(optimizer.state_dict()["state"], "optimizer")
    return tensors, numbers


def restore_optimizer(optimizer: Any, tensors: dict[str, Any], numbers: dict[str, Any]) -> None:
    """The inverse of `flatten_optimizer`, into an optimizer over the same parameters."""
    state: dict[Any, Any] = {}
    for path, value in {**tensors, **numbers}.items():
        kind, *names = path.split("/")
        if kind == "optimizer":
            below = state.setdefault(int(names[0]), {})
            for name in names[1:-1]:
                below = below.setdefault(name, {})
            below[names[-1]] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
