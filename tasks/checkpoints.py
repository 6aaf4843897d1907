"""What a killed run continues from: training state -> **work/checkpoints/step-N** -> the same state, bit by bit.

Tensors in safetensors (nothing pickled), the rest in JSON; a folder is written aside and renamed, so that one
with a name is whole. Random state need not be kept: every draw is keyed by seed and step.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from tasks.files import remove_temporaries, replacing, write_json


def save(folder: Path, step: int, tensors: dict[str, Any], facts: dict[str, Any], keep: int) -> None:
    """Write the checkpoint after `step` steps and remove all but the newest `keep`."""
    from safetensors.torch import save_file

    target = folder / f"step-{step:07d}"
    with replacing(target) as temporary:
        temporary.mkdir()
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(whole, temporary / "state.safetensors")
        write_json(temporary / "state.json", facts)
        if target.exists():
            shutil.rmtree(target)
    for old in found(folder)[:-keep]:
        shutil.rmtree(old)


def found(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def latest(folder: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Tensors and facts of the newest checkpoint that was made of the same inputs; None: start from nothing.

    Checkpoints of other inputs are removed: they will not be of use again.
    """
    from safetensors.torch import load_file

    if not folder.is_dir():
        return None
    remove_temporaries(folder)
    for path in reversed(found(folder)):
        facts = json.loads((path / "state.json").read_text())
        if facts["fingerprint"] == fingerprint:
            return load_file(path / "state.safetensors"), facts
        shutil.rmtree(path, ignore_errors=True)  # another process may be at it too
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
