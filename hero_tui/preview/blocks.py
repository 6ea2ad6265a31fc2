"""Pictures as text: half-blocks, two pixels a cell; or only a number, where pictures are off."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.segment import Segment
from rich.text import Text as RichText
from textual.renderables.digits import Digits
from textual.strip import Strip

from hero_tui.preview.drawing import Strips, Text, in_the_middle
from hero_tui.preview.scaling import fit

BYTES_A_CELL = 40
"""Of a half-block with both its colours as numbers; the most that a cell takes."""


def half_blocks(path: Path, columns: int, rows: int) -> Text:
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
    lines = [line.render(console) for line in RichText.from_ansi(ansi, end="").split("\n")]
    return Text(in_the_middle(lines, size[0], columns, rows), BYTES_A_CELL * size[0])


@cache
def _encoder() -> tuple[Any, Console]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "It seems this process is not running within a terminal")
        import term_image

        # Its queries read the terminal's replies from under Textual, as key presses.
        term_image.disable_queries()
        from term_image.image import BlockImage
    return BlockImage, Console(color_system="truecolor", force_terminal=True, width=10_000)


def number_only(path: Path, columns: int, rows: int) -> Text:
    """The number of the picture at `path` (its file's name), large where there is room."""
    number = path.stem.lstrip("0") or "0"
    console = Console(color_system=None, width=3 * len(number))
    lines = [
        "".join(segment.text for segment in line)
        for line in console.render_lines(Digits(number), pad=False)
    ]
    if rows < len(lines) + 2 or columns < max(map(len, lines)):
        lines = [number]
    top = (rows - len(lines)) // 2
    blank = [""] * rows
    blank[top : top + len(lines)] = lines
    return Text(_centred(blank, columns), columns)


def _centred(lines: list[str], columns: int) -> Strips:
    return tuple(Strip([Segment(line[:columns].center(columns))], columns) for line in lines)
