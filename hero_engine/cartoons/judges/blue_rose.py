"""Judges "photo of one blue rose in a vase" by what stands out from the room behind it."""

import numpy as np

from hero_engine.cartoons.verdict import Verdict, bad, good
from hero_engine.cartoons.vision import Mask, Pixels, Region, fill, grow, near, regions, share


def judge(pixels: Pixels) -> Verdict:
    """A good picture has one round blue flower, nothing else in flower, on a stem in a vase."""
    things = pixels.foreground(38, columns=3)
    green = pixels.hues(85, 170) & (pixels.saturation > 0.25) & (pixels.value < 0.75)
    blue = pixels.hues(200, 252) & (pixels.saturation > 0.36) & (pixels.value > 0.3)
    flowers = regions(fill(blue), 20)
    if not flowers:
        return bad(_other_flower(pixels, things & ~green))
    if len(flowers) > 1 and flowers[1].area > 40:
        return bad("three flowers" if len(flowers) > 2 and flowers[2].area > 40 else "two flowers")
    flower = flowers[0]
    if flower.area < 150:
        return bad("flower too small")
    if flower.width > 1.4 * flower.height or flower.width > 28:
        return bad("several flowers")
    roundness = flower.area / (flower.width * flower.height)
    if roundness < 0.62 or flower.height > 1.4 * flower.width:
        return bad("flower misshapen")
    if flower.y > 32:
        return bad("flower too low")
    stray = things & ~green & ~grow(flower.mask, 3)
    stray[min(flower.bottom, 30) :] = False
    if stray.sum() > 30:
        return bad("another flower")
    solid = pixels.foreground(27, columns=3)
    vase = _vase(solid & ~grow(green, 1) & ~grow(flower.mask, 2), flower)
    if vase is None:
        return bad("no vase")
    middle, rows = vase
    if abs(middle - flower.x) > 9:
        return bad("flower not in the vase")
    if not _stem(green, flower):
        return bad("no stem")
    petals = pixels.rgb[flower.mask]
    vivid = float(np.median(petals[:, 2] - petals[:, 0])) / 150
    return good(
        near(flower.area, 330, 110),
        near(flower.width / flower.height, 1.0, 0.12),
        near(middle, 32, 8),
        near(flower.x - middle, 0, 4),
        vivid,
        near(rows, 21, 6),
        1 - stray.sum() / 30,
    )


def _vase(solid: Mask, flower: Region) -> tuple[float, int] | None:
    """Middle column and number of rows of the vessel under the flower."""
    below = solid.copy()
    below[: flower.bottom] = False
    below[62:] = False
    # A table that is not of one colour must not join the vase.
    below[:, : max(0, int(flower.x) - 18)] = False
    below[:, int(flower.x) + 18 :] = False
    found = regions(below, 60)
    if not found:
        return None
    vessel = max(found, key=lambda r: r.area)
    rows = vessel.mask.sum(1)
    tall = int(((rows >= 6) & (rows <= 26)).sum())
    if tall < 14:
        return None
    return vessel.x, tall


def _stem(green: Mask, flower: Region) -> bool:
    """Whether green leaves the flower downwards."""
    under = green[
        flower.bottom - 2 : flower.bottom + 10, max(0, flower.left - 3) : flower.right + 3
    ]
    return int(under.sum()) >= 12


def _other_flower(pixels: Pixels, things: Mask) -> str:
    """The colour of the flower that is there instead of a blue one."""
    head = things.copy()
    head[34:] = False
    found = regions(head, 60)
    if not found:
        return "no flower"
    r, g, b = np.median(pixels.rgb[found[0].mask], axis=0)
    if share(pixels.saturation[found[0].mask] < 0.2) > 0.6:
        return "white flower"
    if g > 1.3 * b and g > 0.6 * r:
        return "yellow flower"
    if r > 1.25 * g:
        return "pink flower" if b > 110 else "red flower"
    return "no blue flower"
