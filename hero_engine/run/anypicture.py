"""A picture file of any origin as what a model learns from, or why it cannot be that.

A file is looked into only as far as is needed to refuse it: its kind and length before it is read,
its size before it is decoded. Nothing is made up (a background behind glass, the edges that a crop
would lose, detail that a small picture does not have): what would need that is refused.
"""

import os
import stat
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
OTHER_SUFFIXES = (
    ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg",
    ".raw", ".dng",
)  # fmt: skip
"""Pictures, too, as far as a name tells; not read."""

MOST_BYTES = 256 << 20
MOST_PIXELS = 100_000_000
"""A picture of so many takes 300 MB when it is decoded; a small file can claim a million times
that."""

_KINDS = {
    "CMYK": "it is made for printing (CMYK); save it as RGB",
    "I": "it has more than 8 bits a channel; save it with 8",
    "F": "it has more than 8 bits a channel; save it with 8",
}


class Unfit(Exception):  # noqa: N818, it is a finding about the picture and no failure
    """Why a file cannot be learned from, in words for the person."""


def read_fitting(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture in `path` as RGB of `size` (width, height), uint8 [height, width, 3].

    It is turned as its EXIF says; a larger one of the same shape is scaled down by Lanczos.

    Raises:
        Unfit: why it cannot be taken.
    """
    data = _read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size that is refused below, in our own words
            image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Unfit(f"it has more than {MOST_PIXELS:,} pixels") from None
    except Exception:  # Pillow's readers raise whatever a damaged file leads them into
        raise Unfit("it is no PNG, JPEG or WebP file, or damaged") from None
    with image:
        if image.width * image.height > MOST_PIXELS:
            raise Unfit(
                f"it has {image.width}x{image.height} pixels, expected at most {MOST_PIXELS:,}"
            )
        if image.format in FORMATS and getattr(image, "is_animated", False):
            # Cameras put a preview into a JPEG file, which Pillow then calls MPO: that is no film.
            raise Unfit("it is animated; save one picture of it")
        try:
            image.load()  # type: ignore[no-untyped-call]
            ImageOps.exif_transpose(image, in_place=True)
        except Exception as error:
            raise Unfit(f"it is damaged: {' '.join(str(error).split())[:100]}") from None
        return np.asarray(_scaled(_as_rgb(image), size))


def _read(path: Path) -> bytes:
    try:
        # Not waiting: a pipe of that name would keep its reader for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Unfit("it is no regular file")
            if found.st_size > MOST_BYTES:
                raise Unfit(f"it has {found.st_size:,} bytes, expected at most {MOST_BYTES:,}")
            return file.read()
    except FileNotFoundError:
        broken = path.is_symlink()
        raise Unfit("it is a link to nothing" if broken else "there is no such file") from None
    except OSError as error:
        raise Unfit(f"it cannot be read: {error.strerror}") from None


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if np.asarray(rgba.getchannel("A")).min() < 255:
            raise Unfit("parts of it are transparent; put it on a background")
        return rgba.convert("RGB")
    if image.mode not in ("RGB", "L", "P", "1"):
        kind = image.mode.partition(";")[0]
        raise Unfit(_KINDS.get(kind, f"its mode is {image.mode}; save it as RGB"))
    return image.convert("RGB")


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scaled down to `size`; at most half a pixel of its height is lost or gained by that.

    Raises:
        Unfit: it is smaller, or of another shape.
    """
    (width, height), (to_width, to_height) = image.size, size
    if image.size == size:
        return image
    said = f"it is {width}x{height}, expected {to_width}x{to_height}"
    if width < to_width or height < to_height:
        raise Unfit(f"{said} or larger")
    if 2 * abs(height * to_width - to_height * width) > width:
        raise Unfit(f"{said}, or larger and of that shape; crop it")
    return image.resize(size, Image.Resampling.LANCZOS)
