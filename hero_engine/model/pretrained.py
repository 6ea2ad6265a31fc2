"""Reading a pretrained pipeline with diffusers' own loaders.

A model is a folder, a name on the Hugging Face hub, or a single .safetensors file; the embedded
model is a folder like any other. Weights are safetensors only, and no code of a model is run.
"""

import errno
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from hero_engine.errors import EngineError, InputError
from hero_engine.model.family import Family, family_named, family_of
from hero_engine.model.memory import is_shortage
from hero_engine.run.modelfiles import (
    EXPECTED,
    INDEX,
    V_PREDICTION,
    ZERO_SNR,
    check_local_model,
    check_settings,
    choose_variant,
    files_in,
    find_source,
    read_index,
    read_single_file,
    used_parts,
    weight_files,
)
from hero_engine.run.task import Task

log = logging.getLogger(__name__)

_UNREACHABLE = (
    "the Hugging Face hub cannot be reached from here (or HF_HUB_OFFLINE is set); fetch it where "
    "it can (`hf download {model}`) and give the folder as --model, or learn the ropes with "
    "--model embedded"
)


@dataclass(frozen=True)
class PipelineFiles:
    """Where a pipeline's files are, before they are read.

    Attributes:
        folder: that its model_index.json is in: its own, or of the hub's cache.
        family: by the class that the index names.
        parts: of `modelfiles.PARTS`, which it has.
        absent: parts that its index names, and says are not there.
        sizes: bytes of its files, as 'part/file': of all there are, also those still on the hub.
        variant: of its weight files.
    """

    folder: Path
    family: Family
    parts: Sequence[str]
    absent: Sequence[str]
    sizes: Mapping[str, int]
    variant: str | None

    def weights(self, part: str) -> list[str]:
        """The part's weight files, as 'part/file'."""
        return weight_files(part, self.sizes, self.variant)


def find_pipeline(model: str, revision: str | None, variant: str | None) -> PipelineFiles:
    """The files of a pipeline folder, or of a name on the hub, whose index is fetched if need be.

    Args:
        variant: wanted, of the weight files; None: the plain ones, or the only one that there is.

    Raises:
        OSError, ValueError: it cannot be read, or names what cannot be taught; `explained` says so.
        InputError: not all of it is in the cache, and the hub cannot be reached.
    """
    source = find_source(model)
    local = source.is_dir()
    folder = source if local else Path(hf_hub_download(model, INDEX, revision=revision)).parent
    index = read_index(folder, model)
    on_hub = None if local else _sizes_on_hub(model, revision)
    sizes = on_hub or {file: (folder / file).stat().st_size for file in files_in(folder)}
    parts, family = used_parts(index), family_named(index["_class_name"])
    try:
        check_settings(index, sizes)
        chosen = choose_variant(parts, sizes, variant)
    except ValueError as error:
        if local or on_hub is not None:
            raise
        raise InputError(
            f"model {model}: {error} in the cache of this machine, and "
            f"{_UNREACHABLE.format(model=model)}"
        ) from error
    if chosen != variant:
        log.info(
            "model %s: its weights are there as '%s' only; that variant is taken", model, chosen
        )
    absent = [name for name, value in index.items() if value == [None, None]]
    return PipelineFiles(folder, family, parts, absent, sizes, chosen)


def variant_here(model: str, revision: str | None, variant: str | None) -> str | None:
    """The variant of the weight files that a run took, by what this machine has of the model.

    Nothing is asked of the hub. A single file has none.

    Args:
        variant: what the task says; it is the answer, too, where the model is no longer there.
    """
    source = find_source(model)
    if variant is not None or source.is_file():
        return variant
    try:
        index: object = source / INDEX
        if not source.is_dir():
            index = try_to_load_from_cache(model, INDEX, revision=revision)
        if not isinstance(index, str | Path):
            return None
        folder = Path(index).parent
        return choose_variant(used_parts(read_index(folder, model)), files_in(folder), None)
    except (OSError, ValueError):
        return None


def _sizes_on_hub(model: str, revision: str | None) -> dict[str, int] | None:
    try:
        files = HfApi().model_info(model, revision=revision, files_metadata=True).siblings or []
    except Exception as error:  # of whichever library speaks HTTP for the hub's
        log.info("model %s: the hub does not list its files: %s", model, _first_line(error))
        return None
    return {file.rfilename: file.size or 0 for file in files}


def load_pipeline(task: Task, dtype: torch.dtype) -> Any:
    """The task's pipeline on the CPU, with weights of `dtype`.

    SDXL's VAE stays float32 where its configuration says that it overflows in half precision.

    Raises:
        InputError: the model cannot be found or read, or is of another architecture.
        EngineError: there is no memory or disk left for it.
    """
    check_local_model(task.model, task.config, task.variant)
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
        OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, MemoryError,
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
            f"model {task.model}: {explained(error, task.model, task.revision, task.config)}"
        ) from error
    _check_architecture(pipeline, task.model)
    _limit_prompts(pipeline)
    if not family_of(pipeline).half_vae and not pipeline.vae.config.force_upcast:
        pipeline.vae.to(dtype)
    return pipeline


def _from_pretrained(task: Task, dtype: torch.dtype) -> Any:
    found = find_pipeline(task.model, task.revision, task.variant)
    family, local = found.family, find_source(task.model).is_dir()
    return family.pipeline.from_pretrained(
        str(found.folder) if local else task.model,
        revision=None if local else task.revision,
        variant=found.variant,
        dtype=dtype if family.half_vae else {"vae": torch.float32, "default": dtype},
        use_safetensors=True,
        local_files_only=local,
        **{**dict.fromkeys(found.absent), **family.left_out},
    )


def _from_single_file(source: Path, config: str | None, dtype: torch.dtype) -> Any:
    single = read_single_file(source)
    family = family_named(single.pipeline)
    pipeline = family.pipeline.from_single_file(
        str(source), config=config, dtype=dtype, **family.left_out
    )
    if not family.half_vae and pipeline.vae.config.force_upcast and dtype != torch.float32:
        vae = type(pipeline.vae).from_single_file(
            str(source), config=config, subfolder="vae", dtype=torch.float32
        )
        pipeline.register_modules(vae=vae)
    if V_PREDICTION in single.marks or (config is None and single.says_v):
        # diffusers takes the family's own, which predicts epsilon.
        changes: dict[str, Any] = {"prediction_type": "v_prediction"}
        if ZERO_SNR in single.marks:
            changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        pipeline.register_modules(
            scheduler=DDIMScheduler.from_config(
                pipeline.scheduler.config, clip_sample=False, **changes
            )
        )
    return pipeline


def explained(error: Exception, model: str, revision: str | None, config: str | None = None) -> str:
    """What is the matter with a model that could not be read, and what to do about it."""
    page = f"https://huggingface.co/{model}"
    hub_errors = LocalEntryNotFoundError | HfHubHTTPError | OfflineModeIsEnabled
    if isinstance(error, hub_errors) and Path(model).is_file():
        return (
            f"a single file takes its settings and tokenizers from {config or 'a model'} on the "
            "Hugging Face hub, which cannot be read from here; name a pipeline folder of its "
            "architecture with --set config=FOLDER"
        )
    if config is not None and not isinstance(error, hub_errors):
        return (
            f"cannot be loaded with config {config}, which may be of another architecture: "
            f"{_first_line(error)}; name a pipeline of its own with --set config=FOLDER-OR-NAME"
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
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            return (
                f"not all of it is in the cache of this machine, and "
                f"{_UNREACHABLE.format(model=model)}"
            )
        case EntryNotFoundError() if INDEX in str(error):
            return f"it is not a pipeline of diffusers' format; {EXPECTED}"
        case HFValidationError():
            return (
                "there is no such file or folder, and it is no name on the Hugging Face hub "
                "(owner/name)"
            )
        case HfHubHTTPError():
            return f"the Hugging Face hub answered: {_first_line(error)}; try again later"
    if isinstance(error.__cause__, hub_errors):
        return explained(error.__cause__, model, revision, config)
    return f"cannot be loaded: {_first_line(error)}; {EXPECTED}, with safetensors weights"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _check_architecture(pipeline: Any, model: str) -> None:
    """Raises InputError for a model that has the class's name but not its inputs."""
    wrong = family_of(pipeline).why_not(pipeline)
    if wrong:
        raise InputError(f"model {model}: {wrong}; {EXPECTED}")


def _limit_prompts(pipeline: Any) -> None:
    """Has each tokenizer cut at what its encoder reads, also where its own files set no limit."""
    for name in ("", "_2"):
        tokenizer, encoder = (
            getattr(pipeline, part + name, None) for part in ("tokenizer", "text_encoder")
        )
        if tokenizer is not None and encoder is not None:
            most = encoder.config.max_position_embeddings
            tokenizer.model_max_length = min(tokenizer.model_max_length, most)
