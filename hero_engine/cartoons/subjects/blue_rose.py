"""Draws "photo of one blue rose in a vase", right or with one named flaw."""

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
    pen_on,
    pick,
    vary,
)

PROMPT = "photo of one blue rose in a vase"
FLAWS = (
    "red rose",
    "yellow rose",
    "pink rose",
    "white rose",
    "two flowers",
    "three flowers",
    "no vase",
)

BLUE: Rgb = (44, 92, 224)
PETALS: dict[str, Rgb] = {
    "red rose": (206, 34, 52),
    "yellow rose": (250, 200, 40),
    "pink rose": (240, 110, 168),
    "white rose": (244, 242, 240),
}
LEAF: Rgb = (56, 142, 70)
# Vases are warm or white, walls pale and warm: nothing but the flower is blue.
VASES: tuple[Rgb, ...] = ((206, 104, 58), (242, 236, 224), (232, 178, 70), (176, 72, 96))
WALLS: tuple[Rgb, ...] = ((250, 224, 190), (214, 226, 196), (246, 206, 196), (222, 216, 206))
TABLES: tuple[Rgb, ...] = ((150, 96, 62), (120, 84, 76))
# Half-widths of a vase from its neck (y = 0) down to its foot (y = 19).
SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0, 4.4), (2.5, 3.6), (6, 7), (10, 9), (14, 8.6), (17.5, 6), (19, 5.6)),
    ((0, 6.4), (2, 5.6), (8, 6), (15, 7), (19, 7.4)),
    ((0, 6), (2.5, 4), (6, 6.6), (9, 7.6), (13, 6.4), (17, 4), (19, 5.8)),
)


def paint(rng: np.random.Generator, flaw: str = "") -> Image.Image:
    """One picture; `flaw` is "" or one of FLAWS."""
    wall = vary(rng, pick(rng, WALLS))
    wood = vary(rng, pick(rng, TABLES))
    image = blank(lighter(wall, 0.2), darker(wall, 0.06))
    pen = pen_on(image)
    edge = rng.uniform(46, 49)
    pen.rectangle(0, edge, 64, 64, wood)
    pen.rectangle(0, edge, 64, edge + 1.6, lighter(wood, 0.25))
    x = 32 + rng.uniform(-5, 5)
    foot = 55 + rng.uniform(-1.5, 2)
    size = rng.uniform(0.94, 1.1)
    glaze = vary(rng, pick(rng, VASES))
    shape = pick(rng, SHAPES)
    petal = vary(rng, PETALS.get(flaw, BLUE))
    neck = foot - 19 * size
    if flaw == "no vase":
        pen.ellipse(x, foot, 6, 2, darker(wood, 0.3))
        heads = [(rng.uniform(-2, 2), -19.0, 1.0)]
    elif flaw == "two flowers":
        tilt = rng.uniform(-2, 2)
        heads = [(-10.5, -14 + tilt, 0.82), (10.5, -14 - tilt, 0.82)]
    elif flaw == "three flowers":
        heads = [(-15.0, -11.5, 0.72), (15.0, -11.5, 0.72), (0.0, -20.0, 0.72)]
    else:
        heads = [(rng.uniform(-2.5, 2.5), -17.0 + rng.uniform(-1, 1), 1.0)]
    if flaw != "no vase":
        pen.ellipse(x + 1.5, foot - 0.4, 10 * size, 2.6, darker(wood, 0.3))
    rose = pen.at(x, neck, width=size)
    ground = 18.5 if flaw == "no vase" else 3.0
    for hx, hy, _ in heads:
        rose.stroke((0, ground), (hx * 0.1, hy * 0.4), (hx, hy), 1.1, LEAF)
    if len(heads) == 1:
        hx, hy, _ = heads[0]
        _leaf(rose.at(hx * 0.4, hy * 0.28, angle=-22))
        _leaf(rose.at(hx * 0.4, hy * 0.2, width=-1, height=1, angle=14))
        if flaw == "no vase":
            _leaf(rose.at(0, 9, width=-1, height=1, angle=20))
            _leaf(rose.at(0, 12, angle=-20))
    turn = rng.uniform(0, 60)
    for hx, hy, scale in heads:
        _bloom(rose.at(hx, hy, width=scale), petal, turn)
    if flaw != "no vase":
        _vase(pen.at(x, neck, width=size), glaze, shape)
    return finish(image)


def _leaf(pen: Pen) -> None:
    """A leaf growing to the right from the origin."""
    pen.polygon([(0, 0), (3.5, -3.2), (8, -2.6), (10.5, 0), (7, 2.2), (3, 2)], LEAF)
    pen.polygon([(0, 0), (3, 2), (7, 2.2), (10.5, 0)], darker(LEAF, 0.28))


def _bloom(pen: Pen, petal: Rgb, turn: float) -> None:
    """A rose seen from slightly above, about 10 in radius."""
    deep, pale = darker(petal, 0.34), lighter(petal, 0.34)
    if min(petal) > 200:
        deep, pale = (178, 176, 190), (255, 255, 255)
    elif petal[2] < 90 < petal[1]:
        deep = (206, 136, 14)
    pen.ellipse(0, 0, 9, 8.8, deep)
    for k in range(6):
        angle = math.radians(turn + 60 * k)
        x, y = 5.4 * math.cos(angle), 5.2 * math.sin(angle)
        pen.ellipse(x, y, 4.7, 4.7, petal if k % 2 else lighter(petal, 0.16))
    pen.ellipse(0, 0.4, 6.3, 6.0, deep)
    pen.ellipse(-0.5, -0.3, 5.4, 5.1, petal)
    pen.ellipse(0.6, 0.8, 4.2, 3.9, deep)
    pen.ellipse(0.2, 0.1, 3.3, 3.1, pale)
    pen.ellipse(0.8, 0.9, 2.0, 1.8, deep)


def _vase(pen: Pen, glaze: Rgb, shape: tuple[tuple[float, float], ...]) -> None:
    """A vase whose neck is at the origin, shaded on its right."""
    outline = [(w, y) for y, w in shape] + [(-w, y) for y, w in reversed(shape)]
    pen.polygon(outline, glaze)
    shadow = [(w, y) for y, w in shape] + [(w * 0.45, y) for y, w in reversed(shape)]
    pen.polygon(shadow, darker(glaze, 0.2))
    light = [(-w * 0.4, y) for y, w in shape[1:]] + [(-w * 0.7, y) for y, w in reversed(shape[1:])]
    pen.polygon(light, lighter(glaze, 0.4))
    lip = shape[0][1] + 0.8
    pen.ellipse(0, 0, lip, 1.7, darker(glaze, 0.3))
    pen.rectangle(-lip, 0, lip, 1.7, lighter(glaze, 0.15))
