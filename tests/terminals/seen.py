"""Pictures that are found again on a screenshot, wherever the interface has put them."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

PICTURES = 16
FIRST, SECOND = range(8), range(8, PICTURES)
"""The pages, while a window has from 24 to 35 lines."""
NEAR = 28
"""Levels that a colour may be off: sixels have few colours."""
LEAST = 1_000
"""Pixels of a picture's colour that are more than where two others meet."""
MOST_ERROR = 14.0
"""Levels, the mean over a picture. A picture in half of its cells, or shifted by one, has more."""


@cache
def strong(number: int) -> Image.Image:
    """A picture of a round: no two of them have the same ground, nor look the same turned."""
    picture = Image.new("HSV", (96, 96), (number % 8 * 32, 255, 255 if number < 8 else 150))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((12, 16, 44, 40), (0, 0, 255))
    draw.ellipse((40, 44, 84, 84), (0, 0, 0))
    return picture.convert("RGB")


@cache
def _grounds() -> NDArray[np.uint8]:
    """By the upper five bits of red, green and blue: whose ground such a colour is, or PICTURES."""
    levels = np.arange(0, 256, 8, dtype=np.int16) + 4
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    whose = np.full(colours.shape[:3], PICTURES, np.uint8)
    for number in range(PICTURES):
        ground = np.array(strong(number).getpixel((0, 0)))
        whose[(np.abs(colours - ground) <= NEAR).all(axis=-1)] = number
    return whose


def errors(shot: Image.Image) -> dict[int, float]:
    """How far each picture is off that is on the screenshot at all: levels, the mean over it."""
    shot = shot.convert("RGB")
    red, green, blue = (np.asarray(shot) >> 3).transpose(2, 0, 1)
    whose = _grounds()[red, green, blue]
    counts = np.bincount(whose.ravel(), minlength=PICTURES)
    return {
        number: _error(shot, whose == number, strong(number))
        for number in range(PICTURES)
        if counts[number] > LEAST
    }


def _error(shot: Image.Image, ground: NDArray[np.bool_], picture: Image.Image) -> float:
    rows, columns = np.flatnonzero(ground.sum(1) > 8), np.flatnonzero(ground.sum(0) > 8)
    if not (rows.size and columns.size):
        return 255.0
    box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    width, height = box[2] - box[0], box[3] - box[1]
    if min(width, height) < 60 or not 0.7 < width / height < 1.4:
        return 255.0
    shown = shot.crop(box).resize(picture.size, Image.Resampling.BOX)
    return float(np.abs(np.asarray(shown, np.int16) - np.asarray(picture, np.int16)).mean())


def shows(shot: Image.Image, numbers: range) -> bool:
    """Whether these pictures, each whole and as it is, and no others are on it."""
    found = errors(shot)
    return set(found) == set(numbers) and max(found.values()) <= MOST_ERROR
