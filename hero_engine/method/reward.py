"""What a picture earns, by name: Eq. 4, the alternatives of Sec. 5.3.1, or the user's function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hero_engine.errors import InputError
from hero_engine.method.batch import Batch, LabelledBatch
from hero_engine.run.functions import USERS_ERRORS, load_function, where
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
    """A reward by labels, [N] for a round of N pictures with at least one good."""

    of: Callable[[LabelledBatch], Tensor]
    uses_embedding: bool


def by_function(name: str, batch: Batch) -> Tensor:
    """What the user's `module:function(pictures, prompts)` returns, [N].

    Raises:
        InputError: it cannot be had, it fails, or it returns something else than N numbers.
    """
    said = f"reward.function {name}"
    function = load_function(name, "reward.function")
    try:
        returned = function(batch.pictures, list(batch.prompts))
    except USERS_ERRORS as error:
        raise InputError(f"{said}: {where(error)}") from error
    try:
        rewards = torch.as_tensor(returned, dtype=torch.float32).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        rewards = torch.zeros(0)
    if rewards.shape != (len(batch.z_0),):
        raise InputError(
            f"{said}: expected {len(batch.z_0)} numbers, one a picture, found {str(returned)[:100]}"
        )
    return rewards


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


def uses_embedding(name: RewardName) -> bool:
    """Whether the reward asks for the embedding, which otherwise is not trained."""
    return name in REWARDS and REWARDS[name].uses_embedding
