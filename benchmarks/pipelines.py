"""Pipelines of random weights in the published sizes, for timing: nothing is downloaded.

The configurations are those of the published `unet/config.json`, `vae/config.json` and text encoder
files of Stable Diffusion 1.5 and XL; what is not named here is the default of diffusers and
transformers. The tokenizer is a toy: it only has to give 77 numbers.
"""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
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

Size = Literal["tiny", "sd15", "sdxl"]

UNETS: dict[Size, dict[str, Any]] = {
    "tiny": {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 16,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    },
    "sd15": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}

FULL_VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
VAES: dict[Size, dict[str, Any]] = {
    "tiny": {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "block_out_channels": (8, 8),
        "norm_num_groups": 4,
    },
    "sd15": FULL_VAE | {"sample_size": 512},
    "sdxl": FULL_VAE | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True},
}

VIT_L: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
VIT_BIG_G: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
NARROW: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def save_pipeline(size: Size, folder: Path) -> Path:
    """Writes a pipeline of random weights, in bfloat16 to save disk, to `folder`; returns it."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        parts: dict[str, Any] = {
            "unet": UNet2DConditionModel(**UNETS[size]),
            "vae": AutoencoderKL(latent_channels=4, **VAES[size]),
            "tokenizer": _tokenizer(folder / "words"),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**(NARROW if size == "tiny" else VIT_L))),
            "scheduler": DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
            ),
        }
        if size == "sdxl":
            pipeline: Any = StableDiffusionXLPipeline(
                **parts,
                text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**VIT_BIG_G)),
                tokenizer_2=_tokenizer(folder / "words_2"),
                add_watermarker=False,
            )
        else:
            pipeline = StableDiffusionPipeline(
                **parts,
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )
        pipeline.to(dtype=torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    finally:
        torch.set_default_dtype(torch.float32)
    return folder


def _tokenizer(words: Path) -> CLIPTokenizer:
    characters = [chr(c) for c in range(97, 123)]
    vocabulary = [
        *characters,
        *(f"{c}</w>" for c in characters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    words.mkdir(parents=True)
    (words / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(vocabulary)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77)
