"""The model families that can be taught, and all that the engine has to know of each.

A family is an entry of `FAMILIES`. Whatever depends on it asks for the entry and does as it says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from hero_engine.model import conditioning
from hero_engine.model.conditioning import Conditioning

Architecture = Literal["v1", "v2", "xl"]
PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class Family:
    """What is particular to a family.

    Attributes:
        pipeline: diffusers' class, the one that a model_index.json names.
        left_out: arguments of its loaders that leave out what draws no picture from text.
        half_vae: its VAE decodes in half precision; else in float32, unless its configuration says
            that it need not.
        encode: conditioning of prompts and of the unconditional half (`conditioning.encode`).
        modelspec: ModelSpec's name of the architecture, by what the model predicts.
        sd_scripts: the same of sd-scripts.
        original_names: sd-scripts names a LoRA's layers as the original UNet, not as diffusers.
    """

    pipeline: Any
    left_out: Mapping[str, Any]
    half_vae: bool
    encode: Callable[[Any, Sequence[str], str, bool], tuple[Conditioning, Conditioning]]
    modelspec: Mapping[PredictionType, str]
    sd_scripts: Mapping[PredictionType, str]
    original_names: bool


_FROM_TEXT_ALONE = {"feature_extractor": None, "image_encoder": None}
_NO_CHECKER = {"safety_checker": None, "requires_safety_checker": False}

FAMILIES: Mapping[Architecture, Family] = {
    "v1": Family(
        pipeline=StableDiffusionPipeline,
        left_out={**_FROM_TEXT_ALONE, **_NO_CHECKER},
        half_vae=True,
        encode=conditioning.encode,
        modelspec={"epsilon": "stable-diffusion-v1", "v_prediction": "stable-diffusion-v1"},
        sd_scripts={"epsilon": "sd_v1", "v_prediction": "sd_v1_v"},
        original_names=False,
    ),
    "v2": Family(
        pipeline=StableDiffusionPipeline,
        left_out={**_FROM_TEXT_ALONE, **_NO_CHECKER},
        half_vae=True,
        encode=conditioning.encode,
        modelspec={
            "epsilon": "stable-diffusion-v2-512",
            "v_prediction": "stable-diffusion-v2-768-v",
        },
        sd_scripts={"epsilon": "sd_v2", "v_prediction": "sd_v2_v"},
        original_names=False,
    ),
    "xl": Family(
        pipeline=StableDiffusionXLPipeline,
        left_out={**_FROM_TEXT_ALONE, "add_watermarker": False},
        half_vae=False,
        encode=conditioning.encode_with_pooled,
        modelspec={
            "epsilon": "stable-diffusion-xl-v1-base",
            "v_prediction": "stable-diffusion-xl-v1-base",
        },
        sd_scripts={"epsilon": "sdxl_base_v1-0", "v_prediction": "sdxl_base_v1-0"},
        original_names=True,
    ),
}


def architecture_of(unet: Any) -> Architecture:
    """By the UNet's configuration: SDXL's embeds more than the prompt and the timestep, and of the
    others only 2.x projects linearly.
    """
    if unet.config.addition_embed_type == "text_time":
        return "xl"
    return "v2" if unet.config.use_linear_projection else "v1"


def family_of(pipeline: Any) -> Family:
    """The family of a pipeline that is loaded."""
    return FAMILIES[architecture_of(pipeline.unet)]


def family_named(name_of_class: str) -> Family:
    """The first family of that pipeline class of diffusers; those of one class load alike.

    Raises:
        StopIteration: none has it.
    """
    return next(f for f in FAMILIES.values() if f.pipeline.__name__ == name_of_class)
