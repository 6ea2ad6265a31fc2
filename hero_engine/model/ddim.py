"""DDIM's schedule (Song et al. 2020, Eq. 12 and 16), in the form that `diffusers.DDIMScheduler`
steps.
"""

from typing import Any

import torch
from diffusers import DDIMScheduler

from hero_engine.model.schedule import Levels, Schedule


def make_schedule(scheduler_config: Any, steps: int, eta: float) -> Schedule:
    """The schedule of a pipeline's scheduler config, with `steps` DDIM steps.

    A step with alpha_bar = 0 (zero terminal SNR, Lin et al. 2024) starts from noise alone: its z_0
    follows from v, and from epsilon it would be 0 / 0.

    Raises:
        ValueError: the config's prediction type is neither epsilon nor v_prediction, or it is
            epsilon with zero terminal SNR.
    """
    scheduler = DDIMScheduler.from_config(scheduler_config)
    prediction_type = scheduler.config.prediction_type
    if prediction_type not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction_type is {prediction_type}, expected epsilon or v_prediction")
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.to("cpu", torch.int64)
    cumulative = scheduler.alphas_cumprod.double()
    if prediction_type == "epsilon" and not cumulative[timesteps].all():
        raise ValueError("prediction_type is epsilon with zero terminal SNR, expected v_prediction")
    previous = timesteps - scheduler.config.num_train_timesteps // steps
    alpha_bar = cumulative[timesteps]
    alpha_bar_prev = torch.where(
        previous >= 0, cumulative[previous.clamp(min=0)], scheduler.final_alpha_cumprod.double()
    )
    variance = (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev)
    sigma = eta * variance.clamp(min=0).sqrt()
    return Schedule(
        prediction_type=prediction_type,
        levels=Levels(timesteps, alpha_bar.sqrt(), (1 - alpha_bar).sqrt()),
        trained=Levels(torch.arange(len(cumulative)), cumulative.sqrt(), (1 - cumulative).sqrt()),
        signal_prev=alpha_bar_prev.sqrt(),
        direction=(1 - alpha_bar_prev - sigma**2).clamp(min=0).sqrt(),
        sigma=sigma,
    )
