"""Pipelines of random weights in the published sizes, for timing: nothing is downloaded.

The configurations are those of the published `unet/config.json` or `transformer/config.json`,
`vae/config.json` and text encoder files; what is not named here is the default of diffusers and
transformers. The tokenizer is a toy: it only has to give numbers. So are the text encoders of flow
models, but for the width of what they hand on: a prompt is encoded once a run.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

UNetSize = Literal["tiny", "sd15", "sdxl"]
Size = Literal["tiny", "sd15", "sdxl", "sd35-medium", "z-image", "klein-4b"]

UNETS: dict[UNetSize, dict[str, Any]] = {
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
VAES: dict[UNetSize, dict[str, Any]] = {
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
FLOW_VAE: dict[str, Any] = FULL_VAE | {
    "latent_channels": 16,
    "sample_size": 1024,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
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
        # Billions of random numbers take minutes on a CPU.
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            pipeline = _MAKE[size](folder)
        pipeline.to(dtype=torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    finally:
        torch.set_default_dtype(torch.float32)
    return folder


def _stable_diffusion(size: UNetSize, folder: Path) -> Any:
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
        return StableDiffusionXLPipeline(
            **parts,
            text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**VIT_BIG_G)),
            tokenizer_2=_tokenizer(folder / "words_2"),
            add_watermarker=False,
        )
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def _stable_diffusion_3_5_medium(folder: Path) -> Any:
    clips = [
        CLIPTextModelWithProjection(CLIPTextConfig(**(NARROW | {"projection_dim": width})))
        for width in (768, 1280)
    ]
    t5 = T5Config(vocab_size=64, d_model=4096, d_kv=64, d_ff=64, num_layers=1, num_heads=1)
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            num_layers=24,
            num_attention_heads=24,
            caption_projection_dim=1536,
            pos_embed_max_size=384,
            dual_attention_layers=tuple(range(13)),
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=AutoencoderKL(**FLOW_VAE, scaling_factor=1.5305, shift_factor=0.0609),
        text_encoder=clips[0],
        tokenizer=_tokenizer(folder / "words"),
        text_encoder_2=clips[1],
        tokenizer_2=_tokenizer(folder / "words_2"),
        text_encoder_3=T5EncoderModel(t5),
        tokenizer_3=_tokenizer(folder / "words_3"),
    )


def _z_image(folder: Path) -> Any:
    transformer = ZImageTransformer2DModel()
    for padding in (transformer.x_pad_token, transformer.cap_pad_token):
        torch.nn.init.normal_(padding)  # the class leaves them as memory was
    return ZImagePipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=AutoencoderKL(**FLOW_VAE, scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=Qwen3Model(_narrow_qwen(layers=3)),
        tokenizer=_chat_tokenizer(folder / "words"),
    )


def _flux_2_klein_4b(folder: Path) -> Any:
    return Flux2KleinPipeline(
        transformer=Flux2Transformer2DModel(
            num_layers=5,
            num_single_layers=20,
            num_attention_heads=24,
            joint_attention_dim=7680,
            guidance_embeds=False,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=AutoencoderKLFlux2(),
        # Its prompts are read off the layers 9, 18 and 27.
        text_encoder=Qwen3ForCausalLM(_narrow_qwen(layers=28)),
        tokenizer=_chat_tokenizer(folder / "words"),
        is_distilled=False,
    )


_MAKE: dict[Size, Callable[[Path], Any]] = {
    "tiny": partial(_stable_diffusion, "tiny"),
    "sd15": partial(_stable_diffusion, "sd15"),
    "sdxl": partial(_stable_diffusion, "sdxl"),
    "sd35-medium": _stable_diffusion_3_5_medium,
    "z-image": _z_image,
    "klein-4b": _flux_2_klein_4b,
}


def _narrow_qwen(layers: int) -> Qwen3Config:
    """As wide as Qwen3 4B in what it hands on."""
    return Qwen3Config(
        vocab_size=64,
        hidden_size=2560,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=1024,
    )


def _chat_tokenizer(words: Path) -> CLIPTokenizer:
    tokenizer = _tokenizer(words)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    return tokenizer


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
