"""Stable Diffusion 1.x, 2.x and XL: a UNet that predicts epsilon or v, and DDIM."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from hero_engine.model import ddim
from hero_engine.model.conditioning import Conditioning, check_lengths
from hero_engine.model.samplers import eta_in_diffusers
from hero_engine.model.schedule import Schedule
from hero_engine.run.task import Sampling

LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""The attention projections, as in HERO's official code."""


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
    """`encode` of SDXL: added are `text_embeds` [P, D], the second encoder's pooled output, and
    `time_ids` [P, 6], the picture's size and crop.
    """
    states, negative_states, pooled, negative_pooled = _encoded(
        pipeline, prompts, negative_prompt, cut
    )
    _, height, width = (side * pipeline.vae_scale_factor for side in latent_shape(pipeline))
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
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is not None:
            length = tokenizer.model_max_length
            check_lengths(tokenizer, length, prompts, negative_prompt, cut)
    encoded: tuple[Tensor, ...] = pipeline.encode_prompt(
        list(prompts),
        device=pipeline.text_encoder.device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=True,
        negative_prompt=[negative_prompt] * len(prompts) if negative_prompt else None,
    )
    return encoded


def denoise(unet: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
    """The UNet's output, [B, C, H, W]."""
    output: Tensor = unet(
        latents,
        timesteps,
        conditioning.states,
        added_cond_kwargs=conditioning.added or None,
        return_dict=False,
    )[0]
    return output


def schedule(pipeline: Any, steps: int, eta: float) -> Schedule:
    """DDIM's, whatever scheduler the pipeline came with."""
    return ddim.make_schedule(pipeline.scheduler.config, steps, eta)


def latent_shape(pipeline: Any) -> tuple[int, int, int]:
    """(C, H, W) of the latents that the UNet was made for."""
    config = pipeline.unet.config
    size = config.sample_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return config.in_channels, height, width


def for_vae(vae: Any, z_0: Tensor) -> Tensor:
    """Clean latents [B, C, H, W] as the VAE decodes them."""
    mean, std = _statistics(vae.config, z_0.device)
    latents: Tensor = z_0 / vae.config.scaling_factor * std + mean
    return latents


def from_vae(vae: Any, latents: Tensor) -> Tensor:
    """The inverse of `for_vae`."""
    mean, std = _statistics(vae.config, latents.device)
    z_0: Tensor = (latents - mean) / std * vae.config.scaling_factor
    return z_0


def _statistics(config: Any, device: torch.device) -> tuple[Tensor | float, Tensor | float]:
    """Mean and deviation of each channel, by which a few SDXL fine-tunes normalise them."""
    if not (getattr(config, "latents_mean", None) and getattr(config, "latents_std", None)):
        return 0.0, 1.0
    mean, std = (
        torch.tensor(values, device=device).view(1, -1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    return mean, std


def drawing(
    pipeline: Any, conditioning: Conditioning, negative: Conditioning, sampling: Sampling
) -> Mapping[str, Any]:
    """What the pipeline's own call takes in place of prompts and of `sampling`'s guidance and eta.

    Args:
        negative: of as many rows as `conditioning`.
    """
    given: dict[str, Any] = {
        "prompt_embeds": conditioning.states,
        "negative_prompt_embeds": negative.states,
        "guidance_scale": sampling.guidance_scale,
        "eta": eta_in_diffusers(pipeline.scheduler, sampling.eta),
    }
    for name, half in (("", conditioning), ("negative_", negative)):
        if "text_embeds" in half.added:
            given[f"{name}pooled_prompt_embeds"] = half.added["text_embeds"]
    return given


def why_not(pipeline: Any) -> str:
    """Why a pipeline that has the class's name cannot be taught; "" if it can."""
    unet, vae, scheduler = (p.config for p in (pipeline.unet, pipeline.vae, pipeline.scheduler))
    if unet.in_channels != vae.latent_channels:
        return f"its UNet takes {unet.in_channels} channels, as those for inpainting do"
    if unet.time_cond_proj_dim is not None:
        return "its guidance is distilled into its UNet (as in LCM): it has no guidance to set"
    if pipeline.text_encoder is None:
        return "it has only a second text encoder, as SDXL's refiner"
    if DDIMScheduler not in pipeline.scheduler.compatibles:
        return f"its {type(pipeline.scheduler).__name__} cannot be exchanged for DDIM"
    if scheduler.prediction_type not in ("epsilon", "v_prediction"):
        return f"it predicts {scheduler.prediction_type}"
    if scheduler.prediction_type == "epsilon" and scheduler.get("rescale_betas_zero_snr"):
        return (
            "its scheduler_config.json has rescale_betas_zero_snr with epsilon-prediction, and "
            "noise alone says nothing of the picture; one that was trained so predicts v "
            "(`prediction_type: v_prediction`)"
        )
    if unet.sample_size is None:
        return (
            "its unet/config.json does not say for which size it was made; write the latents' "
            'there: `"sample_size": 64` for pictures of 512x512, 96 for 768, 128 for 1024'
        )
    return ""
