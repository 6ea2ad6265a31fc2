"""Stable Diffusion 3.x: a diffusion transformer that predicts the flow, three text encoders."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift
from torch import Tensor

from hero_engine.model import flow
from hero_engine.model.conditioning import Conditioning, check_lengths
from hero_engine.model.schedule import Schedule
from hero_engine.run.task import Sampling

T5_LENGTH = 256
"""Tokens that its T5 is given, by the pipeline's default."""

LORA_TARGETS = (
    *("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0"),
    *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out"),
)
"""The attention projections of picture and text, as in diffusers' DreamBooth script for SD3."""


@torch.no_grad()
def encode(
    pipeline: Any, prompts: Sequence[str], negative_prompt: str, cut: bool = False
) -> tuple[Conditioning, Conditioning]:
    """As `stable_diffusion.encode`; added are `pooled_projections` [P, D], of both CLIPs.

    A prompt may be as long as the longest of its encoders reads: the CLIPs read its beginning.

    Raises:
        InputError: a prompt is longer, and is not to be cut.
    """
    with_t5 = pipeline.text_encoder_3 is not None
    tokenizer = pipeline.tokenizer_3 if with_t5 else pipeline.tokenizer
    length = T5_LENGTH if with_t5 else pipeline.tokenizer_max_length
    check_lengths(tokenizer, length, prompts, negative_prompt, cut)
    states, negative_states, pooled, negative_pooled = pipeline.encode_prompt(
        list(prompts),
        None,
        None,
        device=pipeline.text_encoder.device,
        negative_prompt=[negative_prompt] * len(prompts),
        max_sequence_length=T5_LENGTH,
    )
    return (
        Conditioning(states, {"pooled_projections": pooled}),
        Conditioning(negative_states[:1], {"pooled_projections": negative_pooled[:1]}),
    )


def denoise(
    transformer: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    """The transformer's output, the velocity [B, C, H, W]."""
    output: Tensor = transformer(
        hidden_states=latents,
        timestep=timesteps,
        encoder_hidden_states=conditioning.states,
        **conditioning.added,
        return_dict=False,
    )[0]
    return output


def schedule(pipeline: Any, steps: int, eta: float) -> Schedule:
    """As the pipeline's own call sets its scheduler."""
    config = pipeline.scheduler.config
    scheduler = type(pipeline.scheduler).from_config(config)
    shift = {}
    if config.get("use_dynamic_shifting"):
        _, height, width = latent_shape(pipeline)
        patch = pipeline.transformer.config.patch_size
        shift["mu"] = calculate_shift(
            (height // patch) * (width // patch),
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.16),
        )
    scheduler.set_timesteps(steps, **shift)
    return flow.make_schedule(scheduler, eta)


def latent_shape(pipeline: Any) -> tuple[int, int, int]:
    """(C, H, W) of the latents that the transformer was made for."""
    config = pipeline.transformer.config
    return config.in_channels, config.sample_size, config.sample_size


def for_vae(vae: Any, z_0: Tensor) -> Tensor:
    """Clean latents [B, C, H, W] as the VAE decodes them."""
    latents: Tensor = z_0 / vae.config.scaling_factor + vae.config.shift_factor
    return latents


def from_vae(vae: Any, latents: Tensor) -> Tensor:
    """The inverse of `for_vae`."""
    z_0: Tensor = (latents - vae.config.shift_factor) * vae.config.scaling_factor
    return z_0


def drawing(
    pipeline: Any, conditioning: Conditioning, negative: Conditioning, sampling: Sampling
) -> Mapping[str, Any]:
    """What the pipeline's own call takes in place of prompts and of `sampling`'s guidance."""
    return {
        "prompt_embeds": conditioning.states,
        "negative_prompt_embeds": negative.states,
        "pooled_prompt_embeds": conditioning.added["pooled_projections"],
        "negative_pooled_prompt_embeds": negative.added["pooled_projections"],
        "guidance_scale": sampling.guidance_scale,
    }


def why_not(pipeline: Any) -> str:
    """Why a pipeline that has the class's name cannot be taught; "" if it can."""
    channels = pipeline.transformer.config.in_channels
    if channels != pipeline.vae.config.latent_channels:
        return f"its transformer takes {channels} channels, as those for inpainting do"
    if pipeline.text_encoder is None or pipeline.text_encoder_2 is None:
        return "it has not both of its CLIP text encoders"
    return flow.why_not(pipeline)
