"""The schedule of flow models against diffusers' sampler, and against Flow-GRPO in float64."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from hero_engine.model import flow
from hero_engine.model.schedule import Schedule, log_prob, transition


def make(eta: float, steps: int = 10) -> tuple[Schedule, FlowMatchEulerDiscreteScheduler]:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(steps)
    return flow.make_schedule(scheduler, eta), scheduler


def test_without_noise_a_trajectory_is_the_one_that_diffusers_takes() -> None:
    schedule, scheduler = make(eta=0.0)
    assert schedule.trainable() == []
    generator = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn(3, 4, 8, 8, generator=generator)
    for position, timestep in enumerate(scheduler.timesteps):
        assert float(timestep) == float(schedule.levels.timesteps[position])
        v = torch.randn(3, 4, 8, 8, generator=generator)
        ours, sigma = transition(schedule, ours, v, torch.full((3,), position))
        theirs = scheduler.step(v, timestep, theirs)[0]
        assert float(sigma.max()) == 0.0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("eta", [0.3, 0.7, 1.0])
def test_log_prob_matches_float64_from_flow_grpos_equation(eta: float) -> None:
    """Eq. 9 of arXiv 2505.05470, with sigma_t = eta sqrt(t / (1 - t))."""
    schedule, scheduler = make(eta)
    t = scheduler.sigmas.double()
    generator = torch.Generator().manual_seed(1)
    z_t, v, noise = torch.randn(3, 10, 4, 8, 8, generator=generator)
    mean, sigma = transition(schedule, z_t, v, torch.arange(10))
    z_prev = mean + sigma * noise
    assert schedule.trainable() == list(range(9)), "the last step has no noise"
    for i in range(9):
        now, dt = t[i], t[i + 1] - t[i]
        bounded = t[1] if now == 1 else now
        deviation = eta * (bounded / (1 - bounded)).sqrt()
        x, velocity = z_t[i].double(), v[i].double()
        drift = velocity + deviation**2 / (2 * now) * (x + (1 - now) * velocity)
        expected = torch.distributions.Normal(x + drift * dt, deviation * (-dt).sqrt())
        density = expected.log_prob(z_prev[i].double()).mean()
        found = log_prob(z_prev[i : i + 1], mean[i : i + 1], sigma[i : i + 1])
        assert float(found) == pytest.approx(float(density), abs=2e-5)


def test_the_last_step_ends_without_noise() -> None:
    schedule, _ = make(eta=0.7)
    assert float(schedule.signal_prev[-1]) == 1.0
    assert float(schedule.direction[-1]) == 0.0


def test_times_of_training_are_shifted_as_the_model_was() -> None:
    schedule, scheduler = make(eta=0.0)
    trained = schedule.trained
    assert len(trained.timesteps) == scheduler.config.num_train_timesteps
    torch.testing.assert_close(trained.noise, trained.timesteps.double() / 1000)
    middle = 500 / 1000
    assert float(trained.noise[500]) == pytest.approx(3 * middle / (1 + 2 * middle), abs=2e-3)
