"""The DDIM transition against diffusers' sampler and against float64 arithmetic."""

import math
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from hero_engine.errors import InputError
from hero_engine.model import ddim, samplers
from hero_engine.model.samplers import check_steps
from hero_engine.model.schedule import Schedule, log_prob, transition

CONFIG = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def make(steps: int = 20, eta: float = 1.0, **changes: object) -> tuple[Schedule, DDIMScheduler]:
    scheduler = DDIMScheduler(**(CONFIG | changes))
    scheduler.set_timesteps(steps)
    return ddim.make_schedule(scheduler.config, steps, eta), scheduler


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_a_trajectory_is_the_one_that_diffusers_takes(prediction_type: str, eta: float) -> None:
    schedule, scheduler = make(eta=eta, prediction_type=prediction_type)
    generator = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn(3, 4, 8, 8, generator=generator)
    for position, timestep in enumerate(scheduler.timesteps):
        prediction = torch.randn(3, 4, 8, 8, generator=generator)
        noise = torch.randn(3, 4, 8, 8, generator=generator)
        mean, sigma = transition(schedule, ours, prediction, torch.full((3,), position))
        ours = mean + sigma * noise
        theirs = scheduler.step(prediction, timestep, theirs, eta=eta, variance_noise=noise)[0]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


ZERO_SNR: dict[str, Any] = {
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "steps_offset": 0,
}


def alpha_bars(zero_snr: bool) -> torch.Tensor:
    """The cumulative products in float64, rescaled as Lin et al. 2024, Algorithm 1."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bar = (1 - betas).cumprod(0)
    if zero_snr:
        root = bar.sqrt()
        bar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return bar


@pytest.mark.parametrize(
    ("prediction_type", "zero_snr"),
    [("epsilon", False), ("v_prediction", False), ("v_prediction", True)],
)
def test_log_prob_matches_float64_from_the_definition(prediction_type: str, zero_snr: bool) -> None:
    schedule, _ = make(prediction_type=prediction_type, **(ZERO_SNR if zero_snr else {}))
    generator = torch.Generator().manual_seed(1)
    z_t = torch.randn(20, 4, 8, 8, generator=generator)
    output = torch.randn(20, 4, 8, 8, generator=generator)
    step = torch.arange(20)
    mean, sigma = transition(schedule, z_t, output, step)
    z_prev = mean + sigma * torch.randn(20, 4, 8, 8, generator=generator)

    bar = alpha_bars(zero_snr)
    for i in range(20):
        t = (999 if zero_snr else 951) - 50 * i
        a, a_prev = bar[t], bar[t - 50] if t >= 50 else bar[0]
        z, out = z_t[i].double(), output[i].double()
        if prediction_type == "epsilon":
            epsilon, z_0 = out, (z - (1 - a).sqrt() * out) / a.sqrt()
        else:
            epsilon, z_0 = a.sqrt() * out + (1 - a).sqrt() * z, a.sqrt() * z - (1 - a).sqrt() * out
        std = ((1 - a_prev) / (1 - a) * (1 - a / a_prev)).sqrt()
        centre = a_prev.sqrt() * z_0 + (1 - a_prev - std**2).clamp(min=0).sqrt() * epsilon
        expected = torch.distributions.Normal(centre, std).log_prob(z_prev[i].double()).mean()
        found = log_prob(z_prev[i : i + 1], mean[i : i + 1], sigma[i : i + 1])
        assert float(found) == pytest.approx(float(expected), abs=2e-5)


def test_log_prob_of_the_mean_is_the_density_of_a_gaussian_at_its_top() -> None:
    mean, sigma = torch.zeros(1, 4, 8, 8), torch.full((1, 1, 1, 1), 0.5)
    top = -math.log(0.5) - 0.5 * math.log(2 * math.pi)
    assert float(log_prob(mean, mean, sigma)) == pytest.approx(top)


def test_a_last_step_without_noise_is_not_trainable() -> None:
    schedule, _ = make(set_alpha_to_one=True, steps_offset=0)
    assert float(schedule.sigma[-1]) == 0
    assert schedule.trainable() == list(range(19))
    assert make()[0].trainable() == list(range(20))


def test_zero_terminal_snr_starts_from_noise_alone() -> None:
    schedule = make(prediction_type="v_prediction", **ZERO_SNR)[0]
    assert float(schedule.levels.signal[0]) == 0
    z_T, v = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mean, sigma = transition(schedule, z_T, v, torch.tensor([0]))
    # With alpha_bar = 0, z_0 is -v and sigma^2 is all that z_{t-1} has beside it: no direction.
    bar = alpha_bars(zero_snr=True)[949]
    torch.testing.assert_close(mean.double(), -bar.sqrt() * v.double(), rtol=1e-5, atol=1e-6)
    assert float(sigma) == pytest.approx(math.sqrt(1 - bar))


STEPS = (5, 6, 10, 13, 14, 19, 20, 23, 24, 25)


@pytest.mark.parametrize("steps", STEPS)
def test_diffusers_takes_the_engines_trajectory_from_zero_snr(steps: int) -> None:
    """At eta 1 itself, its first step is NaN for most of these numbers on most processors."""
    schedule, scheduler = make(steps, prediction_type="v_prediction", **ZERO_SNR)
    eta = samplers.eta_in_diffusers(scheduler, 1.0)
    generator = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn(1, 4, 8, 8, generator=generator)
    for position, timestep in enumerate(scheduler.timesteps):
        v, noise = torch.randn(2, 1, 4, 8, 8, generator=generator)
        mean, sigma = transition(schedule, ours, v, torch.tensor([position]))
        ours = mean + sigma * noise
        theirs = scheduler.step(v, timestep, theirs, eta=eta, variance_noise=noise)[0]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-2)


def test_eta_is_changed_only_where_diffusers_needs_it() -> None:
    zero_snr = make(prediction_type="v_prediction", **ZERO_SNR)[1]
    assert samplers.eta_in_diffusers(zero_snr, 0.5) == 0.5
    assert samplers.eta_in_diffusers(make()[1], 1.0) == 1


@pytest.mark.parametrize(
    ("steps", "spacing"),
    [(5, "leading"), (50, "leading"), (150, "leading"), (500, "leading"), (999, "leading")]
    + [(n, "trailing") for n in (1, 2, 3, 400, 501, 600, 1000)],
)
def test_steps_that_begin_near_pure_noise_are_taken(steps: int, spacing: str) -> None:
    schedule, _ = make(steps, timestep_spacing=spacing)
    assert len(schedule.levels.timesteps) == steps
    assert int(schedule.levels.timesteps[0]) >= 800


@pytest.mark.parametrize(
    ("steps", "begin", "instead"),
    [
        (1, "timestep 1", "take 4 steps"),
        (2, "timestep 501", "take 4 steps"),
        (400, "timestep 799", "take 333 or 438 steps"),
        (501, "timestep 501", "take 500 or 875 steps"),
        (750, "timestep 750", "take 500 or 875 steps"),
        (1000, "timestep 1000", "take 999 steps"),
    ],
)
def test_steps_that_begin_elsewhere_are_refused(steps: int, begin: str, instead: str) -> None:
    with pytest.raises(InputError, match=f"{steps} steps .*{begin} .*{instead}"):
        check_steps(DDIMScheduler.from_config(CONFIG), steps)


def test_more_steps_than_the_model_was_trained_with_are_refused() -> None:
    with pytest.raises(InputError, match="so many with this model; take 99 steps"):
        check_steps(DDIMScheduler.from_config(CONFIG | {"num_train_timesteps": 100}), 101)


def test_epsilon_cannot_be_predicted_at_zero_snr() -> None:
    with pytest.raises(ValueError, match="zero terminal SNR"):
        make(**ZERO_SNR)


def test_an_unknown_prediction_type_is_refused() -> None:
    with pytest.raises(ValueError, match="sample"):
        ddim.make_schedule(CONFIG | {"prediction_type": "sample"}, 20, 1.0)
