"""What a killed run continues from: training state -> **work/checkpoints/step-N** -> the same state, bit by bit.

Tensors in safetensors (nothing pickled), the rest in JSON; a folder is written aside and renamed, so that one
with a name is whole. Random state need not be kept: every draw is keyed by seed and step.
"""

import shutil
from pathlib import Path
from typing import Any

from tasks.core.errors import InputError
from tasks.core.files import write_json
from tasks.core.reading import json_of
from tasks.core.storage import remove_temporaries, replacing


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
    for old in found(folder)[:-keep]:
        shutil.rmtree(old)


def found(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def latest(folder: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Tensors and facts of the newest checkpoint that was made of the same inputs; None: start from nothing.

    Checkpoints of other inputs are removed, and damaged ones (a disk that lost what it had taken).
    """
    if not folder.is_dir():
        return None
    remove_temporaries(folder)
    for path in reversed(found(folder)):
        checkpoint = read(path)
        if checkpoint and checkpoint[1].get("fingerprint") == fingerprint:
            return checkpoint
        shutil.rmtree(path, ignore_errors=True)  # another process may be at it too
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
