"""What the UNet is conditioned on: prompts, by the pipeline's own text encoders."""

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
    """What the UNet is conditioned on, a row a prompt.

    Attributes:
        states: of the text encoders, [P, L, E].
        added: of SDXL, what its UNet embeds beside the timestep: `text_embeds` [P, D], the second
            encoder's pooled output, and `time_ids` [P, 6], the picture's size and crop.
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


@torch.no_grad()
def encode(
    pipeline: Any, prompts: Sequence[str], negative_prompt: str, cut: bool = False
) -> tuple[Conditioning, Conditioning]:
    """The conditioning of `prompts`, P rows, and of the unconditional half, one row.

    Without a negative prompt the latter is what the pipeline takes for it: the empty prompt, or
    zeros where an SDXL pipeline says so.

    Args:
        cut: prompts that are too long are cut, which the log says.

    Raises:
        InputError: a prompt has more tokens than an encoder reads, and is not to be cut.
    """
    states, negative_states = _encoded(pipeline, prompts, negative_prompt, cut)
    return Conditioning(states), Conditioning(negative_states[:1])


@torch.no_grad()
def encode_with_pooled(
    pipeline: Any, prompts: Sequence[str], negative_prompt: str, cut: bool = False
) -> tuple[Conditioning, Conditioning]:
    """`encode` of SDXL, which has the pooled prompt and the picture's size beside the states."""
    states, negative_states, pooled, negative_pooled = _encoded(
        pipeline, prompts, negative_prompt, cut
    )
    height, width = picture_size(pipeline)
    # As the pipeline's own call: neither resized nor cropped.
    time_ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=states.dtype)
    time_ids = time_ids.to(states.device)
    return (
        Conditioning(
            states, {"text_embeds": pooled, "time_ids": time_ids.expand(len(prompts), -1)}
        ),
        Conditioning(
            negative_states[:1], {"text_embeds": negative_pooled[:1], "time_ids": time_ids}
        ),
    )


def _encoded(
    pipeline: Any, prompts: Sequence[str], negative_prompt: str, cut: bool
) -> tuple[Tensor, ...]:
    for prompt in prompts:
        _check_length(pipeline, "prompt", prompt, cut)
    _check_length(pipeline, "negative_prompt", negative_prompt, cut)
    encoded: tuple[Tensor, ...] = pipeline.encode_prompt(
        list(prompts),
        device=pipeline.text_encoder.device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=True,
        negative_prompt=[negative_prompt] * len(prompts) if negative_prompt else None,
    )
    return encoded


def pipeline_arguments(conditioning: Conditioning, negative: Conditioning) -> dict[str, Tensor]:
    """Both, as the pipeline's own call takes them in place of prompts.

    Args:
        negative: of as many rows as `conditioning`.
    """
    given = {"prompt_embeds": conditioning.states, "negative_prompt_embeds": negative.states}
    for name, half in (("", conditioning), ("negative_", negative)):
        if "text_embeds" in half.added:
            given[f"{name}pooled_prompt_embeds"] = half.added["text_embeds"]
    return given


def latent_size(pipeline: Any) -> tuple[int, int]:
    """Height and width of the latents that the pipeline's UNet was made for."""
    size = pipeline.unet.config.sample_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return height, width


def picture_size(pipeline: Any) -> tuple[int, int]:
    """Height and width of its pictures."""
    height, width = latent_size(pipeline)
    return height * pipeline.vae_scale_factor, width * pipeline.vae_scale_factor


def _check_length(pipeline: Any, field: str, prompt: str, cut: bool) -> None:
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is None:
            continue
        tokens, length = tokenizer(prompt).input_ids, tokenizer.model_max_length
        if len(tokens) <= length:
            continue
        if not cut:
            raise InputError(
                f"{field} '{prompt[:40]}...': {len(tokens)} tokens, this model reads at most "
                f"{length}; shorten it, or write `long_prompts: cut`"
            )
        # The last token that is read is the end's.
        unread = tokenizer.decode(tokens[length - 1 : -1])
        log.warning("%s '%s...' is cut; not read: '%s'", field, prompt[:40], unread)
