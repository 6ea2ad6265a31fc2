"""Reading a pretrained Stable Diffusion pipeline (1.x, 2.x or XL) with diffusers' own loaders.

A model is a folder, a name on the Hugging Face hub, or a single .safetensors file; the embedded
model is a folder like any other. Weights are safetensors only, and no code of a model is run.
"""

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from hero_engine.cartoons import WEIGHTS, is_embedded
from hero_engine.errors import EngineError, InputError
from hero_engine.model.family import FAMILIES, family_named, family_of
from hero_engine.model.memory import is_shortage
from hero_engine.run.task import Task

INDEX = "model_index.json"
EXPECTED = "expected a Stable Diffusion 1.x, 2.x or XL model that draws from text alone"
XL_ONLY = "conditioner.embedders.1.model.ln_final.weight"
"""A tensor that of all single files only SDXL's have: of its second text encoder."""

V_PREDICTION, ZERO_SNR = "v_pred", "ztsnr"
"""Empty tensors by which a single file of SDXL says that it is no epsilon model, and trained to
zero terminal SNR (as ComfyUI reads them)."""


@dataclass(frozen=True)
class ModelIndex:
    """A pipeline's model_index.json: the folder that it is in, and the class that it names."""

    folder: Path
    name_of_class: str


def find_source(model: str) -> Path:
    """Where `model` is, if it is a folder or a file; else the path of that name is not there."""
    return WEIGHTS if is_embedded(model) else Path(model)


def model_index(model: str, revision: str | None) -> ModelIndex:
    """The index of a pipeline, fetched if it has to be.

    Raises:
        OSError, ValueError: it cannot be read, or names what cannot be taught; `explained` says so.
    """
    folder = find_source(model)
    if folder.is_dir():
        index = folder / INDEX
    else:
        index = Path(hf_hub_download(model, INDEX, revision=revision))
    name = json.loads(index.read_text("utf-8")).get("_class_name")
    if family_named(str(name)) is None:
        raise ValueError(f"it is a {name}; {EXPECTED}")
    return ModelIndex(index.parent, name)


def load_pipeline(task: Task, dtype: torch.dtype) -> Any:
    """The task's pipeline on the CPU, with weights of `dtype`.

    SDXL's VAE stays float32 where its configuration says that it overflows in half precision.

    Raises:
        InputError: the model cannot be found or read, or is of another architecture.
        EngineError: there is no memory or disk left for it.
    """
    source = find_source(task.model)
    # Their bars would fill the engine's log; the record shows progress.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        if source.is_file():
            pipeline = _from_single_file(source, task.config, dtype)
        else:
            pipeline = _from_pretrained(task, dtype)
    except (
        OSError, ValueError, TypeError, AttributeError, KeyError, RuntimeError, MemoryError,
        SafetensorError,
    ) as error:  # fmt: skip
        if is_shortage(error):
            raise EngineError(
                f"model {task.model}: there is not enough memory to load it; close other programs, "
                "or take a smaller model or `precision: bf16`"
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EngineError(
                f"model {task.model}: the disk is full; make room, or set HF_HOME to a folder on a "
                "larger disk, then continue the run"
            ) from error
        raise InputError(
            f"model {task.model}: {explained(error, task.model, task.revision)}"
        ) from error
    _check_architecture(pipeline, task.model)
    if not family_of(pipeline).half_vae and not pipeline.vae.config.force_upcast:
        pipeline.vae.to(dtype)
    return pipeline


def _from_pretrained(task: Task, dtype: torch.dtype) -> Any:
    family = family_named(model_index(task.model, task.revision).name_of_class)
    assert family is not None, "the index was checked"
    source = find_source(task.model)
    local = source.is_dir()
    return family.pipeline.from_pretrained(
        str(source),
        revision=None if local else task.revision,
        variant=task.variant,
        dtype=dtype if family.half_vae else {"vae": torch.float32, "default": dtype},
        use_safetensors=True,
        local_files_only=local,
        **family.left_out,
    )


def _from_single_file(source: Path, config: str | None, dtype: torch.dtype) -> Any:
    if source.suffix != ".safetensors":
        raise ValueError(
            "expected a .safetensors file; other checkpoints can run code when they are read"
        )
    with safe_open(source, framework="pt") as file:
        names = set(file.keys())
    family = FAMILIES["xl" if XL_ONLY in names else "v1"]
    pipeline = family.pipeline.from_single_file(
        str(source), config=config, dtype=dtype, **family.left_out
    )
    if not family.half_vae and pipeline.vae.config.force_upcast and dtype != torch.float32:
        vae = type(pipeline.vae).from_single_file(
            str(source), config=config, subfolder="vae", dtype=torch.float32
        )
        pipeline.register_modules(vae=vae)
    if V_PREDICTION in names:
        # diffusers takes SDXL's own, which predicts epsilon.
        changes: dict[str, Any] = {"prediction_type": "v_prediction"}
        if ZERO_SNR in names:
            changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        pipeline.register_modules(
            scheduler=DDIMScheduler.from_config(
                pipeline.scheduler.config, clip_sample=False, **changes
            )
        )
    return pipeline


def explained(error: Exception, model: str, revision: str | None) -> str:
    """What is the matter with a model that could not be read, and what to do about it."""
    page = f"https://huggingface.co/{model}"
    if isinstance(error, LocalEntryNotFoundError | HfHubHTTPError) and Path(model).is_file():
        return (
            "a single file takes its settings and tokenizers from the Hugging Face hub, which "
            f"cannot be read from here ({_first_line(error)}); name a pipeline folder of its "
            "architecture with --set config=FOLDER"
        )
    match error:
        case GatedRepoError():
            return (
                f"it is gated: accept its terms at {page}, then log in with `hf auth login` "
                "or set HF_TOKEN"
            )
        case RevisionNotFoundError():
            return f"it has no revision {revision or 'main'}; {page} lists its branches and tags"
        case RepositoryNotFoundError():
            return (
                "the hub has no such model, or it is private; check the name (owner/name), or log "
                "in with `hf auth login`"
            )
        case LocalEntryNotFoundError():
            return (
                "it is not in the cache of this machine, and the Hugging Face hub cannot be "
                f"reached from here; fetch it where it can (`hf download {model}`) and give the "
                "folder as --model, or learn the ropes with --model embedded"
            )
        case EntryNotFoundError() if INDEX in str(error):
            return f"it is not a pipeline of diffusers' format; {EXPECTED}"
        case HFValidationError():
            return (
                "there is no such file or folder, and it is no name on the Hugging Face hub "
                "(owner/name)"
            )
        case FileNotFoundError() if str(error.filename).endswith(INDEX):
            return f"the folder has no {INDEX}; {EXPECTED}"
        case HfHubHTTPError():
            return f"the Hugging Face hub answered: {_first_line(error)}; try again later"
    return f"cannot be loaded: {_first_line(error)}; {EXPECTED}, with safetensors weights"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _check_architecture(pipeline: Any, model: str) -> None:
    """Raises InputError for a model that has the class's name but not its inputs."""
    unet, vae = pipeline.unet.config, pipeline.vae.config
    wrong = ""
    if unet.in_channels != vae.latent_channels:
        wrong = f"its UNet takes {unet.in_channels} channels, as those for inpainting do"
    elif unet.time_cond_proj_dim is not None:
        wrong = "its guidance is distilled into its UNet (as in LCM): it has no guidance to set"
    elif pipeline.text_encoder is None:
        wrong = "it has only a second text encoder, as SDXL's refiner"
    elif DDIMScheduler not in pipeline.scheduler.compatibles:
        wrong = f"its {type(pipeline.scheduler).__name__} cannot be exchanged for DDIM"
    elif pipeline.scheduler.config.prediction_type not in ("epsilon", "v_prediction"):
        wrong = f"it predicts {pipeline.scheduler.config.prediction_type}"
    if wrong:
        raise InputError(f"model {model}: {wrong}; {EXPECTED}")
