"""Judges "beautiful mountains viewed from a train window" by the frame and the view in it.

Green and snowy mountains are equally good.
"""

import numpy as np
from scipy import ndimage

from hero_engine.cartoons.verdict import Verdict, bad, good
from hero_engine.cartoons.vision import (
    Mask,
    Pixels,
    Region,
    distance,
    fill,
    grow,
    near,
    regions,
    share,
)


def judge(pixels: Pixels) -> Verdict:
    """A good picture has mountains, and no train, inside a pale frame on a dark inner wall."""
    wall = np.median(_sides(pixels.rgb), axis=0)
    wall_like = (distance(pixels.rgb, wall) < 62) & (pixels.value < 0.76)
    red, green, blue = wall
    inside = wall.max() < 188 and not (green > red and green > blue) and blue < red + 65
    if not inside or share(_sides(wall_like)) < 0.7 or share(wall_like[0]) < 0.25:
        return bad("train in view" if _train(pixels) else "no window frame")
    found = regions(fill(~wall_like), 400)
    if not found:
        return bad("no window")
    window = found[0].mask.copy()
    sill = found[0].bottom - 6
    window[sill:] = False
    pane = regions(ndimage.binary_erosion(window, np.ones((3, 3), dtype=bool), iterations=3), 400)
    if not pane or not _window_like(found[0], pane[0]):
        return bad("window misshapen")
    view = pane[0]
    depth = ndimage.distance_transform_edt(window)
    band = (depth > 1) & (depth < 3)
    band[sill - 3 :] = False
    closed = share(grow(_frame(pixels), 1)[band])
    if closed < 0.6:
        return bad("frame broken")
    if _train_inside(pixels, view.mask):
        return bad("train in view")
    peaks = regions((greens(pixels) | rocks(pixels)) & view.mask, 40)
    if sum(r.area for r in peaks) < 120:
        return bad("empty window")
    middle = sum(r.y * r.area for r in peaks) / sum(r.area for r in peaks)
    if middle < view.y + 1:
        return bad("mountains not on the ground")
    if max(r.right for r in peaks) - min(r.left for r in peaks) < 0.7 * view.width:
        return bad("mountains cut off")
    rise = view.bottom - min(r.top for r in peaks)
    if rise < 11:
        return bad("mountains too low")
    return good(
        near(view.x, 32, 6),
        near(view.y, 28, 5),
        near(view.area, 1650, 300),
        closed,
        near(view.area / (view.width * view.height), 0.96, 0.04),
    )


def _sides(plane: np.ndarray) -> np.ndarray:
    """The picture's outermost columns beside the window, flattened to pixels."""
    both = np.concatenate([plane[2:44, :2], plane[2:44, -2:]], axis=1)
    return both.reshape(-1, *plane.shape[2:])


def _frame(pixels: Pixels) -> Mask:
    """Where the colour is the frame's cream."""
    return pixels.hues(18, 80) & (pixels.saturation < 0.5) & (pixels.value > 0.64)


def _window_like(whole: Region, view: Region) -> bool:
    """Whether the opening is about as large, square and full as a carriage window."""
    full = view.area / (view.width * view.height)
    return (
        full > 0.9
        and 30 <= view.width <= 54
        and 26 <= view.height <= 50
        and whole.width - view.width < 24
    )


def greens(pixels: Pixels) -> Mask:
    """Where the colour is that of green slopes, not of the meadow."""
    return pixels.hues(98, 170) & (pixels.saturation > 0.26) & (pixels.value < 0.78)


def rocks(pixels: Pixels) -> Mask:
    """Where the colour is that of the slopes below the snow."""
    return (
        pixels.hues(205, 262)
        & (pixels.saturation > 0.12)
        & (pixels.saturation < 0.46)
        & (pixels.value < 0.72)
    )


def _paintwork(pixels: Pixels) -> Mask:
    """Where the colour is a carriage's red or orange."""
    red = pixels.hues(-20, 16) & (pixels.saturation > 0.66) & (pixels.value > 0.55)
    orange = pixels.hues(16, 48) & (pixels.saturation > 0.72) & (pixels.value > 0.7)
    return np.asarray(red | orange)


def _train(pixels: Pixels) -> bool:
    """Whether a carriage runs across a picture that has no window."""
    return share(_paintwork(pixels)[34:60]) > 0.15


def _train_inside(pixels: Pixels, pane: Mask) -> bool:
    """Whether a carriage is seen through the window."""
    return int((_paintwork(pixels) & pane)[28:].sum()) > 40
