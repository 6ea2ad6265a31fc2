"""Pictures small enough that a page of all of a run's can be sent by mail."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import isqrt
from pathlib import Path

from PIL import Image

from hero_engine.run.pictures import open_picture

MOST_BYTES = 14_000_000
"""Of all of a page's pictures together; what is around them takes less than a megabyte."""
BYTES_PER_PIXEL = 0.95
"""Of pure noise as WebP of `QUALITY`, in base64: what draws least well. A photo takes a third."""
QUALITY = 80
LEAST_SIDE, MOST_SIDE = 32, 192


@dataclass(frozen=True)
class Thumbnail:
    """A picture of a page; `data` is None if it is left out, and `problem` says why."""

    path: Path
    data: str | None
    width: int = 0
    height: int = 0
    problem: str = ""


def side_for(pictures: int) -> int:
    """The longest side, in pixels, with which so many fit into `MOST_BYTES`, whatever they show."""
    side = isqrt(int(MOST_BYTES / BYTES_PER_PIXEL / max(1, pictures)))
    return max(LEAST_SIDE, min(MOST_SIDE, side - side % 8))


def thumbnails(paths: Sequence[Path]) -> dict[Path, Thumbnail]:
    """Each picture, as large as so many can be; one that cannot be read is left out."""
    one = partial(thumbnail, side=side_for(len(paths)))
    # Reading, scaling and encoding let other threads work.
    with ThreadPoolExecutor() as threads:
        return dict(zip(paths, threads.map(one, paths), strict=True))


def thumbnail(path: Path, side: int) -> Thumbnail:
    """A PNG file as a data: URL, of at most `side` pixels; smaller ones keep their size."""
    try:
        picture = open_picture(path)
    except FileNotFoundError:
        return Thumbnail(path, None, problem="it is missing")
    except Exception:
        # Damage shows as nearly any exception of Pillow's.
        return Thumbnail(path, None, problem="it is damaged or cannot be read")
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    text = base64.b64encode(file.getvalue()).decode("ascii")
    return Thumbnail(path, f"data:image/webp;base64,{text}", picture.width, picture.height)
