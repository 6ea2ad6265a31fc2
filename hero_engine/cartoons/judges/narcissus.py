"""Judges "narcissus by a quiet spring and its reflection in the water".

The shore is found first; the flower above it is then compared with what is at its mirrored place.
"""

import math

import numpy as np

from hero_engine.cartoons.verdict import Verdict, bad, good
from hero_engine.cartoons.vision import Mask, Pixels, Region, fill, near, regions, share


def judge(pixels: Pixels) -> Verdict:
    """A good picture has one flower above the shore and its image mirrored below."""
    shore = _shore(pixels)
    if shore is None:
        return bad("no water's edge")
    white = (pixels.saturation < 0.2) & (pixels.rgb.min(-1) > 190)
    white[shore:] = False
    heads = [r for r in regions(white, 30) if r.area >= 45]
    orange = pixels.hues(18, 52) & (pixels.saturation > 0.6) & (pixels.value > 0.7)
    if not heads:
        return bad("a youth, not a flower" if _skin(pixels, shore) else "no narcissus")
    if len(heads) > 1:
        return bad("several flowers")
    head = heads[0]
    whole = fill(head.mask | (orange & _box(head)))
    cup = int((orange & _box(head)).sum())
    size = int(whole.sum())
    cups = regions(orange & _box(head), 6)
    if not cups:
        return bad("flower without a cup")
    if len(cups) > 1 or cups[0].width > 12:
        return bad("several flowers")
    if math.hypot(cups[0].x - (head.left + head.right) / 2, cups[0].y - head.y) > 4:
        return bad("flower misshapen")
    if not 120 <= size <= 420 or not 0.7 < head.width / head.height < 1.45:
        return bad("flower misshapen")
    return _reflection(pixels, shore, head, cup / size)


def _reflection(pixels: Pixels, shore: int, head: Region, cup_share: float) -> Verdict:
    """The verdict on what is in the water."""
    water = pixels.row_background(3)
    brighter = pixels.luma - (water @ np.array([0.299, 0.587, 0.114]))
    pale = (brighter > 34) & (pixels.saturation < 0.34) & (pixels.value > 0.55)
    pale[: shore + 3] = False
    warmer = (pixels.rgb[..., 0] - pixels.rgb[..., 2]) - (water[..., 0] - water[..., 2])
    yellow = (warmer > 70) & (pixels.rgb[..., 0] - pixels.rgb[..., 2] > 12)
    yellow[: shore + 3] = False
    images = [r for r in regions(pale, 30) if r.area >= 40]
    # Of the mirrored flower only the pale petals and the cup are strange to the water.
    red = yellow & (pixels.rgb[..., 0] - pixels.rgb[..., 1] > 48)
    if not images or (red.sum() > 60 and images[0].area < 90):
        other = (warmer > 45) | pale
        other[: shore + 5] = False
        return bad("reflection of another thing" if other.sum() > 60 else "no reflection")
    image = images[0]
    if len(images) > 1 and images[1].area > 50:
        return bad("several reflections")
    if red.sum() > 70:
        return bad("reflection of another thing")
    sideways = image.x - head.x
    if abs(sideways) > 6:
        return bad("reflection shifted sideways")
    mirrored = (image.y - shore) - (shore - head.y)
    if abs(mirrored) > 6:
        return bad("reflection at the wrong height")
    spot = int((yellow & _box(image)).sum())
    if spot < 5:
        return bad("reflection of another thing")
    size = int(fill(image.mask).sum())
    if size < 100 or not 0.65 < image.width / image.height < 1.6:
        return bad("reflection misshapen")
    return good(
        near(sideways, 0, 2),
        near(mirrored, 0, 2.5),
        near(head.area, image.area, 60),
        near(cup_share, 0.22, 0.08),
        near(head.width / head.height, 1.0, 0.15),
        near(head.x, 32, 12),
        float(np.median(brighter[image.mask])) / 100,
    )


def _shore(pixels: Pixels) -> int | None:
    """The first row of water: below the lowest row that is grass or earth at the edges."""
    grass = pixels.hues(62, 112) & (pixels.saturation > 0.38) & (pixels.value > 0.45)
    edges = np.concatenate([grass[:, :10], grass[:, -10:]], axis=1).mean(1)
    rows = np.nonzero(edges > 0.5)[0]
    if rows.size < 3 or not 25 <= rows[-1] <= 38:
        return None
    # Grass ends in about two rows of earth.
    return int(rows[-1]) + 3


def _box(region: Region) -> Mask:
    """The region's bounding box as a mask."""
    mask = np.zeros((64, 64), dtype=bool)
    mask[region.top : region.bottom, region.left : region.right] = True
    return mask


def _skin(pixels: Pixels, shore: int) -> bool:
    """Whether something red and skin-coloured stands on the bank."""
    warm = (pixels.hues(-30, 32)) & (pixels.saturation > 0.3) & pixels.foreground(45)
    return share(warm[8:shore, 12:52]) > 0.06
