"""pi_HERO, the distribution that the next round's z_T are drawn from (Eq. 5)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hero_engine.run.task import Noise, Task

POOL_FILE = "noise_pool.safetensors"
"""Of a checkpoint and of an export."""


@dataclass(frozen=True)
class NoisePool:
    """The initial noises that made good pictures: `best` [C, H, W], `goods` [G, C, H, W].

    `goods` may hold the best, too.
    """

    best: Tensor
    goods: Tensor


def component_means(pool: NoisePool, batch_size: int, best_ratio: float) -> Tensor:
    """The mixture component of each picture's z_T, [batch_size, C, H, W].

    Stratified, as the official code does it, instead of drawn: the first best_ratio of the batch
    (rounded) around the best, the rest around the goods in turn.
    """
    around_best = round(best_ratio * batch_size)
    turns = torch.arange(batch_size - around_best) % len(pool.goods)
    return torch.cat([pool.best.expand(around_best, *pool.best.shape), pool.goods[turns]])


def perturb(means: Tensor, epsilon: Tensor, settings: Noise) -> Tensor:
    """z_T around `means`, with standard normal `epsilon` of the same shape.

    `variance-preserving`: sqrt(1 - s^2) mu + s epsilon stays standard normal if mu is, so
    Proposition A.1 holds round after round. `additive`, Eq. 5 to the letter: mu + s epsilon
    gains s^2 of variance a round, since means are drawn from earlier means.
    """
    if settings.pool == "additive":
        return means + settings.s * epsilon
    return math.sqrt(1 - settings.s**2) * means + settings.s * epsilon


def sample_initial_noise(pool: NoisePool | None, epsilon: Tensor, settings: Noise) -> Tensor:
    """A batch of z_T [B, C, H, W] from standard normal `epsilon`, around the pool if there is one.

    `settings.pool` = none, or no pool yet: epsilon itself, that is N(0, I).
    """
    if pool is None or settings.pool == "none":
        return epsilon
    return perturb(component_means(pool, len(epsilon), settings.best_ratio), epsilon, settings)


def round_noise(pool: NoisePool | None, epsilon: Tensor, task: Task) -> Tensor:
    """A round's z_T [B, C, H, W] from standard normal `epsilon`: around the pool, but for the
    pictures that start from fresh noise all the same.
    """
    around = epsilon[: task.fresh_images.start]
    return torch.cat([sample_initial_noise(pool, around, task.noise), epsilon[len(around) :]])


def norm_ratio(z_T: Tensor) -> float:
    """Mean of ||z_T|| / sqrt(D): 1 on the shell of Proposition A.1."""
    flat = z_T.flatten(1)
    return float(flat.norm(dim=1).mean() / math.sqrt(flat.shape[1]))
