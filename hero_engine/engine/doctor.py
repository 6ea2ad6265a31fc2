"""What the engine would find here: processor or GPU, precision, memory, disk and the model."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator
from huggingface_hub import constants

from hero_engine.cartoons import is_embedded
from hero_engine.errors import InputError
from hero_engine.model.diffusion import choose_dtype
from hero_engine.model.pretrained import explained, find_pipeline
from hero_engine.run.modelfiles import check_local_model, find_source, read_header

GB = 1e9


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
        check_local_model(model)
        if source.is_file():
            return "a single file", "", _parameters([source]), 0
        found = find_pipeline(model, None, None)
    except (OSError, ValueError) as error:
        return "cannot be read", f"Model {model}: {explained(error, model, None)}.", 0, 0
    except InputError as error:
        said = str(error)
        return "cannot be used", f"{said[0].upper()}{said[1:]}.", 0, 0
    name = found.family.pipeline.__name__
    name += f", variant {found.variant}" if found.variant else ""
    weights = [file for part in found.parts for file in found.weights(part)]
    missing = [file for file in weights if not (found.folder / file).is_file()]
    if missing:
        size = sum(found.sizes[file] for file in missing)
        return f"{name}, {size / GB:.1f} GB to fetch from the hub", "", 0, size
    where = "in its folder" if source.is_dir() else "in the cache"
    return f"{name}, {where}", "", _parameters([found.folder / file for file in weights]), 0


def _parameters(files: Sequence[Path]) -> int:
    return sum(prod(shape) for file in files for shape in read_header(file).shapes.values())
