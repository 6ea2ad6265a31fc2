"""What a network is conditioned on beside the noisy latent and its time."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hero_engine.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conditioning:
    """What the network is conditioned on, a row a prompt.

    Attributes:
        states: of the text encoders, [P, L, E].
        added: what a family's network takes beside them, by the network's own names, [P, ...].
    """

    states: Tensor
    added: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.states)

    def rows(self, chosen: Tensor) -> "Conditioning":
        """Those of `chosen` [B], int64, in this order."""
        return Conditioning(
            self.states[chosen], {name: values[chosen] for name, values in self.added.items()}
        )

    def then(self, other: "Conditioning") -> "Conditioning":
        """These rows, and `other`'s after them."""
        return Conditioning(
            torch.cat([self.states, other.states]),
            {name: torch.cat([values, other.added[name]]) for name, values in self.added.items()},
        )


def check_lengths(
    tokenizer: Any, length: int, prompts: Sequence[str], negative_prompt: str, cut: bool
) -> None:
    """Whether an encoder reads all prompts to their ends; those that are to be cut are cut, and the
    log says where.

    Args:
        length: tokens that it reads, the end's among them.

    Raises:
        InputError: it does not, and they are not to be cut.
    """
    for prompt in prompts:
        _check_length(tokenizer, length, "prompt", prompt, cut)
    _check_length(tokenizer, length, "negative_prompt", negative_prompt, cut)


def _check_length(tokenizer: Any, length: int, field: str, prompt: str, cut: bool) -> None:
    tokens = tokenizer(prompt).input_ids
    if len(tokens) <= length:
        return
    if not cut:
        raise InputError(
            f"{field} '{prompt[:40]}...': {len(tokens)} tokens, this model reads at most "
            f"{length}; shorten it, or write `long_prompts: cut`"
        )
    # The last token that is read is the end's.
    unread = tokenizer.decode(tokens[length - 1 : -1])
    log.warning("%s '%s...' is cut; not read: '%s'", field, prompt[:40], unread)
