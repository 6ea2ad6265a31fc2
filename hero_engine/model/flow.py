"""The schedule of flow models, in the form that `diffusers.FlowMatchEulerDiscreteScheduler` steps.

Without noise a step is Euler's on the ODE dz = v dt, v = epsilon - z_0. With noise it is the SDE of
the same marginals that Flow-GRPO samples with (Liu et al. 2025, arXiv 2505.05470, Eq. 9): its drift
adds to the ODE's step, of z_0 and epsilon, only -g^2 |dt| / (2 t) epsilon, and its deviation is
g sqrt(|dt|), with g = eta sqrt(t / (1 - t)).
"""

from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from hero_engine.model.schedule import Levels, Schedule


def make_schedule(scheduler: Any, eta: float) -> Schedule:
    """The schedule of a scheduler whose timesteps are set.

    The last step has no noise: what it added would stay in the picture. The first begins from noise
    alone, where g would be infinite: it takes that of the second, as Flow-GRPO does.
    """
    t = scheduler.sigmas.double().cpu()
    now, then = t[:-1], t[1:]
    bounded = torch.where(now == 1, then, now) if len(now) > 1 else now * 0.5
    step = now - then
    g_squared = eta**2 * bounded / (1 - bounded)
    g_squared[-1] = 0.0
    # The times of training, as diffusers' own scripts draw them: those of the scheduler as it
    # comes, shifted for the size that it was made for.
    whole = FlowMatchEulerDiscreteScheduler.from_config(
        scheduler.config, use_dynamic_shifting=False
    )
    trained = whole.timesteps.double().cpu()
    share = trained / scheduler.config.num_train_timesteps
    return Schedule(
        prediction_type="flow",
        levels=Levels(scheduler.timesteps.cpu(), 1 - now, now),
        trained=Levels(trained.float(), 1 - share, share),
        signal_prev=1 - then,
        direction=then - g_squared * step / (2 * now),
        sigma=(g_squared * step).sqrt(),
    )


def why_not(pipeline: Any) -> str:
    """Why a flow model's steps cannot be taken here; "" if they can."""
    scheduler = pipeline.scheduler
    if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return f"its scheduler is a {type(scheduler).__name__}, expected flow matching by Euler's"
    if scheduler.config.get("stochastic_sampling") or scheduler.config.get("invert_sigmas"):
        return "its scheduler_config.json has stochastic_sampling or invert_sigmas"
    return ""
