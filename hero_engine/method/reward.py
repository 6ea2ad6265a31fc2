"""What a picture earns, by name: Eq. 4 and the alternatives of Sec. 5.3.1."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from hero_engine.method.batch import LabelledBatch
from hero_engine.run.task import RewardName

DELTA = 1e-8
"""Avoids division by zero (Eq. 4)."""


def similarity_to_best(embedded: Tensor, embedded_best: Tensor) -> Tensor:
    """cos(E(z_0), E(z_0^best)), Eq. 4, for `embedded` [N, D] and `embedded_best` [D]."""
    return F.cosine_similarity(embedded, embedded_best[None], eps=DELTA)


def similarity_to_positives(embedded: Tensor, good: Tensor) -> Tensor:
    """Cosine to the mean of the goods' vectors; `good` is a bool mask [N] with at least one."""
    return F.cosine_similarity(embedded, embedded[good].mean(0, keepdim=True), eps=DELTA)


def binary(good: Tensor) -> Tensor:
    """1 for a good picture, 0 for another."""
    return good.float()


@dataclass(frozen=True)
class Reward:
    """A reward, [N] for a round of N pictures with at least one good.

    `uses_embedding`: else the embedding is not trained, as nothing asks for it.
    """

    of: Callable[[LabelledBatch], Tensor]
    uses_embedding: bool


REWARDS: Mapping[RewardName, Reward] = {
    "similarity-to-best": Reward(
        lambda batch: similarity_to_best(batch.embedded, batch.embedded_best), uses_embedding=True
    ),
    "similarity-to-positives": Reward(
        lambda batch: similarity_to_positives(batch.embedded, batch.good), uses_embedding=True
    ),
    "binary": Reward(lambda batch: binary(batch.good), uses_embedding=False),
    # Untrained latents do not cluster around one picture, hence the mean (Sec. 5.3.1).
    "no-embedding": Reward(
        lambda batch: similarity_to_positives(batch.z_0.flatten(1), batch.good),
        uses_embedding=False,
    ),
}
