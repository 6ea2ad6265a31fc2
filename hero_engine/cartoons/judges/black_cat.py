"""Judges "a black cat sitting inside a cardboard box" by the box's near wall and what is black."""

import numpy as np
from scipy import ndimage

from hero_engine.cartoons.verdict import Verdict, bad, good
from hero_engine.cartoons.vision import (
    Mask,
    Pixels,
    Region,
    between,
    fill,
    joined,
    near,
    regions,
    share,
)


def judge(pixels: Pixels) -> Verdict:
    """A good picture has one black cat with two eyes over the rim of one intact box."""
    black = (pixels.luma < 66) & (pixels.value < 0.42)
    cats = [r for r in regions(black, 12) if r.area >= 25]
    wall = _near_wall(pixels, black)
    if wall is None and regions(_cardboard(pixels), 150):
        return bad("body through the wall" if cats else "box not intact")
    if wall is None:
        return bad("no box" if cats else "no cat, no box")
    left, top, right, bottom = wall
    width = right - left
    front = black[top + 5 : bottom - 1, left + 2 : right - 2]
    outside = [r for r in cats if r.x < left - 2 or r.x > right + 2]
    if outside and sum(r.area for r in outside) > 60:
        return bad("cat beside the box")
    if share(front) > 0.1:
        return bad("body through the wall")
    if width < 28:
        return bad("box too small")
    tan = _cardboard(pixels)[top + 2 : bottom - 1, left + 2 : right - 2]
    if share(tan) < 0.8:
        return bad("box not intact")
    above = ndimage.binary_closing(np.pad(black, 2), iterations=2)[2:-2, 2:-2]
    above[top + 5 :] = False
    bodies = _stacked(regions(above, 40))
    if not bodies:
        return bad(_no_black_cat(pixels, wall))
    eyes = _eyes(pixels, black, bodies[0], top)
    xs = np.nonzero(eyes)[1]
    # The eyes of one cat are at most 16 across.
    across = np.percentile(xs, 95) - np.percentile(xs, 5) if xs.size else 0.0
    if len(bodies) > 1 or across > 18:
        return bad("two cats")
    return _cat(pixels, bodies[0], eyes, wall)


def _cat(pixels: Pixels, body: Region, eyes: Mask, wall: tuple[int, int, int, int]) -> Verdict:
    """The verdict on the only black thing above the rim, its eyes given as pixels."""
    left, top, right, bottom = wall
    solid = fill(body.mask)
    head = solid.sum(1)[body.top + 4 : top - 6]
    if body.area < 150 or head.size == 0:
        return bad("cat too small")
    if head.max() > 27:
        return bad("two cats")
    ys, xs = (axis + 0.5 for axis in np.nonzero(eyes))
    if xs.size < 16:
        return bad("face not clear")
    nose = (xs.min() + xs.max()) / 2
    west, east = xs < nose, xs >= nose
    level = abs(ys[west].mean() - ys[east].mean())
    gap = xs[east].mean() - xs[west].mean()
    balance = min(west.sum(), east.sum()) / max(west.sum(), east.sum())
    if level > 2.5 or not 5 < gap < 13 or balance < 0.3:
        return bad("face not clear")
    shape = solid | (pixels.foreground(42) & (pixels.luma < 190))
    ears = _ears(shape, nose)
    if ears < 2:
        return bad("ears missing")
    middle = (left + right) / 2
    if abs(body.x - middle) > 8:
        return bad("cat not in the box")
    return good(
        near(body.x, middle, 6),
        near(body.x, 32, 10),
        near(level, 0, 1.5),
        near(abs(body.x - nose), 0, 2),
        1 - float(np.median(pixels.value[body.mask])) / 0.36,
        near(bottom - top, 16.5, 4),
        balance,
    )


def _cardboard(pixels: Pixels) -> Mask:
    """Where the colour is that of the box's lit outside, and not that of the room."""
    return (
        pixels.foreground(30)
        & pixels.hues(12, 50)
        & (pixels.saturation > 0.3)
        & (pixels.value > 0.56)
    )


def _near_wall(pixels: Pixels, black: Mask) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the near wall; what is black or torn in it counts as wall."""
    found = regions(_cardboard(pixels), 100)
    if not found:
        return None
    box = found[0]
    # The box's inside is as brown as its wall but darker.
    lit = 0.8 * float(np.percentile(pixels.luma[box.mask], 70))
    outside = pixels.hues(8, 56) & (pixels.saturation > 0.1) & (pixels.luma > lit)
    across = between(box.mask)
    span = across.sum(1)
    solid = ((outside | black) & across).sum(1)
    usual = float(np.percentile(span[box.top : box.bottom], 60))
    wide = (solid > 0.86 * span) & (solid > 0.75 * usual) & (solid >= 16)
    runs = regions(wide[:, None], 8)
    if not runs:
        return None
    run = max(runs, key=lambda r: r.height)
    if run.height > 26:
        return None
    columns = np.nonzero(across[run.top + 3 : run.bottom - 1].mean(0) >= 0.6)[0]
    if columns.size == 0:
        return None
    return int(columns[0]), run.top, int(columns[-1]) + 1, run.bottom


def _stacked(parts: list[Region]) -> list[Region]:
    """The parts with those above one another joined: a pale face can cut a cat in two."""
    bodies: list[Region] = []
    for part in parts:
        for k, body in enumerate(bodies):
            overlap = min(part.right, body.right) - max(part.left, body.left)
            if overlap > 0.5 * min(part.width, body.width):
                bodies[k] = joined(body, part)
                break
        else:
            bodies.append(part)
    return bodies


def _eyes(pixels: Pixels, black: Mask, body: Region, rim: int) -> Mask:
    """What is bright yellow or green within the cat's head."""
    # Red over green is near 0 or below in eyes, 80 in ears and nose.
    pink = pixels.rgb[..., 0] - pixels.rgb[..., 1] > 38
    eyes = between(body.mask) & ~black & ~pink & (pixels.luma > 76)
    eyes[: body.top + 7] = False
    eyes[rim - 4 :] = False
    return np.asarray(eyes)


def _ears(solid: Mask, middle: float) -> int:
    """How many of the two ears stand above the head's crown."""
    crown_columns = slice(int(middle) - 1, int(middle) + 2)
    heights = np.where(solid.any(0), solid.argmax(0), 64)
    crown = float(np.median(heights[crown_columns]))
    left = heights[max(0, int(middle) - 12) : int(middle) - 2]
    right = heights[int(middle) + 3 : int(middle) + 13]
    return sum(1 for side in (left, right) if side.size and side.min() <= crown - 2)


def _no_black_cat(pixels: Pixels, wall: tuple[int, int, int, int]) -> str:
    """Why nothing black looks out of the box."""
    left, top, right, _ = wall
    pale = (pixels.saturation < 0.14) & (pixels.value > 0.8)
    return "white cat" if pale[: top + 3, left:right].sum() > 60 else "no cat"
