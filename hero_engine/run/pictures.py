"""PNG files of pictures, and the text in them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hero_engine.run.folder import write_complete


def save_picture(
    path: Path, picture: NDArray[np.uint8], text: Mapping[str, str] | None = None
) -> None:
    """Writes uint8 [H, W, 3] as PNG with `text` in it; the file appears only when it is whole."""
    info = PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    image = Image.fromarray(picture)
    write_complete(path, lambda temporary: image.save(temporary, format="PNG", pnginfo=info))


def open_picture(path: Path) -> Image.Image:
    """The picture of a PNG file, in RGB.

    Raises:
        OSError: the file is missing or damaged.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            rgb: Image.Image = picture.convert("RGB")
            return rgb
    except (SyntaxError, ValueError) as error:  # also Pillow's words for damage
        raise OSError(f"{path}: {error}") from error


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The same as an array, [H, W, 3].

    Raises:
        OSError: the file is missing or damaged.
    """
    return np.asarray(open_picture(path))


def png_text(settings: Mapping[str, object], sampler: str) -> dict[str, str]:
    """A picture's settings as PNG text: JSON under `hero_tui`, and under `parameters` as A1111
    writes them, with its name for the `sampler`.
    """
    fields = {
        "Steps": settings["steps"],
        "Sampler": sampler,
        "CFG scale": settings["guidance"],
        "Seed": settings["seed"],
        "Size": f"{settings['width']}x{settings['height']}",
        "Model": settings["model"],
        "Run": settings["run"],
        "Round": settings["round"],
        "Noise": settings["noise"],
        "Number": settings["number"],
        "Version": f"hero-tui {settings['hero_tui']}",
    }
    lines = [" ".join(str(settings["prompt"]).split())]
    if settings["negative_prompt"]:
        lines.append("Negative prompt: " + " ".join(str(settings["negative_prompt"]).split()))
    lines.append(", ".join(f"{key}: {_field(value)}" for key, value in fields.items()))
    return {
        "parameters": "\n".join(lines),
        "hero_tui": json.dumps(settings, ensure_ascii=False),
    }


def _field(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(',:"\n') else text
