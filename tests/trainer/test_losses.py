"""Targets and weights against their definitions and diffusers' own."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, PNDMScheduler
from diffusers.training_utils import compute_snr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.demo_model import build_scheduler
from tasks.core.errors import ModelError, TrainingError
from tasks.trainer import losses
from tests.small_models import experiment

STEPS = torch.tensor([0, 10, 500, 998, 999])


def schedule(**loss) -> losses.Schedule:
    return losses.schedule_of(build_scheduler(), experiment(loss=loss).loss)


def pair(seed: int):
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn((5, 4, 3, 3), generator=draw) for _ in range(2))


@given(seed=st.integers(0, 99), prediction=st.sampled_from(["epsilon", "v_prediction"]))
@settings(max_examples=10, deadline=None)
def test_noise_and_target_are_diffusers_own(seed, prediction):
    zero = prediction == "v_prediction"
    config = build_scheduler().config
    oracle = DDPMScheduler.from_config(config, prediction_type=prediction, rescale_betas_zero_snr=zero)
    ours = schedule(prediction=prediction, zero_terminal_snr=zero)
    clean, noise = pair(seed)
    target = noise if prediction == "epsilon" else oracle.get_velocity(clean, noise, STEPS)
    torch.testing.assert_close(ours.noisy(clean, noise, STEPS), oracle.add_noise(clean, noise, STEPS))
    torch.testing.assert_close(ours.target(clean, noise, STEPS), target)


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_right_prediction_gives_the_image_back(seed):
    ours, (clean, noise) = schedule(), pair(seed)
    steps = STEPS[:4]  # at the last there is no signal left to divide by
    noisy = ours.noisy(clean[:4], noise[:4], steps)
    assert torch.allclose(ours.clean(noisy, ours.target(clean[:4], noise[:4], steps), steps), clean[:4], atol=1e-4)


def test_snr_weights_follow_the_paper():
    scheduler = DDIMScheduler(beta_schedule="scaled_linear")
    snr = compute_snr(DDPMScheduler.from_config(scheduler.config), STEPS)
    for prediction, divisor in (("epsilon", snr), ("v_prediction", snr + 1)):
        ours = losses.schedule_of(scheduler, experiment(loss={"prediction": prediction}).loss)
        torch.testing.assert_close(ours.snr_weights(STEPS, 5.0), snr.clamp(max=5) / divisor, rtol=1e-3, atol=1e-6)


def test_with_zero_terminal_snr_the_noisiest_step_weighs_nothing():
    assert schedule().snr_weights(torch.tensor([999]), 5.0).item() == 0


def test_epsilon_with_zero_terminal_snr_is_refused():
    with pytest.raises(TrainingError, match="0/0"):
        schedule(prediction="epsilon")


def test_the_saved_scheduler_is_the_one_that_was_trained_with():
    params = experiment(loss={"prediction": "epsilon", "zero_terminal_snr": False}).loss
    saved = losses.scheduler_for(build_scheduler(), params)
    assert (saved.config.prediction_type, saved.config.rescale_betas_zero_snr) == ("epsilon", False)
    torch.testing.assert_close(losses.schedule_of(saved, experiment().loss).alphas, saved.alphas_cumprod)


def test_a_scheduler_without_zero_terminal_snr_gives_way_to_one_that_has_it():
    pndm = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True)
    params = experiment(loss={"prediction": "v_prediction", "zero_terminal_snr": True}).loss
    saved = losses.scheduler_for(pndm, params)
    assert saved.alphas_cumprod[-1] == pytest.approx(0, abs=1e-7)
    assert (saved.config.timestep_spacing, saved.config.clip_sample) == ("trailing", False)
    torch.testing.assert_close(losses.schedule_of(pndm, params).alphas, saved.alphas_cumprod, rtol=0, atol=1e-6)
    assert type(losses.scheduler_for(pndm, experiment().loss)) is PNDMScheduler


def test_a_base_that_predicts_something_else_is_refused():
    with pytest.raises(ModelError, match="sample"):
        losses.schedule_of(DDIMScheduler(prediction_type="sample"), experiment().loss)


def test_offset_noise_moves_the_mean_of_a_channel_and_nothing_else():
    plain, offset = (
        losses.draw_noise((64, 4, 16, 16), share, torch.Generator().manual_seed(1)) for share in (0.0, 0.5)
    )
    moved = offset - plain
    assert torch.allclose(moved, moved[:, :, :1, :1].expand_as(moved), atol=1e-6)
    assert moved.std().item() == pytest.approx(0.5, rel=0.15)


def test_stratified_time_steps_fall_once_in_each_part():
    steps = losses.draw_timesteps(10, 1000, "stratified", torch.Generator().manual_seed(1))
    assert sorted((steps // 100).tolist()) == list(range(10))


def test_class_weights_are_the_effective_numbers():
    weights = losses.class_weights([40, 20, 8, 4])
    effective = torch.tensor([(1 - (71 / 72) ** n) / (1 - 71 / 72) for n in (40, 20, 8, 4)])
    torch.testing.assert_close(weights * effective, (weights * effective)[:1].expand(4))
    assert (weights * torch.tensor([40, 20, 8, 4])).sum().item() == pytest.approx(72, rel=1e-5)
