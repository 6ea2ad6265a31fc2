"""Draws "narcissus by a quiet spring and its reflection in the water", right or flawed."""

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

PROMPT = "narcissus by a quiet spring and its reflection in the water"
FLAWS = (
    "no reflection",
    "shifted reflection",
    "reflection of a tulip",
    "reflection of a mushroom",
    "a youth",
)

# Sky, far trees, water.
SCENES: tuple[tuple[Rgb, Rgb, Rgb], ...] = (
    ((126, 190, 236), (70, 138, 112), (58, 122, 190)),
    ((246, 176, 132), (120, 116, 120), (108, 92, 160)),
    ((150, 206, 190), (52, 122, 96), (36, 120, 130)),
)
BANK: Rgb = (106, 166, 66)
EARTH: Rgb = (112, 78, 50)
STEM: Rgb = (40, 118, 52)
PETAL: Rgb = (252, 250, 244)
CUP: Rgb = (250, 178, 24)


def paint(rng: np.random.Generator, flaw: str = "") -> Image.Image:
    """One picture; `flaw` is "" or one of FLAWS."""
    sky, trees, water = (vary(rng, c) for c in pick(rng, SCENES))
    shore = 32 + rng.uniform(-1.5, 1.5)
    image = blank(lighter(sky, 0.15), lighter(sky, 0.15))
    pen = pen_on(image)
    _land(pen, rng, shore, trees)
    pen.rectangle(0, shore, 64, 64, water)
    pen.rectangle(0, shore, 64, shore + 4.5, mix(water, EARTH, 0.35))
    for y, x, length in ((47.0, 8.0, 12.0), (57.0, 44.0, 14.0), (60.0, 12.0, 9.0)):
        ripple = lighter(water, 0.22)
        pen.taper((x, y), (x + length, y), 0.8, 0.8, ripple)
    x = 32 + rng.uniform(-7, 7)
    size = rng.uniform(0.94, 1.08)
    side = 1 if rng.random() < 0.5 else -1
    lean = rng.uniform(-2.5, 2.5)
    shift = 0.0
    if flaw == "shifted reflection":
        away = -1 if x > 32 else 1
        x -= away * 6
        shift = away * rng.uniform(17, 20)
    above = pen.at(x, shore - 0.5, width=side * size, height=size)
    below = pen.at(x + shift, shore + 1.5, width=side * size, height=-size).tinted(water, 0.32)
    if flaw == "a youth":
        tunic = (176, 62, 84)
        _youth(above, tunic)
        _youth(below, tunic)
    else:
        _narcissus(above, lean)
        if flaw == "reflection of a tulip":
            _tulip(below, lean)
        elif flaw == "reflection of a mushroom":
            _mushroom(below)
        elif flaw != "no reflection":
            _narcissus(below, lean)
    return finish(image)


def _land(pen: Pen, rng: np.random.Generator, shore: float, trees: Rgb) -> None:
    """Far trees and the grassy bank down to the waterline."""
    shift = rng.uniform(-6, 6)
    for x, r in ((2, 9), (16, 7), (33, 8), (48, 7), (62, 10)):
        pen.ellipse(x + shift, shore - 9, r + 2, r, trees)
    pen.rectangle(0, shore - 9, 64, shore, trees)
    pen.ellipse(14, shore, 36, 8.5, lighter(BANK, 0.1))
    pen.ellipse(54, shore, 34, 7, BANK)
    pen.rectangle(0, shore - 4, 64, shore, BANK)
    pen.rectangle(0, shore - 1.6, 64, shore, EARTH)


def _narcissus(pen: Pen, lean: float) -> None:
    """One flower rooted at the origin, its head 18 above."""
    pen.stroke((-2, 0), (-5, -6), (-8, -9), 1.3, STEM)
    pen.stroke((2, 0), (5, -8), (6.5, -11), 1.3, darker(STEM, 0.15))
    pen.stroke((0, 0), (lean * 0.2, -9), (lean, -16), 1.2, STEM)
    head = pen.at(lean, -18.5)
    for k in range(6):
        petal = head.at(0, 0, angle=60 * k)
        petal.ellipse(0, -5.6, 3.7, 4.6, (176, 184, 206))
    for k in range(6):
        petal = head.at(0, 0, angle=60 * k)
        petal.ellipse(0, -5.2, 2.9, 4.2, PETAL)
    head.ellipse(0, 0, 4.1, 4.1, (226, 112, 16))
    head.ellipse(0, 0, 3.3, 3.3, CUP)
    head.ellipse(0, 0.4, 1.5, 1.5, (214, 100, 12))


def _tulip(pen: Pen, lean: float) -> None:
    """A red tulip of the narcissus's height."""
    pen.stroke((2, 0), (5, -8), (6.5, -11), 1.3, STEM)
    pen.stroke((0, 0), (lean * 0.2, -9), (lean, -16), 1.2, STEM)
    head = pen.at(lean, -18)
    red = (222, 40, 58)
    head.ellipse(0, 0, 6, 6, red)
    head.polygon([(-6, 0), (-6.6, -8), (-2.4, -4), (0, -8.6), (2.4, -4), (6.6, -8), (6, 0)], red)
    head.ellipse(0, 0.5, 2.4, 5, lighter(red, 0.25))


def _mushroom(pen: Pen) -> None:
    """A brown mushroom of the narcissus's height."""
    pen.taper((0, 0), (0, -12), 3.4, 2.6, (232, 214, 186))
    cap = (150, 66, 40)
    pen.polygon(
        [(-11, -11), (-10, -16), (-6, -20.5), (0, -22), (6, -20.5), (10, -16), (11, -11)], cap
    )
    pen.ellipse(0, -11, 11, 1.8, darker(cap, 0.3))


def _youth(pen: Pen, tunic: Rgb) -> None:
    """A curly-haired youth standing at the water's edge."""
    skin, hair = (232, 178, 140), (92, 54, 34)
    for side in (-1, 1):
        pen.taper((side * 2.2, -1), (side * 2.2, -7), 1.5, 1.6, skin)
        pen.stroke((side * 4.4, -15), (side * 7.5, -12), (side * 6, -8), 1.4, skin)
    pen.polygon([(-4.6, -16), (4.6, -16), (6.2, -5.5), (-6.2, -5.5)], tunic)
    pen.rectangle(-5.2, -11.4, 5.2, -9.6, (236, 190, 80))
    pen.ellipse(0, -20.6, 5, 4.6, hair)
    pen.ellipse(0, -19.4, 3.5, 3.6, skin)
    for side in (-1, 1):
        pen.ellipse(side * 1.5, -19.4, 0.75, 0.9, (50, 34, 30))
