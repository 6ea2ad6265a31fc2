"""FLUX.2 klein: a diffusion transformer that predicts the flow of packed latents, and Qwen3."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import Flux2KleinPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from hero_engine.model import flow
from hero_engine.model.conditioning import Conditioning, check_lengths
from hero_engine.model.schedule import Schedule
from hero_engine.run.task import Sampling

LENGTH = 512
"""Tokens that its encoder is given, by the pipeline's default."""
SIDE = 1024
"""Pixels: the pictures that the pipeline draws by default."""
PATCH = 2

LORA_TARGETS = (
    r"transformer_blocks\.\d+\.attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
    r"|single_transformer_blocks\.\d+\.attn\.(to_qkv_mlp_proj|to_out)"
)
"""The attention projections of picture and text, and those of the blocks that have them in one."""


@torch.no_grad()
def encode(
    pipeline: Any, prompts: Sequence[str], negative_prompt: str, cut: bool = False
) -> tuple[Conditioning, Conditioning]:
    """As `stable_diffusion.encode`; prompts are padded, as the model was trained.

    Raises:
        InputError: a prompt is longer than the encoder is given, and is not to be cut.
    """
    check_lengths(pipeline.tokenizer, LENGTH, prompts, negative_prompt, cut)
    states, _ = pipeline.encode_prompt(
        [*prompts, negative_prompt],
        device=pipeline.text_encoder.device,
        max_sequence_length=LENGTH,
    )
    return Conditioning(states[:-1]), Conditioning(states[-1:])


def denoise(
    transformer: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    """The transformer's output, the velocity [B, C, H, W], a patch of the VAE's latents a place."""
    packed = Flux2KleinPipeline._pack_latents(latents)
    # Every prompt has the same, since all are padded to the same length.
    text_ids = Flux2KleinPipeline._prepare_text_ids(conditioning.states[:1])
    output: Tensor = transformer(
        hidden_states=packed,
        timestep=(timesteps / 1000).to(latents.dtype),
        guidance=None,
        encoder_hidden_states=conditioning.states,
        txt_ids=text_ids.to(latents.device).expand(len(latents), -1, -1),
        img_ids=Flux2KleinPipeline._prepare_latent_ids(latents).to(latents.device),
        return_dict=False,
    )[0]
    return output.transpose(1, 2).reshape(latents.shape)


def schedule(pipeline: Any, steps: int, eta: float) -> Schedule:
    """As the pipeline's own call sets its scheduler."""
    config = pipeline.scheduler.config
    scheduler = type(pipeline.scheduler).from_config(config)
    _, height, width = latent_shape(pipeline)
    mu = compute_empirical_mu(height * width, steps)
    if config.get("use_flow_sigmas"):
        scheduler.set_timesteps(steps, mu=mu)
    else:
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    return flow.make_schedule(scheduler, eta)


def latent_shape(pipeline: Any) -> tuple[int, int, int]:
    """(C, H, W) of the latents of its pictures, packed: a patch of the VAE's is a place."""
    side = SIDE // (PATCH * pipeline.vae_scale_factor)
    return pipeline.transformer.config.in_channels, side, side


def for_vae(vae: Any, z_0: Tensor) -> Tensor:
    """Clean latents [B, C, H, W] as the VAE decodes them: [B, C / 4, 2 H, 2 W]."""
    mean, deviation = _statistics(vae, z_0)
    latents: Tensor = Flux2KleinPipeline._unpatchify_latents(z_0 * deviation + mean)
    return latents


def from_vae(vae: Any, latents: Tensor) -> Tensor:
    """The inverse of `for_vae`."""
    patches = Flux2KleinPipeline._patchify_latents(latents)
    mean, deviation = _statistics(vae, patches)
    z_0: Tensor = (patches - mean) / deviation
    return z_0


def _statistics(vae: Any, latents: Tensor) -> tuple[Tensor, Tensor]:
    mean, variance = (
        values.view(1, -1, 1, 1).to(latents.device, latents.dtype)
        for values in (vae.bn.running_mean, vae.bn.running_var)
    )
    return mean, (variance + vae.config.batch_norm_eps).sqrt()


def drawing(
    pipeline: Any, conditioning: Conditioning, negative: Conditioning, sampling: Sampling
) -> Mapping[str, Any]:
    """What the pipeline's own call takes in place of prompts and of `sampling`'s guidance."""
    return {
        "prompt_embeds": conditioning.states,
        "negative_prompt_embeds": negative.states,
        "guidance_scale": sampling.guidance_scale,
    }


def why_not(pipeline: Any) -> str:
    """Why a pipeline that has the class's name cannot be taught; "" if it can."""
    if pipeline.transformer.config.guidance_embeds:
        return "its guidance is distilled into its transformer: it has no guidance to set"
    return flow.why_not(pipeline)
