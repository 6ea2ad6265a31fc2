"""Sizes: how many cells a picture takes in a box of cells, and how many pixels it is sent with."""

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hero_engine.run.pictures import open_picture

# On a HiDPI screen a cell has four times these; a picture's bytes would, too.
MOST_PIXELS = (10, 20)


def fit(
    picture: tuple[int, int], columns: int, rows: int, cell: tuple[int, int] = (1, 2)
) -> tuple[int, int]:
    """The largest (columns, rows) in a box of cells that keeps a picture's (width, height) ratio.

    `cell` is the (width, height) of a cell in pixels: in cells of 1x2, a square picture in 80x20
    cells is 40x20.
    """
    width, height = picture[0] / cell[0], picture[1] / cell[1]
    scale = min(columns / width, rows / height)
    return (
        min(columns, max(1, round(width * scale))),
        min(rows, max(1, round(height * scale))),
    )


def capped(cell: tuple[int, int]) -> tuple[int, int]:
    """The pixels that a picture is sent with for each cell, of the same shape as the cell."""
    scale = min(1.0, MOST_PIXELS[0] / cell[0], MOST_PIXELS[1] / cell[1])
    return max(1, round(cell[0] * scale)), max(1, round(cell[1] * scale))


@dataclass(frozen=True)
class Scaled:
    """A picture made ready for its cells.

    Attributes:
        image: RGB, a whole number of pixels for each cell.
        columns, rows: the cells it takes.
        left, top: the blank cells before it in its box.
    """

    image: Image.Image
    columns: int
    rows: int
    left: int
    top: int

    def part(self, column: int, row: int, columns: int, rows: int) -> Image.Image:
        """The pixels of some of its cells."""
        across, down = self.image.width // self.columns, self.image.height // self.rows
        box = (column * across, row * down, (column + columns) * across, (row + rows) * down)
        return self.image.crop(box)


def scaled(path: Path, columns: int, rows: int, cell: tuple[int, int], enlarge: bool) -> Scaled:
    """The picture at `path`, as large as fits, in the middle of `columns` x `rows` cells.

    It gets at most the pixels that its cells are sent with; a smaller picture keeps about its own
    unless `enlarge`, since a terminal that scales needs no more.

    Raises:
        OSError: the file is missing or is not a whole PNG.
    """
    picture = open_picture(path)
    size = fit(picture.size, columns, rows, cell)
    pixels = capped(cell)
    if not enlarge:
        own = (math.ceil(picture.size[axis] / size[axis]) for axis in (0, 1))
        pixels = min(pixels[0], next(own)), min(pixels[1], next(own))
    image = picture.resize((size[0] * pixels[0], size[1] * pixels[1]), Image.Resampling.HAMMING)
    return Scaled(image, *size, (columns - size[0]) // 2, (rows - size[1]) // 2)
