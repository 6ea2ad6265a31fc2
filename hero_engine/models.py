"""A Stable Diffusion pipeline as the method needs it: UNet with a LoRA, VAE, encoded prompts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from torch import Tensor, nn

from hero_engine import ddim, seeds
from hero_engine.errors import EngineError
from hero_engine.pretrained import load_pipeline
from hero_engine.task import Task

LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""The attention projections, as in the official code."""


@dataclass
class Model:
    """What sampling and training share.

    Attributes:
        prompt_embeds: [P, L, E], one a prompt of the task.
        negative_embeds: [1, L, E].
        latent_shape: (C, H, W).
        dtype: of the frozen weights; latents, means and log-probs are float32 whatever it is.
    """

    unet: Any
    vae: Any
    tokenizer: Any
    text_encoder: Any
    schedule: ddim.Schedule
    prompt_embeds: Tensor
    negative_embeds: Tensor
    latent_shape: tuple[int, int, int]
    accelerator: Accelerator
    dtype: torch.dtype

    @property
    def device(self) -> torch.device:
        return self.accelerator.device  # type: ignore[no-any-return]

    def lora(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name, in a fixed order."""
        return {n: p for n, p in sorted(self.unet.named_parameters()) if p.requires_grad}

    def predict(self, z_t: Tensor, i: Tensor, prompts: Tensor, guidance_scale: float) -> Tensor:
        """The network's output under classifier-free guidance, float32.

        Args:
            z_t: [B, C, H, W], float32.
            i: the step of each, [B], int64.
            prompts: which of `prompt_embeds` each picture has, [B], int64.
            guidance_scale: 1 leaves the unconditional half out.
        """
        timesteps = self.schedule.timesteps[i.cpu()].to(self.device)
        latents, embeds = z_t, self.prompt_embeds[prompts]
        if guidance_scale != 1:
            latents, timesteps = torch.cat([z_t, z_t]), torch.cat([timesteps, timesteps])
            embeds = torch.cat([self.negative_embeds.expand_as(embeds), embeds])
        output = self.unet(latents.to(self.dtype), timesteps, embeds, return_dict=False)[0].float()
        if guidance_scale != 1:
            unconditional, conditional = output.chunk(2)
            output = unconditional + guidance_scale * (conditional - unconditional)
        return output  # type: ignore[no-any-return]

    def decode(self, z_0: Tensor) -> Tensor:
        """Pictures of clean latents [B, C, H, W]: uint8 [B, height, width, 3] on the CPU."""
        scaled = (z_0 / self.vae.config.scaling_factor).to(self.dtype)
        pictures = self.vae.decode(scaled, return_dict=False)[0].float()
        pictures = ((pictures / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        return pictures.permute(0, 2, 3, 1).cpu()  # type: ignore[no-any-return]


def load(task: Task) -> Model:
    """The task's model with a new LoRA, whose B is zero: it draws as the pretrained model does.

    Raises:
        InputError: the model cannot be found or read, or is not a Stable Diffusion 1.x pipeline.
        EngineError: a prompt is longer than the text encoder reads.
    """
    accelerator = Accelerator()
    dtype = choose_dtype(task.precision, accelerator.device)
    # Measured on an AVX-512 CPU: with so few channels a group, GroupNorm in bfloat16 and channels
    # last takes 30 times as long, and the fused attention's backward pass is slower than none.
    half_on_cpu = accelerator.device.type == "cpu" and dtype == torch.bfloat16
    layout = torch.contiguous_format if half_on_cpu else torch.channels_last
    pipeline = load_pipeline(task, dtype)
    unet, vae = pipeline.unet, pipeline.vae
    for module in (unet, vae, pipeline.text_encoder):
        module.requires_grad_(False)
        module.eval()
        module.to(accelerator.device, memory_format=layout)
    if half_on_cpu:
        unet.set_attn_processor(AttnProcessor())
    add_lora(unet, task.update.lora_rank, task.seed)
    size = unet.config.sample_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return Model(
        unet=unet,
        vae=vae,
        tokenizer=pipeline.tokenizer,
        text_encoder=pipeline.text_encoder,
        schedule=ddim.make_schedule(
            pipeline.scheduler.config, task.sampling.steps, task.sampling.eta
        ),
        prompt_embeds=encode(pipeline.tokenizer, pipeline.text_encoder, task.prompts),
        negative_embeds=encode(pipeline.tokenizer, pipeline.text_encoder, [task.negative_prompt]),
        latent_shape=(unet.config.in_channels, height, width),
        accelerator=accelerator,
        dtype=dtype,
    )


def choose_dtype(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> torch.dtype:
    """The frozen weights' dtype; `auto` takes bfloat16 where `device` has instructions for it."""
    if precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
        precision = "bf16" if native else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def add_lora(unet: Any, rank: int, seed: int) -> None:
    """Adds a LoRA (alpha = rank, in float32) whose A is drawn from `seed` as peft draws it."""
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(LORA_TARGETS)))
    cast_training_params(unet, torch.float32)
    generator = seeds.generator(seed, "lora")
    for name, parameter in sorted(unet.named_parameters()):
        if "lora_A" in name:
            drawn = torch.empty(parameter.shape)
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            parameter.data.copy_(drawn)


@torch.no_grad()
def encode(tokenizer: Any, text_encoder: Any, prompts: Sequence[str]) -> Tensor:
    """The text encoder's states [P, L, E] of `prompts`, padded to its length.

    Raises:
        EngineError: a prompt has more tokens than the encoder reads; it would be cut in silence.
    """
    length = tokenizer.model_max_length
    for prompt in prompts:
        tokens = len(tokenizer(prompt).input_ids)
        if tokens > length:
            raise EngineError(
                f"prompt '{prompt[:40]}...': {tokens} tokens, this model reads at most {length}; "
                "shorten it"
            )
    inputs = tokenizer(list(prompts), padding="max_length", max_length=length, return_tensors="pt")
    return text_encoder(inputs.input_ids.to(text_encoder.device))[0]  # type: ignore[no-any-return]
