"""What the engine would find here: processor or GPU, precision, memory, disk and the model."""

import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator
from huggingface_hub import HfApi, constants
from safetensors import SafetensorError, safe_open

from hero_engine.cartoons import is_embedded
from hero_engine.model.diffusion import choose_dtype
from hero_engine.model.pretrained import explained, find_source, model_index

GB = 1e9
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Findings:
    """`facts` as (label, value), and `advice`, a line for each thing to change."""

    facts: Sequence[tuple[str, str]]
    advice: Sequence[str]


def examine(model: str) -> Findings:
    """What there is for teaching `model`, and what stands in the way."""
    device = Accelerator().device
    dtype = choose_dtype("auto", device)
    precision = str(dtype).removeprefix("torch.")
    free, total = _memory(device)
    cache = Path(constants.HF_HUB_CACHE)
    disk = shutil.disk_usage(_existing(cache)).free
    found, problem, weights, to_fetch = _model(model)
    facts = [
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("device", _device_name(device)),
        ("memory", f"{free / GB:.1f} of {total / GB:.1f} GB free"),
        ("precision", precision),
        ("model cache", f"{cache}, {disk / GB:.0f} GB free on its disk"),
        ("model", f"{model}: {found}"),
    ]
    advice = [problem] if problem else []
    if device.type == "cpu" and not is_embedded(model):
        advice.append(
            "There is no GPU: a round of Stable Diffusion takes hours here. To learn the ropes, "
            "`hero-tui run black-cat --model embedded`."
        )
    if to_fetch > disk:
        advice.append(
            f"The model is {to_fetch / GB:.0f} GB to fetch, and {disk / GB:.0f} GB are free: make "
            "room, or set HF_HOME to a folder on a larger disk."
        )
    needed = weights * dtype.itemsize
    if needed > free:
        advice.append(
            f"Its weights take {needed / GB:.1f} GB as {precision}, and "
            f"{free / GB:.1f} GB of memory are free: close other programs, or take a smaller model."
        )
    return Findings(facts, advice)


def show(findings: Findings) -> None:
    """Prints the findings as `hero-tui doctor` prints its own."""
    width = max(len(label) for label, _ in findings.facts)
    for label, value in findings.facts:
        print(f"{label:<{width}}  {value}")
    print("\nTo change")
    for line in findings.advice or ["nothing"]:
        print(f"  {line}")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {torch.cuda.device_count()} in all"
    return f"{device.type}, {os.cpu_count()} cores" if device.type == "cpu" else device.type


def _memory(device: torch.device) -> tuple[int, int]:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _model(model: str) -> tuple[str, str, int, int]:
    """Where the model is, what is wrong with it, its parameters, and the bytes still to fetch."""
    source = find_source(model)
    try:
        if source.is_file():
            return "a single file", "", _parameters([source]), 0
        index = model_index(model, None)
        parts = PARTS if "XL" in index.name_of_class else PARTS[:3]
        there = [_weights(index.folder / part) for part in parts]
        if all(there):
            where = "in its folder" if source.is_dir() else "in the cache"
            files = list(itertools.chain.from_iterable(there))
            return f"{index.name_of_class}, {where}", "", _parameters(files), 0
        size = _size_on_hub(model)
    except (OSError, ValueError, SafetensorError) as error:
        return "cannot be read", f"Model {model}: {explained(error, model, None)}.", 0, 0
    return f"{index.name_of_class}, {size / GB:.1f} GB to fetch from the hub", "", 0, size


def _weights(part: Path) -> list[Path]:
    """The part's weights, of one variant: the plain ones, if they are there."""
    files = sorted(part.glob("*.safetensors"))
    return [file for file in files if file.name.count(".") == 1] or files


def _parameters(files: Sequence[Path]) -> int:
    count = 0
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            # A safe_open is no mapping.
            count += sum(prod(tensors.get_slice(n).get_shape()) for n in tensors.keys())  # noqa: SIM118
    return count


def _size_on_hub(model: str) -> int:
    files = HfApi().model_info(model, files_metadata=True).siblings or []
    return sum(
        file.size or 0
        for file in files
        if file.rfilename.startswith(tuple(f"{part}/" for part in PARTS))
        and file.rfilename.endswith("model.safetensors")
        and file.rfilename.count("/") == 1
    )
