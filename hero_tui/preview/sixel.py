"""Sixel graphics (DEC STD 070): rows of six pixels, a colour at a time, with run lengths.

A module of ours: the libraries for it are bindings of a C library that has to be installed.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hero_tui.preview.drawing import Parts, cut
from hero_tui.preview.scaling import scaled

COLOURS = 64
LEAST_RUN = 4
"""A run of fewer is shorter written out than counted."""

Indices = NDArray[np.uint8]  # [height, width], numbers of colours
Palette = NDArray[np.uint8]  # [colours, 3], RGB


def sixel(indices: Indices, palette: Palette) -> str:
    """The sequence that draws `indices` with its upper left corner at the cursor.

    Colours are defined for those that occur, in percents, as every sixel image brings its own.
    """
    height, width = indices.shape
    used = np.unique(indices)
    percents = (palette[used].astype(int) * 100 + 127) // 255
    colours = "".join(
        f"#{number};2;{r};{g};{b}" for number, (r, g, b) in zip(used, percents, strict=True)
    )
    rows = "-".join(_six_rows(indices[top : top + 6]) for top in range(0, height, 6))
    # P2 = 1: pixels that are not drawn stay; then the shape of a pixel, and the size.
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{rows}\x1b\\'


def _six_rows(rows: Indices) -> str:
    colours = np.unique(rows)
    weights = 1 << np.arange(len(rows))
    # [colours, width]: bit y of a value says whether pixel y of that column has the colour.
    values = np.einsum("cyx,y->cx", rows[None] == colours[:, None, None], weights)
    lines = []
    for colour, line in zip(colours.tolist(), values, strict=True):
        starts = np.concatenate(([0], np.flatnonzero(np.diff(line)) + 1))
        lengths = np.diff(starts, append=len(line))
        runs = list(zip(line[starts].tolist(), lengths.tolist(), strict=True))
        if runs[-1][0] == 0:
            runs.pop()
        lines.append(f"#{colour}" + "".join(_run(value, length) for value, length in runs))
    return "$".join(lines)


def _run(value: int, length: int) -> str:
    character = chr(63 + value)
    return character * length if length < LEAST_RUN else f"!{length}{character}"


def encode(path: Path, columns: int, rows: int, cell: tuple[int, int]) -> Parts:
    """The picture at `path` in at most 64 colours, in the middle of `columns` x `rows` cells.

    A sixel is a pixel of the screen: on HiDPI screens the capped picture is enlarged to its cells.

    Raises:
        OSError: the file is missing or is not a whole PNG.
    """
    picture = scaled(path, columns, rows, cell, enlarge=True)
    few = picture.image.quantize(COLOURS, dither=Image.Dither.NONE)
    size = picture.columns * cell[0], picture.rows * cell[1]
    indices = np.asarray(few.resize(size, Image.Resampling.NEAREST))
    palette = np.array(few.getpalette(), np.uint8).reshape(-1, 3)

    def code(column: int, row: int, columns: int, rows: int) -> str:
        x, y = column * cell[0], row * cell[1]
        return sixel(indices[y : y + rows * cell[1], x : x + columns * cell[0]], palette)

    return cut(picture, code)
