"""Half-blocks, two pixels a cell, by term-image: its encoder for terminals that can do no more."""

import warnings
from functools import cache
from typing import Any

from PIL import Image
from rich.console import Console
from rich.segment import Segment
from rich.text import Text


def lines_of(pixels: Image.Image) -> list[list[Segment]]:
    """The lines that show `pixels`, a cell for each two that are one above the other."""
    block_image, console = _encoder()
    ansi = format(block_image(pixels, width=pixels.width), "1.1#")
    return [list(line.render(console)) for line in Text.from_ansi(ansi, end="").split("\n")]


@cache
def _encoder() -> tuple[Any, Console]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "It seems this process is not running within a terminal")
        import term_image

        # Its queries read the terminal's replies from under Textual, as key presses.
        term_image.disable_queries()
        from term_image.image import BlockImage
    return BlockImage, Console(color_system="truecolor", force_terminal=True, width=10_000)
