"""Pipelines of flow models with random weights, as small as their architectures allow."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from torch import nn
from transformers import (
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from tests.tiny_pipeline import saved, text_config, words

SIDE = 16
"""Pixels of the pictures, where a pipeline says by its code how large they are."""


def save_tiny_sd3(folder: Path, with_t5: bool = True) -> Path:
    """Writes a pipeline as Stable Diffusion 3.5: 8x8 latents of 4 channels, pictures of 16x16."""
    torch.manual_seed(0)
    tokenizer = words(folder)
    clips = [
        CLIPTextModelWithProjection(
            text_config(tokenizer, hidden_size=16, num_hidden_layers=2, projection_dim=16)
        )
        for _ in range(2)
    ]
    t5 = T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            out_channels=4,
            pos_embed_max_size=8,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=clips[0],
        tokenizer=tokenizer,
        text_encoder_2=clips[1],
        tokenizer_2=tokenizer,
        text_encoder_3=t5 if with_t5 else None,
        tokenizer_3=tokenizer if with_t5 else None,
    )
    return saved(pipeline, folder)


def save_tiny_z_image(folder: Path) -> Path:
    """Writes a pipeline as Z-Image: with `SIDE`, 8x8 latents of 4 channels."""
    torch.manual_seed(0)
    tokenizer = _chat(folder)
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )
    for padding in (transformer.x_pad_token, transformer.cap_pad_token):
        nn.init.normal_(padding)  # the class leaves them as memory was
    pipeline = ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=Qwen3Model(_qwen(tokenizer, layers=3)),
        tokenizer=tokenizer,
        transformer=transformer,
    )
    return saved(pipeline, folder)


def save_tiny_flux_2(folder: Path, is_distilled: bool = False) -> Path:
    """Writes a pipeline as FLUX.2 klein: with `SIDE`, latents of 4x4 places of 16 channels."""
    torch.manual_seed(0)
    tokenizer = _chat(folder)
    vae = AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )
    nn.init.normal_(vae.bn.running_mean, std=0.1)
    nn.init.uniform_(vae.bn.running_var, 0.5, 2.0)
    pipeline = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        # Its prompts are read off the layers 9, 18 and 27.
        text_encoder=Qwen3ForCausalLM(_qwen(tokenizer, layers=28)),
        tokenizer=tokenizer,
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=is_distilled,
    )
    return saved(pipeline, folder)


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _chat(folder: Path) -> CLIPTokenizer:
    tokenizer = words(folder)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    return tokenizer


def _qwen(tokenizer: Any, layers: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
    )
