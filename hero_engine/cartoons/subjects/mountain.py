"""Draws "beautiful mountains viewed from a train window", right or with one named flaw.

Mountains are green or snowy alike often in every kind of picture, so that a preference between the
two can be taught. `paint_hiker` draws the prompt to which such a preference should carry over.
"""

import numpy as np
from PIL import Image, ImageDraw

from hero_engine.cartoons.canvas import (
    SCALE,
    Pen,
    Rgb,
    blank,
    darker,
    finish,
    lighter,
    pen_on,
    pick,
    vary,
)

PROMPT = "beautiful mountains viewed from a train window"
HIKER_PROMPT = "hiker watching beautiful mountains from the top of a hill"
FLAWS = ("no frame", "train in view", "empty window")

SKIES: tuple[tuple[Rgb, Rgb], ...] = (
    ((86, 160, 238), (186, 222, 248)),
    ((246, 158, 112), (252, 218, 170)),
)
GREEN: Rgb = (70, 160, 84)
MEADOW: Rgb = (158, 204, 84)
ROCK: Rgb = (112, 122, 158)
SNOW: Rgb = (246, 248, 252)
SNOWFIELD: Rgb = (206, 218, 238)
# Interior walls: none like sky, snow or meadow.
INTERIORS: tuple[Rgb, ...] = ((150, 62, 58), (124, 84, 56), (96, 72, 118))
FRAME: Rgb = (236, 218, 176)
TRAINS: tuple[Rgb, ...] = ((206, 48, 46), (232, 150, 30))


def paint(rng: np.random.Generator, flaw: str = "") -> Image.Image:
    """One picture; `flaw` is "" or one of FLAWS."""
    view = _view(rng, mountains=flaw != "empty window")
    if flaw == "no frame":
        return finish(view)
    if flaw == "train in view":
        _train(pen_on(view).at(rng.uniform(-3, 3), rng.uniform(-2, 2)), pick(rng, TRAINS))
        return finish(view)
    return finish(_compartment(rng, view))


def paint_hiker(rng: np.random.Generator) -> Image.Image:
    """A hiker with a rucksack on a hill, seen from behind, before the mountains."""
    image = _view(rng, mountains=True)
    pen = pen_on(image)
    x = 32 + rng.uniform(-9, 9)
    pen.ellipse(x, 66, 44, 16, (96, 112, 60))
    pen.ellipse(x, 68, 44, 16, (120, 138, 70))
    hiker = pen.at(x, 52)
    for side in (-1, 1):
        hiker.taper((side * 2, -1), (side * 1.8, -9), 1.6, 1.8, (48, 54, 84))
        hiker.stroke((side * 4, -18), (side * 7, -15), (side * 5.5, -10), 1.5, (212, 64, 46))
    hiker.polygon([(-4.8, -20), (4.8, -20), (4.4, -8), (-4.4, -8)], (212, 64, 46))
    hiker.ellipse(0, -14, 3.9, 5.4, (236, 168, 44))
    hiker.rectangle(-3.4, -13.4, 3.4, -12, (160, 96, 30))
    hiker.ellipse(0, -23.2, 3.3, 3.4, (222, 170, 132))
    hiker.ellipse(0, -24.4, 3.7, 2.6, (84, 54, 40))
    hiker.taper((8, -11), (9.2, 1), 0.9, 0.9, (84, 54, 40))
    return finish(image)


def _view(rng: np.random.Generator, mountains: bool) -> Image.Image:
    """The landscape over the whole canvas."""
    sky, haze = pick(rng, SKIES)
    image = blank(vary(rng, sky), vary(rng, haze))
    pen = pen_on(image)
    snowy = rng.random() < 0.5
    left = rng.random() < 0.5
    mirror = pen.at(0, 0) if left else pen.at(64, 0, width=-1, height=1)
    move = rng.uniform(-3, 3)
    for dx, dy, r in ((0, 0, 3), (4, -1.4, 3.6), (8.4, 0.2, 2.8), (4, 1.4, 4)):
        mirror.ellipse(16 + move + dx, 14 + dy, r * 1.2, r * 0.8, lighter(haze, 0.6))
    if not mountains:
        for dx, dy, r in ((0, 0, 3), (4, -1.4, 3.6), (8.4, 0.2, 2.8), (4, 1.4, 4)):
            mirror.ellipse(36 + move + dx, 27 + dy, r * 1.2, r * 0.8, lighter(haze, 0.6))
        return image
    peaks = (
        (rng.uniform(12, 18), rng.uniform(23, 27), 17.0),
        (rng.uniform(47, 52), rng.uniform(25, 29), 17.0),
        (rng.uniform(30, 37), rng.uniform(14, 18), 21.0),
    )
    for peak in peaks:
        _peak(mirror, *peak, snowy)
    ground = vary(rng, SNOWFIELD if snowy else MEADOW)
    pen.ellipse(32, 52, 54, 10, ground)
    pen.rectangle(0, 50, 64, 64, ground)
    pen.ellipse(50, 62, 34, 9, darker(ground, 0.12))
    return image


def _peak(pen: Pen, x: float, top: float, half: float, snowy: bool) -> None:
    """One mountain with a lit left and a shaded right side."""
    base = 50.0
    lit = ROCK if snowy else GREEN
    pen.polygon([(x - half, base), (x - 1, top), (x + 1, top), (x + half, base)], lit)
    pen.polygon([(x + 1, top), (x + half, base), (x - 1, base), (x + 2, top + 12)], darker(lit))
    if snowy:
        depth = (base - top) * 0.46
        w = half * 0.46
        cap = [
            (x - 1, top - 0.6),
            (x + 1, top - 0.6),
            (x + w, top + depth),
            (x + w * 0.45, top + depth * 0.72),
            (x + w * 0.1, top + depth * 1.1),
            (x - w * 0.45, top + depth * 0.74),
            (x - w, top + depth),
        ]
        pen.polygon(cap, SNOW)
        pen.polygon(
            [(x + 1, top - 0.6), cap[2], cap[3], (x + 2, top + depth * 0.6)], darker(SNOW, 0.2)
        )
    else:
        pen.polygon(
            [(x - 1, top), (x + 0.5, top), (x - half * 0.3, base), (x - half * 0.62, base)],
            lighter(lit, 0.16),
        )


def _compartment(rng: np.random.Generator, view: Image.Image) -> Image.Image:
    """The train's inside with the view showing in its window."""
    wall = vary(rng, pick(rng, INTERIORS))
    inside = blank(lighter(wall, 0.08), darker(wall, 0.12))
    x, y = rng.uniform(-2, 2), rng.uniform(-1.5, 1.5)
    grow = rng.uniform(-1, 1.5)
    left, top, right, bottom = 9 + x - grow, 7 + y - grow, 55 + x + grow, 48 + y
    mask = Image.new("L", view.size, 0)
    pane = [SCALE * v for v in (left, top, right, bottom)]
    ImageDraw.Draw(mask).rounded_rectangle(pane, radius=SCALE * 7, fill=255)
    draw = ImageDraw.Draw(inside)
    rim = [SCALE * v for v in (left - 3, top - 3, right + 3, bottom + 3)]
    draw.rounded_rectangle(rim, radius=SCALE * 9.5, fill=FRAME)
    image = Image.composite(view, inside, mask)
    pen = pen_on(image)
    pen.rectangle(left - 6, bottom + 0.5, right + 6, bottom + 4.5, lighter(FRAME, 0.3))
    pen.rectangle(left - 6, bottom + 4.5, right + 6, bottom + 6.5, darker(FRAME, 0.3))
    return image


def _train(pen: Pen, paint_: Rgb) -> None:
    """A carriage across the lower part of the picture, seen from outside."""
    pen.rectangle(-8, 57, 72, 70, (96, 90, 94))
    pen.rectangle(-8, 36, 72, 39, darker(paint_, 0.35))
    pen.rectangle(-8, 38, 72, 55, paint_)
    pen.rectangle(-8, 51, 72, 53, (250, 240, 220))
    for k in range(5):
        pen.rectangle(-6 + 15.5 * k, 41, 4 + 15.5 * k, 48.5, (60, 76, 108))
        pen.rectangle(-6 + 15.5 * k, 41, 4 + 15.5 * k, 43.5, (150, 190, 220))
    for k in range(4):
        pen.ellipse(6 + 18 * k, 57, 4, 4, (40, 38, 46))
        pen.ellipse(6 + 18 * k, 57, 1.7, 1.7, (150, 146, 150))
