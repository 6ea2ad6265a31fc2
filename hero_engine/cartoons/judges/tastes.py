"""Tells what two people may like differently, where both call the picture good.

A taste looks at colours that its subject's drawings have alike often, right or flawed.
"""

from collections.abc import Callable, Mapping

import numpy as np

from hero_engine.cartoons.judges.mountain import greens, rocks
from hero_engine.cartoons.vision import Pixels, regions

# Slopes of a view of mountains: over 200 pixels, also in a window.
_LEAST_SLOPES = 60


def _is_warm_room(pixels: Pixels) -> bool:
    """Whether the wall behind the cat is violet or pink, not green, teal or blue."""
    red, green, _ = np.median(pixels.rgb[2:26, :6].reshape(-1, 3), axis=0) + np.median(
        pixels.rgb[2:26, -6:].reshape(-1, 3), axis=0
    )
    return bool(red > green)


def _is_cool_room(pixels: Pixels) -> bool:
    return not _is_warm_room(pixels)


def _slopes(pixels: Pixels) -> tuple[int, int]:
    """Pixels of green slopes and of rock under snow, of mountains in a window or behind a hiker.

    What reaches the picture's top is a wall beside the window, or the sky.
    """
    green, rock = (
        sum(region.area for region in regions(mask, 12) if region.top > 4)
        for mask in (greens(pixels), rocks(pixels))
    )
    return green, rock


def _is_green(pixels: Pixels) -> bool:
    green, rock = _slopes(pixels)
    return green > max(rock, _LEAST_SLOPES)


def _is_snowy(pixels: Pixels) -> bool:
    green, rock = _slopes(pixels)
    return rock > max(green, _LEAST_SLOPES)


TASTES: Mapping[str, Callable[[Pixels], bool]] = {
    "warm room": _is_warm_room,
    "cool room": _is_cool_room,
    "green": _is_green,
    "snowy": _is_snowy,
}
"""Whether a picture is to a taste, by its name: rooms of black cats, mountains."""
