"""Turns a picture file into terminal cells: half-blocks, two pixels a cell, at any size."""

import asyncio
import warnings
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip

Strips = tuple[Strip, ...]


def fit(picture: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """The largest (columns, rows) in a box of cells that keeps a picture's (width, height) ratio.

    A cell is two pixels high: a square picture in 80x20 cells is 40x20.
    """
    width, height = picture
    scale = min(columns / width, 2 * rows / height)
    return (
        min(columns, max(1, round(width * scale))),
        min(rows, max(1, round(height * scale / 2))),
    )


def half_blocks(path: Path, columns: int, rows: int) -> Strips:
    """The picture at `path`, as large as fits, in the middle of `columns` x `rows` blank cells.

    Raises:
        OSError: the file is missing or is not a whole PNG.
    """
    with Image.open(path, formats=["PNG"]) as picture:
        size = fit(picture.size, columns, rows)
        # Of Pillow's filters the one that is sharp at 18 pixels and puts no halo around edges.
        pixels = picture.convert("RGB").resize((size[0], 2 * size[1]), Image.Resampling.HAMMING)
    block_image, console = _encoder()
    ansi = format(block_image(pixels, width=size[0]), "1.1#")
    left, top = (columns - size[0]) // 2, (rows - size[1]) // 2
    margins = Segment(" " * left), Segment(" " * (columns - size[0] - left))
    lines = [Strip.blank(columns)] * rows
    for y, line in enumerate(Text.from_ansi(ansi, end="").split("\n"), start=top):
        lines[y] = Strip([margins[0], *line.render(console), margins[1]], columns)
    return tuple(lines)


@cache
def _encoder() -> tuple[Any, Console]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "It seems this process is not running within a terminal")
        import term_image

        # Its queries read the terminal's replies from under Textual, as key presses.
        term_image.disable_queries()
        from term_image.image import BlockImage
    return BlockImage, Console(color_system="truecolor", force_terminal=True, width=10_000)


class Pictures:
    """Encodes pictures one at a time in a thread of its own, and keeps the latest ones."""

    def __init__(self, keep: int = 512) -> None:
        self._keep = keep
        self._kept: OrderedDict[tuple[Path, int, int], Strips] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    def kept(self, path: Path, columns: int, rows: int) -> Strips | None:
        """The picture if it has been encoded at this size."""
        return self._kept.get((path, columns, rows))

    async def encoded(self, path: Path, columns: int, rows: int) -> Strips:
        """The picture, when its turn has come.

        Raises:
            OSError: see `half_blocks`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._encode, path, columns, rows)

    def prefetch(self, path: Path, columns: int, rows: int) -> None:
        """Encodes the picture ahead of its being shown."""
        if (path, columns, rows) not in self._kept:
            self._thread.submit(self._encode, path, columns, rows)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _encode(self, path: Path, columns: int, rows: int) -> Strips:
        key = (path, columns, rows)
        if key not in self._kept:
            self._kept[key] = half_blocks(path, columns, rows)
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        return self._kept[key]
