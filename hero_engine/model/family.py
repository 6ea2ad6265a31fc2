"""The model families that can be taught, and all that the engine has to know of each.

A family is an entry of `FAMILIES`, and a file of `families`. Whatever depends on it asks for the
entry and does as it says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

from diffusers import (
    Flux2KleinPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    ZImagePipeline,
)
from torch import Tensor

from hero_engine.model.conditioning import Conditioning
from hero_engine.model.families import flux_2, stable_diffusion, stable_diffusion_3, z_image
from hero_engine.model.schedule import PredictionType, Schedule
from hero_engine.run.task import Sampling

Architecture = Literal["v1", "v2", "xl", "sd3", "z-image", "flux2-klein"]


def _as_it_is(_: Any, latents: Tensor) -> Tensor:
    return latents


@dataclass(frozen=True)
class Family:
    """What is particular to a family.

    Attributes:
        pipeline: diffusers' class, the one that a model_index.json names.
        denoiser: the part of it that is taught, by its name there.
        left_out: arguments of its loaders that leave out what draws no picture from text.
        half_vae: its VAE decodes in half precision; else in float32, unless its configuration says
            that it need not.
        why_not: of a pipeline of the class, why it cannot be taught; "" if it can.
        encode: conditioning of prompts and of the unconditional half (`stable_diffusion.encode`).
        denoise: what the denoiser predicts for latents [B, C, H, W] at timesteps [B].
        schedule: of so many steps and of `sampling.eta`.
        latent_shape: (C, H, W).
        for_vae: clean latents as the VAE decodes them. from_vae: the inverse.
        drawing: arguments of the pipeline's own call. drawn: z_0 of the latents that it gives.
        guidance_offset: how much more `sampling.guidance_scale` is than the pipeline's own.
        patch: places of the VAE's latents, each way, in one of the latents.
        lora_targets: the layers of the denoiser that get a LoRA, as peft takes them: the ends of
            their names, or an expression for the whole of them.
        modelspec: ModelSpec's name of the architecture, by what the model predicts.
        sd_scripts: the same of sd-scripts.
        names: how a LoRA's layers are called in the file for other programs: as sd-scripts does,
            by diffusers' names or by those of the original UNet; or as diffusers does.
    """

    pipeline: Any
    denoiser: Literal["unet", "transformer"]
    left_out: Mapping[str, Any]
    half_vae: bool
    why_not: Callable[[Any], str]
    encode: Callable[[Any, Sequence[str], str, bool], tuple[Conditioning, Conditioning]]
    denoise: Callable[[Any, Tensor, Tensor, Conditioning], Tensor]
    schedule: Callable[[Any, int, float], Schedule]
    latent_shape: Callable[[Any], tuple[int, int, int]]
    for_vae: Callable[[Any, Tensor], Tensor]
    from_vae: Callable[[Any, Tensor], Tensor]
    drawing: Callable[[Any, Conditioning, Conditioning, Sampling], Mapping[str, Any]]
    lora_targets: Sequence[str] | str
    modelspec: Mapping[PredictionType, str]
    sd_scripts: Mapping[PredictionType, str]
    names: Literal["sd-scripts", "original", "diffusers"]
    drawn: Callable[[Any, Tensor], Tensor] = _as_it_is
    patch: int = 1
    guidance_offset: int = 0


def _family(file: ModuleType, **values: Any) -> Family:
    """A family whose functions are those of its file."""
    return Family(
        why_not=file.why_not,
        encode=file.encode,
        denoise=file.denoise,
        schedule=file.schedule,
        latent_shape=file.latent_shape,
        for_vae=file.for_vae,
        from_vae=file.from_vae,
        drawing=file.drawing,
        lora_targets=file.LORA_TARGETS,
        **values,
    )


_FROM_TEXT_ALONE = {"feature_extractor": None, "image_encoder": None}
_NO_CHECKER = {"safety_checker": None, "requires_safety_checker": False}

_V1 = _family(
    stable_diffusion,
    pipeline=StableDiffusionPipeline,
    denoiser="unet",
    left_out={**_FROM_TEXT_ALONE, **_NO_CHECKER},
    half_vae=True,
    modelspec={"epsilon": "stable-diffusion-v1", "v_prediction": "stable-diffusion-v1"},
    sd_scripts={"epsilon": "sd_v1", "v_prediction": "sd_v1_v"},
    names="sd-scripts",
)

FAMILIES: Mapping[Architecture, Family] = {
    "v1": _V1,
    "v2": replace(
        _V1,
        modelspec={
            "epsilon": "stable-diffusion-v2-512",
            "v_prediction": "stable-diffusion-v2-768-v",
        },
        sd_scripts={"epsilon": "sd_v2", "v_prediction": "sd_v2_v"},
    ),
    "xl": replace(
        _V1,
        pipeline=StableDiffusionXLPipeline,
        left_out={**_FROM_TEXT_ALONE, "add_watermarker": False},
        half_vae=False,
        encode=stable_diffusion.encode_with_pooled,
        modelspec={
            "epsilon": "stable-diffusion-xl-v1-base",
            "v_prediction": "stable-diffusion-xl-v1-base",
        },
        sd_scripts={"epsilon": "sdxl_base_v1-0", "v_prediction": "sdxl_base_v1-0"},
        names="original",
    ),
    "sd3": _family(
        stable_diffusion_3,
        pipeline=StableDiffusion3Pipeline,
        denoiser="transformer",
        left_out=_FROM_TEXT_ALONE,
        half_vae=True,
        modelspec={"flow": "stable-diffusion-3"},
        sd_scripts={"flow": "sd3"},
        names="diffusers",
    ),
    "z-image": _family(
        z_image,
        pipeline=ZImagePipeline,
        denoiser="transformer",
        left_out={},
        half_vae=True,
        guidance_offset=z_image.GUIDANCE_OFFSET,
        modelspec={"flow": "z-image"},
        sd_scripts={"flow": "zimage"},
        names="diffusers",
    ),
    "flux2-klein": _family(
        flux_2,
        pipeline=Flux2KleinPipeline,
        denoiser="transformer",
        left_out={},
        half_vae=True,
        drawn=flux_2.from_vae,
        patch=flux_2.PATCH,
        modelspec={"flow": "flux-2-klein"},
        sd_scripts={"flow": "flux2"},
        names="diffusers",
    ),
}


def architecture_of(pipeline: Any) -> Architecture:
    """By the pipeline's class; of 1.x and 2.x, which have one, only 2.x projects linearly."""
    name = next(n for n, family in FAMILIES.items() if family.pipeline is type(pipeline))
    if name == "v1" and pipeline.unet.config.use_linear_projection:
        return "v2"
    return name


def family_of(pipeline: Any) -> Family:
    """The family of a pipeline that is loaded."""
    return FAMILIES[architecture_of(pipeline)]


def picture_size(pipeline: Any) -> tuple[int, int]:
    """Height and width of its pictures, in pixels."""
    family = family_of(pipeline)
    _, height, width = family.latent_shape(pipeline)
    scale = pipeline.vae_scale_factor * family.patch
    return height * scale, width * scale


def family_named(name_of_class: str) -> Family:
    """The first family of that pipeline class of diffusers; those of one class load alike.

    Raises:
        StopIteration: none has it.
    """
    return next(f for f in FAMILIES.values() if f.pipeline.__name__ == name_of_class)
