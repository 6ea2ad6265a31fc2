"""A model on this machine, told by the names in its files, before any weight is read.

`run` asks before it makes a run, `doctor` asks, and so does the engine: what one of them refuses,
all of them refuse, in the same words.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from hero_engine.cartoons import WEIGHTS, is_embedded
from hero_engine.errors import InputError

INDEX = "model_index.json"
PIPELINES = (
    *("StableDiffusionPipeline", "StableDiffusionXLPipeline"),
    *("StableDiffusion3Pipeline", "ZImagePipeline", "Flux2KleinPipeline"),
)
"""What can be taught, by the name in a model_index.json (`model.family` has the rest)."""

EXPECTED = (
    "expected a Stable Diffusion (1.x, 2.x, XL, 3.x), FLUX.2 klein base or Z-Image model that "
    "draws from text alone"
)
WHOLE = "a whole checkpoint (UNet, VAE and text encoder), a pipeline folder, or a name on the hub"

PARTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
"""The parts of a pipeline that have weights and are used."""

SETTINGS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(PARTS, ("config.json",)),
    "scheduler": ("scheduler_config.json",),
    "tokenizer": ("tokenizer.json", "vocab.json"),
    "tokenizer_2": ("tokenizer.json", "vocab.json"),
    "tokenizer_3": ("tokenizer.json", "spiece.model"),
}
"""A file, of which a part has one at least, by the part."""

XL_ONLY = "conditioner.embedders.1.model.ln_final.weight"
"""A tensor that of all single files only SDXL's have: of its second text encoder."""

V_PREDICTION, ZERO_SNR = "v_pred", "ztsnr"
"""Empty tensors by which a single file of SDXL says that it is no epsilon model, and trained to
zero terminal SNR (as ComfyUI reads them)."""

V2_CONTEXT = 1024
"""The width of the text encoder of Stable Diffusion 2.x."""

_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_FIRST_LAYER = f"{_UNET}input_blocks.0.0.weight"
_TEXT = ("cond_stage_model.", "conditioner.embedders.")
_REFINER = "conditioner.embedders.0.model."
_ADAPTER = re.compile(r"lora_|\.lora\.|hada_w|lokr_w|\.oft_|\.dora_scale")
_CONTROL = re.compile(r"^(control_model\.|controlnet_)")
_TRANSFORMER = re.compile(r"(double_blocks|joint_blocks|transformer_blocks|layers)\.\d+\.")
_WEIGHTS = re.compile(
    r"(?P<part>\w+)/(diffusion_pytorch_model|model)(\.(?P<variant>\w+))?(-\d{5}-of-\d{5})?"
    r"(\.(?P<old_style>\w+))?\.safetensors"
)
_DISTILLED = re.compile(r"turbo|schnell|lightning|distill\w*", re.IGNORECASE)
"""Nothing but the name says of Z-Image and Stable Diffusion 3 which is which."""
_UNDONE = re.compile(r"(?<![a-z])(de|un)[-_]?(turbo|distill)\w*", re.IGNORECASE)
"""Made from such a model so that it can be taught."""
_CACHED = "models--"

_LFS = b"version https://git-lfs"
_MOST_HEADER = 100_000_000


@dataclass(frozen=True)
class Header:
    """Of a .safetensors file: the tensors' shapes by name, and what it says of itself."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class SingleFile:
    """A checkpoint in one file.

    Attributes:
        pipeline: the class of `PIPELINES` that it is.
        context: the width of the text that its UNet attends to.
        marks: those of `V_PREDICTION` and `ZERO_SNR` that it has.
        says_v: it says by a mark or by ModelSpec's metadata that it predicts v.
    """

    pipeline: str
    context: int
    marks: frozenset[str]
    says_v: bool


def find_source(model: str) -> Path:
    """Where `model` is, if it is a folder or a file; else the path of that name is not there."""
    return WEIGHTS if is_embedded(model) else Path(model)


def check_local_model(model: str, config: str | None = None, variant: str | None = None) -> None:
    """Whether a file or folder can be taught, as far as its names and headers tell.

    A name on the hub is not looked into. Arguments are a task's settings of these names.

    Raises:
        InputError: what it is, and what was expected.
    """
    source = find_source(model)
    try:
        try:
            source.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return  # a name on the hub, or of nothing
        if source.is_file():
            _check_single_file(source, config)
        elif source.is_dir():
            _check_folder(source, model, variant)
    except PermissionError as error:
        raise InputError(
            f"model {model}: {error.filename or source} belongs to somebody else, and may not be "
            "read: ask its owner for it (`chmod -R a+rX`), or make a copy of your own"
        ) from error
    except OSError as error:
        raise InputError(f"model {model}: cannot be read: {error.strerror or error}") from error


def read_index(folder: Path, model: str) -> Mapping[str, Any]:
    """A pipeline's model_index.json, of a class that can be taught.

    Args:
        model: the name that it is known by.

    Raises:
        ValueError: it cannot be understood, names another class, or a distilled model.
        OSError: it cannot be read.
    """
    index = json.loads((folder / INDEX).read_text("utf-8"))
    if not isinstance(index, dict):
        raise ValueError(f"its {INDEX} is not a mapping")
    name = index.get("_class_name")
    if name not in PIPELINES:
        raise ValueError(f"it is a {name}; {EXPECTED}")
    if index.get("is_distilled"):
        raise ValueError(
            "its steps and its guidance are distilled (klein without base), and what it was "
            "distilled to do is lost when it learns; take black-forest-labs/FLUX.2-klein-base-4B"
        )
    place = folder.resolve()
    # As the hub's cache has it: models--owner--name/snapshots/revision.
    names = [PurePath(model).name, place.name, *(p for p in place.parts if p.startswith(_CACHED))]
    distilled = list(filter(None, (_DISTILLED.search(_UNDONE.sub("", n)) for n in names)))
    if distilled and "transformer" in index:
        raise ValueError(
            f"it is distilled to few steps ('{distilled[0][0]}'), and what it was distilled to do "
            "is lost when it learns; take the base model that it was made from"
        )
    return index


def check_settings(index: Mapping[str, Any], files: Collection[str]) -> None:
    """Whether the parts that draw a picture have their settings: without, some would be made up.

    Raises:
        ValueError: names a part, and the file that it should have.
    """
    for part, expected in SETTINGS.items():
        if index.get(part) in (None, [None, None]):
            continue
        if not any(f"{part}/{name}" in files for name in expected):
            raise ValueError(f"its {part} has no {' or '.join(expected)}")


def used_parts(index: Mapping[str, Any]) -> list[str]:
    """Those of `PARTS` that the index says there are."""
    return [part for part in PARTS if index.get(part) not in (None, [None, None])]


def files_in(folder: Path) -> set[str]:
    """The files of a pipeline's folder, as 'part/file'."""
    return {f"{path.parent.name}/{path.name}" for path in folder.glob("*/*") if path.is_file()}


def choose_variant(parts: Iterable[str], files: Collection[str], wanted: str | None) -> str | None:
    """Which variant of the weight files to load: `wanted`; else none where each part has plain
    files, else the only one that there is.

    Args:
        files: of the pipeline, as 'part/file'.

    Raises:
        ValueError: a part has no weights as safetensors, or not of this variant, or there are
            several to choose from.
    """
    found: dict[str, set[str]] = {part: set() for part in parts}
    for file in files:
        match = _WEIGHTS.fullmatch(file)
        if match and match["part"] in found:
            found[match["part"]].add(match["variant"] or match["old_style"] or "")
    for part, variants in found.items():
        if not variants:
            other = sorted(f for f in files if f.startswith(f"{part}/") and f.endswith(".bin"))
            there = f", only {other[0]}" if other else ""
            raise ValueError(f"its {part} has no weights as .safetensors{there}")
    every = sorted(set.union(*found.values()) - {""})
    if wanted is not None and wanted not in every:
        there = f"there is {_or(every)}" if every else "leave `variant` out"
        raise ValueError(f"it has no files of the variant '{wanted}'; {there}")
    missing = {part: v for part, v in found.items() if "" not in v and wanted not in v}
    if not missing:
        return wanted
    fitting = sorted(set.intersection(*missing.values()))
    if wanted is None and len(fitting) == 1:
        return fitting[0]
    part = next(iter(missing))
    if wanted is None and fitting:
        raise ValueError(f"its {part} is there as {_or(fitting)}; choose with --set variant=NAME")
    raise ValueError(
        f"its {part} is there only as {_or(sorted(missing[part]))}, another part is not; fetch the "
        "files of one variant for all of them"
    )


def weight_files(part: str, files: Iterable[str], variant: str | None) -> list[str]:
    """Those of `files` that are the part's weights: of the variant, else the plain ones."""
    matches = [match for file in files if (match := _WEIGHTS.fullmatch(file))]
    kinds: dict[str, list[str]] = {}
    for match in matches:
        if match["part"] == part:
            kinds.setdefault(match["variant"] or match["old_style"] or "", []).append(match[0])
    return sorted(kinds.get(variant or "") or kinds.get("") or [])


def read_header(path: Path) -> Header:
    """Reads no more of a .safetensors file than its header.

    Raises:
        InputError: it is no such file, or not all of it is there.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if size > 8 and length <= min(size - 8, _MOST_HEADER):
            text = file.read(length)
        else:
            text = b""
            first += file.read(len(_LFS))
    if first.startswith(_LFS):
        raise InputError(
            f"{path}: cannot be loaded: it is a pointer of Git LFS, not the file; fetch it with "
            "`git lfs pull`"
        )
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", None) or {}
        shapes = {name: tuple(tensor["shape"]) for name, tensor in header.items()}
        end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise InputError(
            f"{path}: cannot be loaded: it is no .safetensors file, or damaged; fetch it again"
        ) from None
    if 8 + length + end > size:
        raise InputError(
            f"{path}: cannot be loaded: {size:,} of its {8 + length + end:,} bytes are there; "
            "fetch it again"
        )
    return Header(shapes, metadata)


def read_single_file(path: Path) -> SingleFile:
    """What checkpoint a file is.

    Raises:
        InputError: it is none that can be taught; the message says what it is.
        OSError: it cannot be read.
    """
    if path.suffix != ".safetensors":
        raise InputError(
            f"model {path}: expected a .safetensors file; other checkpoints can run code when they "
            "are read"
        )
    header = read_header(path)
    problem = _why_no_checkpoint(header.shapes)
    if problem:
        raise InputError(f"model {path}: {problem}")
    said = header.metadata.get("modelspec.prediction_type", "")
    marks = frozenset({V_PREDICTION, ZERO_SNR} & header.shapes.keys())
    contexts = {
        shape[-1]
        for name, shape in header.shapes.items()
        if name.startswith(_UNET) and name.endswith("attn2.to_k.weight") and shape
    }
    return SingleFile(
        pipeline=PIPELINES[XL_ONLY in header.shapes],
        context=max(contexts, default=0),
        marks=marks,
        says_v=V_PREDICTION in marks or said.lower() in ("v", "v_prediction"),
    )


def _why_no_checkpoint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    def any_name(start: str) -> bool:
        return any(name.startswith(start) for name in shapes)

    if not any_name(_UNET):
        return f"it is {_what_it_is(shapes)}; expected {WHOLE}"
    if _FIRST_LAYER not in shapes:
        return f"it is a diffusion transformer, such as FLUX or Stable Diffusion 3; {EXPECTED}"
    channels = shapes[_FIRST_LAYER][1:2]
    if channels and channels[0] != 4:
        return f"its UNet takes {channels[0]} channels, as those for inpainting do; {EXPECTED}"
    if any_name(_REFINER):
        return f"it has only a second text encoder, as SDXL's refiner; {EXPECTED}"
    if not any(map(any_name, _TEXT)):
        return f"it is a checkpoint without a text encoder (CLIP); expected {WHOLE}"
    if any_name("conditioner.") and XL_ONLY not in shapes:
        return f"it is a checkpoint without SDXL's second text encoder; expected {WHOLE}"
    if not any_name(_VAE):
        return f"it is a checkpoint without a VAE; expected {WHOLE}"
    return ""


def _what_it_is(names: Collection[str]) -> str:
    def any_of(*starts: str) -> bool:
        return any(name.startswith(starts) for name in names)

    if any(map(_ADAPTER.search, names)):
        return "a LoRA or another adapter, which changes a model and is none"
    if any(map(_CONTROL.search, names)):
        return "a ControlNet"
    if any_of("down_blocks.", "input_blocks.") and any_of("time_embed"):
        return "a UNet alone"
    if any_of("decoder.", "encoder.down", _VAE):
        return "a VAE alone"
    if any_of("text_model.", "cond_stage_model.", "conditioner.", "transformer.resblocks."):
        return "a text encoder alone"
    if any(map(_TRANSFORMER.search, names)):
        return "a diffusion transformer, such as FLUX or Stable Diffusion 3"
    if len(names) <= 2:
        return "a textual inversion, or another file of few tensors"
    return "no checkpoint of Stable Diffusion"


def _check_single_file(path: Path, config: str | None) -> None:
    single = read_single_file(path)
    name_it = "name a pipeline folder or a name on the hub with --set config=FOLDER-OR-NAME"
    if config is None:
        if single.context == V2_CONTEXT and not single.says_v:
            raise InputError(
                f"model {path}: it is a Stable Diffusion 2.x model, and nothing in the file says "
                "whether it predicts epsilon (those for pictures of 512x512) or v (of 768x768); "
                f"{name_it} of a model of its kind"
            )
        return
    folder = Path(config)
    if not folder.is_dir():
        return
    try:
        pipeline = read_index(folder, config)["_class_name"]
        unet = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
        context = unet["cross_attention_dim"]
    except FileNotFoundError as error:
        raise InputError(f"config {config}: the folder has no {error.filename}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"config {config}: {error}") from None
    if pipeline != single.pipeline or (single.context and context != single.context):
        raise InputError(
            f"config {config}: it is of another architecture ({pipeline}, text of width {context}) "
            f"than {path} ({single.pipeline}, {single.context}); {name_it} of its own"
        )


def _check_folder(folder: Path, model: str, variant: str | None) -> None:
    if not (folder / INDEX).is_file():
        raise InputError(f"model {model}: {_why_no_pipeline(folder)}")
    try:
        index = read_index(folder, model)
        parts, files = used_parts(index), files_in(folder)
        check_settings(index, files)
        variant = choose_variant(parts, files, variant)
    except ValueError as error:
        raise InputError(f"model {model}: {error}") from None
    for part in parts:
        for file in weight_files(part, files, variant):
            read_header(folder / file)


def _why_no_pipeline(folder: Path) -> str:
    missing = f"the folder has no {INDEX}"
    inside = sorted(path.name for path in folder.glob("*.safetensors"))
    if (folder / "adapter_config.json").exists() or "pytorch_lora_weights.safetensors" in inside:
        return f"{missing}: it is a LoRA, which changes a model and is none; expected {WHOLE}"
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        name = config.get("_class_name") or config["architectures"][0]
        return f"{missing}: it is a {name} alone; expected {WHOLE}"
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    if inside:
        return f"{missing}; give a file in it, such as {folder / inside[0]}, or {WHOLE}"
    return f"{missing}; {EXPECTED}"


def _or(names: list[str]) -> str:
    return " or ".join(name or "plain files" for name in names)
