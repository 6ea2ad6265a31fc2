"""A LoRA's files: the engine's own in a checkpoint, and the two that other programs load.

A checkpoint says what model its LoRA is for, so the other files are made from it alone.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from diffusers import DDIMScheduler
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.model.family import (
    FAMILIES,
    Architecture,
    architecture_of,
    family_of,
    picture_size,
)
from hero_engine.model.schedule import PredictionType
from hero_engine.model.tensorfile import save_tensors

_BLOCK = re.compile(
    r"lora_unet_((?P<part>down|up)_blocks_(?P<block>\d+)|mid_block)_attentions_(?P<layer>\d+)_"
    r"(?=transformer_blocks_\d+_attn[12]_to_(q|k|v|out_0)\.)"
)
_DOWN_LAYER = re.compile(r"down_blocks\.\d+\.attentions\.(\d+)\.")


@dataclass(frozen=True)
class LoraBase:
    """The model that a LoRA changes, as far as its files tell.

    Attributes:
        width: of its pictures, in pixels, as `height`.
        layers: of its UNet's blocks on the way down, a number each; up, each has one more. () for a
            transformer.
        zero_snr, spacing: `rescale_betas_zero_snr` and `timestep_spacing` of the DDIM that the run
            samples with; spacing is None in checkpoints of before they were kept.
    """

    architecture: Architecture
    prediction_type: PredictionType
    width: int
    height: int
    layers: tuple[int, ...] = (2, 2, 2, 2)
    zero_snr: bool = False
    spacing: str | None = None

    @classmethod
    def of(cls, pipeline: Any) -> "LoraBase":
        """Of a pipeline that is loaded."""
        architecture, (height, width) = architecture_of(pipeline), picture_size(pipeline)
        if family_of(pipeline).denoiser != "unet":
            return cls(architecture, "flow", width, height, ())
        unet, ddim = pipeline.unet, DDIMScheduler.from_config(pipeline.scheduler.config).config
        layers, blocks = unet.config.layers_per_block, len(unet.config.down_block_types)
        layers = tuple(layers) if isinstance(layers, list | tuple) else (layers,) * blocks
        return cls(
            architecture, ddim.prediction_type, width, height, layers,
            ddim.rescale_betas_zero_snr, ddim.timestep_spacing,
        )  # fmt: skip


def save_checkpoint(path: Path, lora: Mapping[str, Tensor], base: LoraBase) -> None:
    """Writes the UNet's parameters by peft's names, and what they belong to."""
    tensors = {name: tensor.detach().cpu() for name, tensor in lora.items()}
    save_tensors(tensors, path, {"base_model": json.dumps(asdict(base))})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], LoraBase]:
    """Reads what `save_checkpoint` wrote.

    Raises:
        EngineError: the file is missing or damaged, or was written by an earlier version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {})["base_model"])
        tensors = load_file(path)
        layers = said.pop("layers", None) or _layers_by_names(tensors)
        return tensors, LoraBase(**said, layers=tuple(layers))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        reason = "it does not say what model it is for" if isinstance(error, KeyError) else error
        raise EngineError(
            f"{path}: the LoRA cannot be read: {reason}; restore the folder from a copy, or start "
            "again and replay the labels (`hero-tui labels`)"
        ) from error


def peft_state_dict(lora: Mapping[str, Tensor], adapter: str = "default") -> dict[str, Tensor]:
    """The UNet's LoRA parameters without the adapter's name, as peft saves them."""
    return {name.replace(f".{adapter}.", "."): tensor for name, tensor in lora.items()}


def diffusers_state_dict(lora: Mapping[str, Tensor], base: LoraBase) -> dict[str, Tensor]:
    """What `load_lora_weights` of a diffusers pipeline takes.

    Args:
        lora: of `peft_state_dict`.
    """
    denoiser = FAMILIES[base.architecture].denoiser
    # For a UNet, the names of before peft; transformers have had peft's from the beginning.
    converted = convert_state_dict_to_diffusers(dict(lora)) if denoiser == "unet" else lora
    return {f"{denoiser}.{name}": tensor.contiguous() for name, tensor in converted.items()}


def _layers_by_names(names: Iterable[str]) -> tuple[int, ...]:
    """For a checkpoint that does not say: as many in each block as the fullest has attentions."""
    most = max((int(n) for name in names for n in _DOWN_LAYER.findall(name)), default=0) + 1
    return (most,) * 4


def kohya_state_dict(lora: Mapping[str, Tensor], base: LoraBase) -> dict[str, Tensor]:
    """What ComfyUI, A1111 and Forge load; for every layer an `.alpha`, which equals its rank.

    Names are those of sd-scripts' own LoRAs: diffusers' for 1.x and 2.x, and for SDXL those of
    the original UNet (`input_blocks_4_1`), which each of the three, and diffusers, maps to its own.
    Of transformers ComfyUI knows diffusers' own names (comfy/lora.py), and no alpha is the rank.

    Args:
        lora: of `peft_state_dict`.

    Raises:
        ValueError: by no name would each of the layers be found.
    """
    if FAMILIES[base.architecture].names == "diffusers":
        return diffusers_state_dict(lora, base)
    converted = convert_state_dict_to_kohya({f"unet.{name}": t for name, t in lora.items()})
    if FAMILIES[base.architecture].names == "original":
        converted = {_original_name(name, base.layers): t for name, t in converted.items()}
    elif len(set(base.layers)) > 1:
        # ComfyUI counts on as many layers in each block, and would put some of them elsewhere.
        counts = ", ".join(map(str, base.layers))
        raise ValueError(f"its UNet's blocks have {counts} layers, expected as many in each")
    return {name: tensor.contiguous() for name, tensor in converted.items()}


def _original_name(name: str, layers: Sequence[int]) -> str:
    """The name by the original UNet, which numbers its layers throughout: input_blocks_0 is the
    first convolution, then come a block's layers and its downsampler; up, one layer more a block.
    """
    found = _BLOCK.match(name)
    if found is None or (found["part"] is None and found["layer"] != "0"):
        raise ValueError(f"the original UNet has no place for {name}")
    if found["part"] is None:
        place = "middle_block_1"
    else:
        block, layer = int(found["block"]), int(found["layer"])
        before = layers if found["part"] == "down" else tuple(reversed(layers))
        number = sum(count + 1 for count in before[:block]) + layer
        down = found["part"] == "down"
        place = f"input_blocks_{1 + number}_1" if down else f"output_blocks_{number}_1"
    return f"lora_unet_{place}_{name[found.end() :]}"


def kohya_metadata(
    base: LoraBase, rank: int, *, name: str, title: str, description: str, trigger: str, date: str,
    model: str, extra: Mapping[str, str],
) -> dict[str, str]:  # fmt: skip
    """The header of a kohya-format file.

    Keys are ModelSpec 1.0.0's (github.com/Stability-AI/ModelSpec) and, beginning with `ss_`, those
    of sd-scripts that loaders read: A1111 takes the architecture from `ss_base_model_version` and
    `ss_v2`, and a LoRA's name in prompts from `ss_output_name`.

    Args:
        rank: of the LoRA, and its alpha.
        name: of the file, without its ending.
        date: ISO 8601.
        model: the base model's name.
        extra: further `ss_` keys.
    """
    family, resolution = FAMILIES[base.architecture], f"{base.width}x{base.height}"
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": family.modelspec[base.prediction_type] + "/lora",
        # Whose names the tensors have.
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models"
        if family.names == "original"
        else "diffusers",
        "modelspec.title": title,
        "modelspec.description": description,
        "modelspec.trigger_phrase": trigger,
        "modelspec.date": date,
        "modelspec.resolution": resolution,
        "modelspec.prediction_type": base.prediction_type.removesuffix("_prediction"),
        "ss_base_model_version": family.sd_scripts[base.prediction_type],
        "ss_v2": str(base.architecture == "v2"),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
        "ss_output_name": name,
        "ss_sd_model_name": model,
        "ss_resolution": f"({base.width}, {base.height})",
        **extra,
    }


def serialise(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file, the same bytes for the same content.

    safetensors writes metadata of several keys in an order that changes from call to call, so the
    header is written again here: an 8-byte length (little-endian), JSON, padded with spaces to a
    multiple of 8. Added to the metadata is the SHA-256 of what follows the header, as ModelSpec
    (`hash_sha256`) and sd-scripts (`sshs_model_hash`) have it.
    """
    written = save(dict(tensors))
    end = 8 + int.from_bytes(written[:8], "little")
    header, data = json.loads(written[8:end]), written[end:]
    digest = hashlib.sha256(data).hexdigest()
    hashes = {"modelspec.hash_sha256": f"0x{digest}", "sshs_model_hash": digest}
    header = {"__metadata__": dict(sorted({**metadata, **hashes}.items())), **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, data])
