"""Advantages: how much better than the others of its round a picture is."""

from collections.abc import Callable

import torch
from torch import Tensor

ALIKE = 1e-6
"""Rewards that deviate less than this differ by rounding, which must not be taught."""


def advantages(
    rewards: Tensor, clip: float, groups: Tensor | None = None, floor: float = 0.0
) -> Tensor:
    """Rewards [N] normalised and kept within +-clip; 0 where they are all alike.

    Args:
        groups: the group of each, [N], int64; each is normalised by itself, so that a prompt whose
            pictures are all better than another's does not teach by that alone (as ddpo-pytorch's
            statistics of each prompt). None: the batch is one group.
        floor: rewards that deviate less than this are divided by it, not by their deviation. When
            nearly every picture is good, what is left are differences that mean nothing; divided by
            their own deviation they are taught at full strength, and a model that has succeeded
            falls apart (docs/method.md). 0: the paper's and published code's own form.
    """
    if groups is not None:
        return _by_group(groups, lambda of: advantages(rewards[of], clip, floor=floor))
    deviation = rewards.std(correction=0)
    if deviation < ALIKE:
        return torch.zeros_like(rewards)
    return ((rewards - rewards.mean()) / deviation.clamp(min=floor)).clamp(-clip, clip)


def by_label(advantage: Tensor, good: Tensor, clip: float, groups: Tensor | None = None) -> Tensor:
    """Advantages [N] that say what the labels say: of a `good` picture, bool [N], by how much it is
    above the mean, or 0; of another, -1, as much as any other that is bad.

    Rewards tell good pictures apart by how like the best they are, and would teach away from those
    that are less so: a model that has succeeded goes on to draw its best picture only. Bad pictures
    that are like the best would be taught towards, though they are what it has yet to unlearn.
    Where no good one is above the mean, because they are unlike the best, each counts as much as a
    bad one. Where all are good, or none is, there is nothing to tell apart: all 0.

    Args:
        clip: as of `advantages`.
        groups: as of `advantages`: each by itself.
    """
    if groups is not None:
        return _by_group(groups, lambda of: by_label(advantage[of], good[of], clip))
    if good.all() or not good.any():
        return torch.zeros_like(advantage)
    whole = torch.full_like(advantage, min(1.0, clip))
    towards = advantage.clamp(min=0.0)
    return torch.where(good, towards if towards[good].any() else whole, -whole)


def _by_group(groups: Tensor, found_of: Callable[[Tensor], Tensor]) -> Tensor:
    """What `found_of` says of each group, a mask [N], in the places of its members, [N]."""
    found = torch.zeros(len(groups))
    for group in groups.unique():
        found[groups == group] = found_of(groups == group)
    return found
