"""Rates against diffusers' schedules, averages against their definition, the 8-bit fallback said."""

import pytest
import torch
from diffusers.optimization import get_polynomial_decay_schedule_with_warmup, get_scheduler

from tasks.core.errors import ParameterError
from tasks.trainer import lora, optimizers
from tasks.trainer.params import LoraParams
from tests import small_models

ORACLES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


@pytest.mark.parametrize("name", ORACLES)
def test_learning_rates_are_those_of_diffusers(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    oracle = get_scheduler(ORACLES[name], optimizer, num_warmup_steps=5, num_training_steps=30)
    for step in range(30):
        assert optimizers.learning_rate_share(step, 30, 5, name) == pytest.approx(oracle.get_last_lr()[0])
        optimizer.step()
        oracle.step()


def test_polynomial_falls_with_the_square():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    oracle = get_polynomial_decay_schedule_with_warmup(optimizer, 5, 30, lr_end=0.0, power=2.0)
    for step in range(30):
        assert optimizers.learning_rate_share(step, 30, 5, "polynomial") == pytest.approx(oracle.get_last_lr()[0])
        optimizer.step()
        oracle.step()


def test_each_group_keeps_its_own_peak():
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    params = small_models.experiment().optimizer
    optimizer, ran = optimizers.build([([weights[0]], 1e-3), ([weights[1]], 1e-5)], params, "cpu")
    optimizers.set_learning_rates(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [5e-4, 5e-6]
    assert ran == "adamw"


def test_an_8_bit_optimizer_that_cannot_step_is_replaced_and_said(monkeypatch):
    import bitsandbytes

    def broken(*_args, **_kwargs):
        raise RuntimeError("no kernel for this device")

    monkeypatch.setattr(bitsandbytes.optim.AdamW8bit, "step", broken)
    params = small_models.experiment(optimizer={"name": "adamw_8bit"}).optimizer
    optimizer, ran = optimizers.build([([torch.nn.Parameter(torch.zeros(9))], 1e-3)], params, "cpu")
    assert isinstance(optimizer, torch.optim.AdamW)
    assert "no kernel for this device" in ran


def test_the_average_follows_its_definition_and_swaps_back():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    average = optimizers.MovingAverage([weight], decay=0.9)
    weight.data = torch.tensor([3.0])
    average.update([weight], step=1000)
    average.swap([weight])
    assert weight.item() == pytest.approx(0.9 * 1 + 0.1 * 3)
    average.swap([weight])
    assert weight.item() == 3.0


def test_layers_that_no_parameter_has_are_refused():
    with pytest.raises(ParameterError, match=r"(?s)down_blocks.*attn9"):
        optimizers.choose_layers(small_models.pipeline().unet, ["attn9"])


def test_folded_adapters_give_the_same_answer_in_the_old_layers():
    unet = small_models.pipeline().unet
    names = {name for name, _ in unet.named_parameters()}
    lora.add(unet, LoraParams(rank=2, alpha=4), ["all"])
    with torch.no_grad():
        for parameter in (one for one in unet.parameters() if one.requires_grad):
            parameter.add_(0.05)
    inputs = torch.ones(1, 4, 4, 4), torch.tensor([7]), torch.ones(1, 16, 16)
    whole = lora.folded(unet)
    torch.testing.assert_close(whole(*inputs).sample, unet(*inputs).sample, rtol=1e-4, atol=1e-5)
    assert {name for name, _ in whole.named_parameters()} == names
