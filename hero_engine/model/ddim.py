"""The DDIM transition p(z_{t-1} | z_t, c) as pure functions, in float32 or better.

Song et al. 2020 (DDIM), Eq. 12 and 16, in the form that `diffusers.DDIMScheduler` steps. A step is
addressed by its position i in the schedule: i = 0 is the noisiest, T - 1 the last.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class Schedule:
    """The T steps of a sampler. Tensors are [T]; all but `timesteps` are float64.

    `cumulative`: alpha_bar of each time that the model was trained at, [1000] usually.
    """

    timesteps: Tensor
    alpha_bar: Tensor
    alpha_bar_prev: Tensor
    sigma: Tensor
    prediction_type: PredictionType
    cumulative: Tensor

    @property
    def steps(self) -> int:
        return len(self.timesteps)

    def to(self, device: torch.device) -> "Schedule":
        """The schedule on `device`, where a step then needs nothing from the CPU.

        It stays on the CPU where the device has no float64 (mps).
        """
        if device.type == "mps":
            return self
        return Schedule(
            self.timesteps.to(device),
            self.alpha_bar.to(device),
            self.alpha_bar_prev.to(device),
            self.sigma.to(device),
            self.prediction_type,
            self.cumulative.to(device),
        )

    def trainable(self) -> list[int]:
        """The steps that have a density: where sigma is 0 the transition is deterministic."""
        return [i for i, sigma in enumerate(self.sigma.tolist()) if sigma > 0]


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
    return Schedule(timesteps, alpha_bar, alpha_bar_prev, sigma, prediction_type, cumulative)


def transition(
    schedule: Schedule, z_t: Tensor, prediction: Tensor, i: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of p(z_{t-1} | z_t, c).

    Args:
        z_t: [B, C, H, W].
        prediction: the network's output for z_t, [B, C, H, W], of `schedule.prediction_type`.
        i: the step of each, [B], int64.

    Returns:
        mean [B, C, H, W] and sigma [B, 1, 1, 1], in z_t's dtype.
    """
    alpha_bar, alpha_bar_prev, sigma = (
        _per_picture(values[i.to(values.device)], z_t)
        for values in (schedule.alpha_bar, schedule.alpha_bar_prev, schedule.sigma)
    )
    prediction = prediction.to(z_t.dtype)
    if schedule.prediction_type == "v_prediction":
        z_0 = alpha_bar.sqrt() * z_t - (1 - alpha_bar).sqrt() * prediction
        epsilon = alpha_bar.sqrt() * prediction + (1 - alpha_bar).sqrt() * z_t
    else:
        z_0 = (z_t - (1 - alpha_bar).sqrt() * prediction) / alpha_bar.sqrt()
        epsilon = prediction
    direction = (1 - alpha_bar_prev - sigma**2).clamp(min=0).sqrt() * epsilon
    return alpha_bar_prev.sqrt() * z_0 + direction, sigma


def noised(z_0: Tensor, epsilon: Tensor, alpha_bar: Tensor) -> Tensor:
    """z_t = sqrt(alpha_bar) z_0 + sqrt(1 - alpha_bar) epsilon, [B, C, H, W]; `alpha_bar` is [B]."""
    alpha_bar = _per_picture(alpha_bar, z_0)
    return alpha_bar.sqrt() * z_0 + (1 - alpha_bar).sqrt() * epsilon


def as_epsilon(
    prediction_type: PredictionType, prediction: Tensor, z_t: Tensor, alpha_bar: Tensor
) -> Tensor:
    """The epsilon that the network's output for `z_t` [B, C, H, W] says; `alpha_bar` is [B]."""
    if prediction_type == "epsilon":
        return prediction
    alpha_bar = _per_picture(alpha_bar, z_t)
    return alpha_bar.sqrt() * prediction + (1 - alpha_bar).sqrt() * z_t


def target(
    prediction_type: PredictionType, z_0: Tensor, epsilon: Tensor, alpha_bar: Tensor
) -> Tensor:
    """What the network was trained to predict for `noised` of the same, [B, C, H, W]."""
    if prediction_type == "epsilon":
        return epsilon
    alpha_bar = _per_picture(alpha_bar, z_0)
    return alpha_bar.sqrt() * epsilon - (1 - alpha_bar).sqrt() * z_0


def _per_picture(values: Tensor, latents: Tensor) -> Tensor:
    return values.to(latents.device, latents.dtype).view(-1, 1, 1, 1)


def log_prob(z_prev: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """log N(z_prev; mean, sigma^2 I), averaged over the latent's elements: [B].

    The mean, not the sum, keeps PPO's ratio near 1 whatever the latent's size (ddpo-pytorch).
    """
    density = -((z_prev - mean) ** 2) / (2 * sigma**2) - sigma.log() - 0.5 * math.log(2 * math.pi)
    return density.flatten(1).mean(1)
