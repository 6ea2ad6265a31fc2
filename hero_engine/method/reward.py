"""What a picture earns, by name: Eq. 4 and the alternatives of Sec. 5.3.1."""

import torch.nn.functional as F
from torch import Tensor

from hero_engine.run.task import RewardName

DELTA = 1e-8
"""Avoids division by zero (Eq. 4)."""


def similarity_to_best(embedded: Tensor, embedded_best: Tensor) -> Tensor:
    """cos(E(z_0), E(z_0^best)), Eq. 4, for `embedded` [N, D] and `embedded_best` [D]."""
    return F.cosine_similarity(embedded, embedded_best[None], eps=DELTA)


def similarity_to_positives(embedded: Tensor, good: Tensor) -> Tensor:
    """Cosine to the mean of the goods' vectors; `good` is a bool mask [N] with at least one."""
    return F.cosine_similarity(embedded, embedded[good].mean(0, keepdim=True), eps=DELTA)


def compute(
    name: RewardName, z_0: Tensor, good: Tensor, embedded: Tensor, embedded_best: Tensor
) -> Tensor:
    """The reward called `name` for a round.

    Args:
        z_0: clean latents [N, C, H, W].
        good: bool [N].
        embedded: E_theta(z_0), [N, D].
        embedded_best: E_theta of the best picture's z_0, [D].
    """
    match name:
        case "similarity-to-best":
            return similarity_to_best(embedded, embedded_best)
        case "similarity-to-positives":
            return similarity_to_positives(embedded, good)
        case "binary":
            return good.to(z_0.dtype)
        case "no-embedding":
            # Untrained latents do not cluster around one picture, hence the mean (Sec. 5.3.1).
            return similarity_to_positives(z_0.flatten(1), good)
