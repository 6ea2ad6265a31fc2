"""Stable Diffusion pipelines of random weights that run a round in a fraction of a second.

Each has what its architecture's code paths depend on: the kinds of blocks, where attention is, how
projections are made, the text encoders, the conditions beside the prompt.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_DDIM = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


def save_tiny_pipeline(folder: Path, prediction_type: str = "epsilon") -> Path:
    """Writes a pipeline as Stable Diffusion 1.x: 8x8 latents of 4 channels, pictures of 16x16."""
    torch.manual_seed(0)
    tokenizer = words(folder)
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(text_config(tokenizer, hidden_size=16)),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        scheduler=DDIMScheduler(**_NOISE, **_DDIM, prediction_type=prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return saved(pipeline, folder)


def save_tiny_v2_pipeline(folder: Path, prediction_type: str = "v_prediction") -> Path:
    """Writes a pipeline as Stable Diffusion 2.x; latents and pictures as `save_tiny_pipeline`."""
    torch.manual_seed(0)
    tokenizer = words(folder)
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(
            text_config(tokenizer, hidden_size=24, hidden_act="gelu", num_hidden_layers=2)
        ),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=24,
            attention_head_dim=[2, 4],
            use_linear_projection=True,
            norm_num_groups=4,
        ),
        scheduler=DDIMScheduler(**_NOISE, **_DDIM, prediction_type=prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return saved(pipeline, folder)


def save_tiny_xl_pipeline(folder: Path, prediction_type: str = "epsilon") -> Path:
    """Writes a pipeline as Stable Diffusion XL; latents and pictures as `save_tiny_pipeline`.

    The UNet has SDXL's blocks and layers, so that its LoRA's weights are named as SDXL's are.
    """
    torch.manual_seed(0)
    tokenizer = words(folder)
    pooled = 12
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025, force_upcast=True),
        text_encoder=CLIPTextModel(
            text_config(tokenizer, hidden_size=16, num_hidden_layers=2, projection_dim=16)
        ),
        text_encoder_2=CLIPTextModelWithProjection(
            text_config(
                tokenizer,
                hidden_size=24,
                hidden_act="gelu",
                num_hidden_layers=2,
                projection_dim=pooled,
            )
        ),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16, 16),
            layers_per_block=2,
            transformer_layers_per_block=[1, 1, 2],
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16 + 24,
            attention_head_dim=[1, 2, 4],
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=pooled + 6 * 8,
            norm_num_groups=4,
        ),
        scheduler=EulerDiscreteScheduler(**_NOISE, steps_offset=1, prediction_type=prediction_type),
        add_watermarker=False,
    )
    return saved(pipeline, folder)


def saved(pipeline: Any, folder: Path) -> Path:
    """Writes a pipeline into `folder`; returns where."""
    pipeline.save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"


def words(folder: Path) -> CLIPTokenizer:
    """A tokenizer that knows letters."""
    characters = [chr(c) for c in range(97, 123)]
    vocabulary = [
        *characters,
        *(f"{c}</w>" for c in characters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    place = folder / "words"
    place.mkdir(parents=True)
    (place / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(vocabulary)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"), model_max_length=77)


def text_config(tokenizer: CLIPTokenizer, hidden_size: int, **changes: Any) -> CLIPTextConfig:
    """Of a CLIP of one layer, unless `changes` say otherwise."""
    known = len(tokenizer)
    return CLIPTextConfig(
        vocab_size=known,
        hidden_size=hidden_size,
        intermediate_size=16,
        num_attention_heads=2,
        bos_token_id=known - 2,
        eos_token_id=known - 1,
        **{"num_hidden_layers": 1} | changes,
    )


def _vae(**changes: Any) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        **changes,
    )
