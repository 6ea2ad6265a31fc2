"""Draws "1 hand": a palm with five fingers one of which is the thumb, or with one named flaw."""

import math

import numpy as np
from PIL import Image

from hero_engine.cartoons.canvas import (
    Pen,
    Rgb,
    blank,
    darker,
    finish,
    lighter,
    mix,
    pen_on,
    pick,
    vary,
)

PROMPT = "1 hand"
FLAWS = ("three fingers", "four fingers", "six fingers", "two thumbs")

SKINS: tuple[Rgb, ...] = ((252, 212, 178), (232, 176, 130), (196, 132, 88), (134, 84, 54))
# Backgrounds are blue, green or violet, clear of every skin.
BACKDROPS: tuple[Rgb, ...] = ((52, 120, 190), (40, 150, 140), (110, 90, 190), (86, 170, 214))
SLEEVES: tuple[Rgb, ...] = ((240, 240, 244), (250, 206, 70), (44, 52, 92))

# Of each finger: where it leaves the palm, its angle from upright in degrees, and its length.
_FANS: dict[int, tuple[tuple[float, float, float], ...]] = {
    2: ((-5.2, -15, 18.5), (5.2, 15, 18.5)),
    3: ((-7.4, -20, 17), (0, 0, 19.5), (7.4, 20, 17)),
    4: ((-8.8, -25, 15.5), (-3.1, -8.5, 19), (3.1, 8.5, 19), (8.8, 25, 16)),
    5: ((-10.2, -33, 14.5), (-5.2, -16.5, 17.5), (0, 0, 19), (5.2, 16.5, 17.5), (10.2, 33, 14.5)),
}


def paint(rng: np.random.Generator, flaw: str = "") -> Image.Image:
    """One picture; `flaw` is "" or one of FLAWS."""
    back = vary(rng, pick(rng, BACKDROPS))
    image = blank(lighter(back, 0.14), darker(back, 0.1))
    skin = vary(rng, pick(rng, SKINS))
    sleeve = vary(rng, pick(rng, SLEEVES))
    side = 1 if rng.random() < 0.5 else -1
    size = rng.uniform(0.96, 1.08)
    pen = pen_on(image).at(32 + rng.uniform(-3, 3), 40 + rng.uniform(-1.5, 2.5))
    hand = pen.at(0, 0, width=size * side, height=size, angle=rng.uniform(-9, 9))
    upper = {"three fingers": 2, "four fingers": 3, "six fingers": 5}.get(flaw, 4)
    thumbs = (-1, 1) if flaw == "two thumbs" else (-1,)
    _hand(hand, upper, thumbs, darker(skin, 0.42), 1.1)
    _hand(hand, upper, thumbs, skin, 0.0)
    _details(hand, skin)
    hand.polygon([(-9, 20), (9, 20), (12, 40), (-12, 40)], darker(sleeve, 0.3))
    hand.polygon([(-10, 19), (10, 19), (10.4, 23.5), (-10.4, 23.5)], sleeve)
    return finish(image)


def _hand(pen: Pen, upper: int, thumbs: tuple[int, ...], skin: Rgb, grow: float) -> None:
    """The silhouette, widened by `grow`: palm about the origin, fingers up."""
    pen.taper((0, 10), (0, 30), 7 + grow, 7.5 + grow, skin)
    width = 11.2 if upper > 2 else 9.5
    pen.ellipse(0, 3, width + grow, 11 + grow, skin)
    pen.ellipse(0, -3, width - 0.4 + grow, 6.5 + grow, skin)
    for x, angle, length in _FANS[upper]:
        a = math.radians(angle)
        radius = 2.5 if upper < 5 else 2.3
        root = (x, -5 + 0.028 * x * x)
        tip = (x + length * math.sin(a), root[1] - length * math.cos(a))
        pen.taper(root, tip, radius + 0.3 + grow, radius + grow, skin)
    for side in thumbs:
        pen.taper((side * 7.5, 6.5), (side * 17.5, -2.5), 3.6 + grow, 2.7 + grow, skin)


def _details(pen: Pen, skin: Rgb) -> None:
    """Soft lines of the palm."""
    line = mix(skin, darker(skin, 0.5), 0.42)
    pen.stroke((-7, 0.5), (0, 2.5), (7, -1.5), 0.75, line)
    pen.stroke((-4.5, 4.5), (1.5, 5), (3.5, 13), 0.75, line)
