"""The size of a model's pictures, by its settings, before any weight is read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hero_engine.errors import InputError
from hero_engine.run.modelfiles import INDEX, V2_CONTEXT, find_source, read_single_file
from hero_engine.run.task import Task

USUAL_SIDE = 1024
"""Pixels, of models whose denoiser was made for no size: what their pipelines draw by default."""


def picture_size(task: Task) -> tuple[int, int]:
    """Width and height in pixels. Of a name on the hub, three small files are fetched if need be.

    Raises:
        InputError: it cannot be known before the model is here.
    """
    source = find_source(task.model)
    if not source.is_file():
        return _of_pipeline(task.model, task.revision)
    if task.config is not None:
        return _of_pipeline(task.config, None)
    single = read_single_file(source)
    # As diffusers' loader of single files takes them.
    if single.pipeline == "StableDiffusionXLPipeline":
        return 1024, 1024
    return (768, 768) if single.context == V2_CONTEXT else (512, 512)


def _of_pipeline(model: str, revision: str | None) -> tuple[int, int]:
    source = find_source(model)
    try:
        file = _in_folder(source) if source.is_dir() else _on_hub(model, revision)
        denoiser = "transformer" if _read(file(INDEX)).get("transformer") else "unet"
        return _size(*(_read(file(f"{part}/config.json")) for part in (denoiser, "vae")))
    except Exception as error:  # of whichever library speaks HTTP for the hub's, too
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"--start-from: the size of the pictures of {model} is not known before its "
            f"settings are here ({said}); fetch it (`hf download {model}`), or "
            "name its folder"
        ) from None


def _in_folder(folder: Path) -> Callable[[str], Path]:
    return folder.joinpath


def _on_hub(model: str, revision: str | None) -> Callable[[str], Path]:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    def file(name: str) -> Path:
        # What is here is not asked after first, which takes long where there is no network.
        here = try_to_load_from_cache(model, name, revision=revision)
        return Path(
            here if isinstance(here, str) else hf_hub_download(model, name, revision=revision)
        )

    return file


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def _size(denoiser: Mapping[str, Any], vae: Mapping[str, Any]) -> tuple[int, int]:
    latent = denoiser.get("sample_size")
    if latent is None:
        return USUAL_SIDE, USUAL_SIDE
    height, width = latent if isinstance(latent, list) else (latent, latent)
    scale = 2 ** (len(vae["block_out_channels"]) - 1)
    return int(width) * scale, int(height) * scale
