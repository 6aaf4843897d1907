"""Low-rank adapters (Hu et al. 2021) put into a model and, before export, folded into its weights."""

import copy
from typing import Any

from tasks.core.errors import ParameterError
from tasks.trainer.params import LoraParams

# Query, key, value and output of attention: U-Net's names, then the text encoder's.
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")


def targets(model: Any, parts: list[str]) -> list[str]:
    """Full names of the layers that get an adapter."""
    return [
        name
        for name, _module in model.named_modules()
        if name.endswith(TARGETS) and ("all" in parts or any(part in name for part in parts))
    ]


def add(model: Any, params: LoraParams, parts: list[str]) -> None:
    """Adapters on the attention layers whose name contains one of `parts`; all other weights are frozen.

    Raises:
        ParameterError: no such layer.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = targets(model, parts)
    if not names:
        raise ParameterError(
            "no attention layer has such a name", where="train: unet_layers with lora", got=", ".join(parts)
        )
    model.requires_grad_(False)
    config = LoraConfig(r=params.rank, lora_alpha=params.alpha, target_modules=names, init_lora_weights="gaussian")
    inject_adapter_in_model(config, model)


def folded(model: Any) -> Any:
    """A copy of the model with every adapter added to the weight it stands beside, and its old layers again."""
    from peft.tuners.lora import LoraLayer

    whole = copy.deepcopy(model)
    for name, module in list(whole.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(whole.get_submodule(parent), child, module.get_base_layer())
    return whole
