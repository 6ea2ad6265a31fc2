"""A sampler's steps and its transition p(z_{t-1} | z_t, c), as pure functions in float32 or better.

A noisy latent is z_t = signal z_0 + noise epsilon. Diffusion models have signal^2 + noise^2 = 1 and
flow models signal + noise = 1; what a network predicts says z_0 and epsilon, and a step goes to
signal_prev z_0 + direction epsilon, with noise of deviation sigma. Schedules are made in `ddim` and
in `flow`. A step is addressed by its position i: i = 0 is the noisiest, T - 1 the last.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction", "flow"]
"""What a network predicts: epsilon; v = signal epsilon - noise z_0 (Salimans & Ho 2022); or the
velocity epsilon - z_0 (Lipman et al. 2023; Liu et al. 2023)."""


class Levels(NamedTuple):
    """Times, and how much of z_0 and of epsilon z_t has there: each [N], float64 but the times.

    `timesteps` is what the network is told.
    """

    timesteps: Tensor
    signal: Tensor
    noise: Tensor

    def to(self, device: torch.device) -> "Levels":
        return Levels(*(values.to(device) for values in self))

    def at(self, positions: Tensor, like: Tensor) -> "Levels":
        """Those of `positions` [B], int64; signal and noise as `like` is, [B, 1, 1, 1]."""
        timesteps, signal, noise = (values[positions.to(values.device)] for values in self)
        return Levels(timesteps, _per_picture(signal, like), _per_picture(noise, like))


@dataclass(frozen=True)
class Schedule:
    """The T steps of a sampler. Tensors are [T], float64.

    Attributes:
        levels: of z_t at each step.
        trained: the times that the model was trained at.
        signal_prev, direction, sigma: of the transition, as above.
    """

    prediction_type: PredictionType
    levels: Levels
    trained: Levels
    signal_prev: Tensor
    direction: Tensor
    sigma: Tensor

    @property
    def steps(self) -> int:
        return len(self.sigma)

    def to(self, device: torch.device) -> "Schedule":
        """The schedule on `device`, where a step then needs nothing from the CPU.

        It stays on the CPU where the device has no float64 (mps).
        """
        if device.type == "mps":
            return self
        return Schedule(
            self.prediction_type,
            self.levels.to(device),
            self.trained.to(device),
            self.signal_prev.to(device),
            self.direction.to(device),
            self.sigma.to(device),
        )

    def trainable(self) -> list[int]:
        """The steps that have a density: where sigma is 0 the transition is deterministic."""
        return [i for i, sigma in enumerate(self.sigma.tolist()) if sigma > 0]


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
    level = schedule.levels.at(i, z_t)
    signal_prev, direction, sigma = (
        _per_picture(values[i.to(values.device)], z_t)
        for values in (schedule.signal_prev, schedule.direction, schedule.sigma)
    )
    z_0, epsilon = split(schedule.prediction_type, prediction.to(z_t.dtype), z_t, level)
    return signal_prev * z_0 + direction * epsilon, sigma


def split(
    prediction_type: PredictionType, prediction: Tensor, z_t: Tensor, level: Levels
) -> tuple[Tensor, Tensor]:
    """z_0 and epsilon, as the network's output for z_t says; all [B, C, H, W]."""
    match prediction_type:
        case "epsilon":
            return (z_t - level.noise * prediction) / level.signal, prediction
        case "v_prediction":
            return (
                level.signal * z_t - level.noise * prediction,
                level.signal * prediction + level.noise * z_t,
            )
        case "flow":
            return z_t - level.noise * prediction, z_t + level.signal * prediction


def noised(z_0: Tensor, epsilon: Tensor, level: Levels) -> Tensor:
    """z_t of clean latents and noise, [B, C, H, W]."""
    return level.signal * z_0 + level.noise * epsilon


def target(prediction_type: PredictionType, z_0: Tensor, epsilon: Tensor, level: Levels) -> Tensor:
    """What the network was trained to predict for `noised` of the same, [B, C, H, W]."""
    match prediction_type:
        case "epsilon":
            return epsilon
        case "v_prediction":
            return level.signal * epsilon - level.noise * z_0
        case "flow":
            return epsilon - z_0


def log_prob(z_prev: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """log N(z_prev; mean, sigma^2 I), averaged over the latent's elements: [B].

    The mean, not the sum, keeps PPO's ratio near 1 whatever the latent's size (ddpo-pytorch).
    """
    density = -((z_prev - mean) ** 2) / (2 * sigma**2) - sigma.log() - 0.5 * math.log(2 * math.pi)
    return density.flatten(1).mean(1)


def _per_picture(values: Tensor, latents: Tensor) -> Tensor:
    return values.to(latents.device, latents.dtype).view(-1, 1, 1, 1)
