"""Pictures as text: each cell a character that fills some of its parts, and two colours.

Of all characters and pairs of colours, the ones that come nearest to the picture's pixels (least
squares over all patterns): half-blocks show two colours of two pixels, octants two of eight.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from hero_engine.run.pictures import open_picture
from hero_tui.preview import half_blocks
from hero_tui.preview.drawing import Text, in_the_middle
from hero_tui.preview.palette import Floats, Palette, palette
from hero_tui.preview.scaling import fit
from hero_tui.preview.symbols import SYMBOLS, Symbols
from hero_tui.preview.terminal import Colours, Mosaic

BYTES_A_CELL = 40
"""Of a character with both its colours as numbers; the most that a cell takes."""


def encode(path: Path, columns: int, rows: int, mosaic: Mosaic, colours: Colours) -> Text:
    """The picture at `path`, as large as fits, in the middle of `columns` x `rows` blank cells.

    Raises:
        OSError: the file is missing or is not a whole PNG.
    """
    symbols = SYMBOLS[mosaic]
    picture = open_picture(path)
    size = fit(picture.size, columns, rows)
    # Of Pillow's filters the one by which most pictures are judged as they are
    # (benchmarks/legibility.py).
    pixels = picture.resize(
        (size[0] * symbols.across, size[1] * symbols.down), Image.Resampling.LANCZOS
    )
    if mosaic == "blocks":
        lines = half_blocks.lines_of(pixels)
    else:
        parts = parts_of(np.asarray(pixels, np.float32), symbols)
        lines = _lines(parts, symbols, palette(colours))
    return Text(in_the_middle(lines, size[0], columns, rows), BYTES_A_CELL * size[0])


def parts_of(pixels: Floats, symbols: Symbols) -> Floats:
    """Pixels [height, width, 3] by cells, [rows, columns, parts, 3]."""
    height, width, _ = pixels.shape
    cells = pixels.reshape(height // symbols.down, symbols.down, -1, symbols.across, 3)
    parts = symbols.down * symbols.across
    return cells.swapaxes(1, 2).reshape(-1, width // symbols.across, parts, 3)


def best_cells(
    parts: Floats, patterns: NDArray[np.bool_], few: Palette | None
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """For each cell the pattern and the colours with the least squared error.

    Args:
        parts: colours of the cells' parts, [cells, parts, 3].
        patterns: which parts are filled, [patterns, parts].
        few: the colours to choose from, if not every colour can be shown.

    Returns:
        the numbers of the patterns, [cells]; the colours of the filled parts, [cells, 3]; those of
        the others.
    """
    # Sums of whole numbers below 2^24: exact, and therefore the same, whatever adds them up.
    filled = patterns.astype(np.float32)
    fore, back = filled @ parts, (1 - filled) @ parts
    of_fore, of_back = filled.sum(1)[:, None], (1 - filled).sum(1)[:, None]
    means = fore / np.maximum(of_fore, 1), back / np.maximum(of_back, 1)
    if few is None:
        errors = -(fore**2).sum(2, keepdims=True) / np.maximum(of_fore, 1)
        errors -= (back**2).sum(2, keepdims=True) / np.maximum(of_back, 1)
        written = means
    else:
        numbers = [few.nearest(mean) for mean in means]
        shown = [few.shown[number] for number in numbers]
        errors = sum(
            (parts_in * (colour * (colour - 2 * mean))).sum(2, keepdims=True)
            for parts_in, colour, mean in zip((of_fore, of_back), shown, means, strict=True)
        )
        written = few.written[numbers[0]], few.written[numbers[1]]
    best = errors[:, :, 0].argmin(1)
    each = np.arange(len(parts))
    return best, written[0][each, best], written[1][each, best]


def _lines(parts: Floats, symbols: Symbols, few: Palette | None) -> list[list[Segment]]:
    rows, columns = parts.shape[:2]
    cells = parts.reshape(rows * columns, -1, 3)
    best, *pair = best_cells(cells, symbols.patterns, few)
    fores, backs = (np.rint(colour).astype(int).tolist() for colour in pair)
    characters = list(symbols.characters.values())
    segments = [
        _segment(characters[number], fore, back)
        for number, fore, back in zip(best.tolist(), fores, backs, strict=True)
    ]
    return [segments[start : start + columns] for start in range(0, len(segments), columns)]


def _segment(character: str, fore: list[int], back: list[int]) -> Segment:
    if fore == back or character == " ":
        return Segment(" ", Style(bgcolor=Color.from_rgb(*back)))
    return Segment(character, Style(color=Color.from_rgb(*fore), bgcolor=Color.from_rgb(*back)))
