"""Z-Image: a diffusion transformer that predicts the flow backwards, and Qwen3 for text."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.pipelines.z_image.pipeline_z_image import (
    calculate_shift,
    get_default_z_image_sigmas,
)
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from hero_engine.model import flow
from hero_engine.model.conditioning import Conditioning, check_lengths
from hero_engine.model.families.stable_diffusion_3 import for_vae as for_vae  # its own, too
from hero_engine.model.families.stable_diffusion_3 import from_vae as from_vae
from hero_engine.model.schedule import Schedule
from hero_engine.run.task import Sampling

LENGTH = 512
"""Tokens that its encoder is given, by the pipeline's default."""
SIDE = 1024
"""Pixels: the pictures that the pipeline draws by default."""
PATCH = 2
GUIDANCE_OFFSET = 1
"""Its pipeline adds its guidance_scale times the difference of both halves to the conditional one,
where others add it to the unconditional one."""

LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""The attention projections, as in diffusers' DreamBooth script for Z-Image."""


@torch.no_grad()
def encode(
    pipeline: Any, prompts: Sequence[str], negative_prompt: str, cut: bool = False
) -> tuple[Conditioning, Conditioning]:
    """As `stable_diffusion.encode`; prompts are as long as they are, so states are padded and added
    is their `length` [P].

    Raises:
        InputError: a prompt is longer than the encoder is given, and is not to be cut.
    """
    check_lengths(pipeline.tokenizer, LENGTH, prompts, negative_prompt, cut)
    encoded, negative = pipeline.encode_prompt(
        list(prompts),
        device=pipeline.text_encoder.device,
        negative_prompt=[negative_prompt] * len(prompts),
        max_sequence_length=LENGTH,
    )
    states = pad_sequence([*encoded, negative[0]], batch_first=True)
    lengths = torch.tensor([len(each) for each in [*encoded, negative[0]]], device=states.device)
    both = Conditioning(states, {"length": lengths})
    rows = torch.arange(len(lengths), device=states.device)
    return both.rows(rows[:-1]), both.rows(rows[-1:])


def denoise(
    transformer: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    """The velocity, [B, C, H, W]: the transformer's output, whose time runs from noise to picture,
    with its sign changed.
    """
    outputs = transformer(
        list(latents.unsqueeze(2).unbind()),
        ((1000 - timesteps) / 1000).to(latents.dtype),
        _unpadded(conditioning),
        return_dict=False,
    )[0]
    return -torch.stack(outputs).squeeze(2)


def _unpadded(conditioning: Conditioning) -> list[Tensor]:
    lengths = conditioning.added["length"].tolist()
    return [row[:length] for row, length in zip(conditioning.states, lengths, strict=True)]


def schedule(pipeline: Any, steps: int, eta: float) -> Schedule:
    """As the pipeline's own call sets its scheduler."""
    config = pipeline.scheduler.config
    scheduler = type(pipeline.scheduler).from_config(config)
    _, height, width = latent_shape(pipeline)
    mu = calculate_shift(
        (height // PATCH) * (width // PATCH),
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", 1.15),
    )
    scheduler.set_timesteps(sigmas=get_default_z_image_sigmas(steps), mu=mu)
    return flow.make_schedule(scheduler, eta)


def latent_shape(pipeline: Any) -> tuple[int, int, int]:
    """(C, H, W) of the latents of its pictures."""
    side = PATCH * (SIDE // (PATCH * pipeline.vae_scale_factor))
    return pipeline.transformer.config.in_channels, side, side


def drawing(
    pipeline: Any, conditioning: Conditioning, negative: Conditioning, sampling: Sampling
) -> Mapping[str, Any]:
    """What the pipeline's own call takes in place of prompts and of `sampling`'s guidance."""
    return {
        "prompt_embeds": _unpadded(conditioning),
        "negative_prompt_embeds": _unpadded(negative),
        "guidance_scale": sampling.guidance_scale - GUIDANCE_OFFSET,
    }


def why_not(pipeline: Any) -> str:
    """Why a pipeline that has the class's name cannot be taught; "" if it can."""
    config = pipeline.transformer.config
    if tuple(config.all_patch_size) != (PATCH,):
        return f"its transformer has patches of {config.all_patch_size}, expected {PATCH}"
    return flow.why_not(pipeline)
