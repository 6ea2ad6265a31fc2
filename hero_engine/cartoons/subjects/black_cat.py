"""Draws "a black cat sitting inside a cardboard box", right or with one named flaw."""

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

PROMPT = "a black cat sitting inside a cardboard box"
FLAWS = ("beside the box", "through the wall", "white cat", "two cats", "no cat", "no box")

BLACK: Rgb = (30, 28, 38)
WHITE: Rgb = (246, 244, 240)
CARDBOARD: Rgb = (204, 146, 84)
INSIDE: Rgb = (122, 78, 40)
# Wall and floor of the room: none is near black, white or cardboard.
ROOMS: tuple[tuple[Rgb, Rgb], ...] = (
    ((126, 190, 202), (84, 146, 164)),
    ((150, 196, 140), (100, 152, 104)),
    ((186, 164, 214), (140, 118, 178)),
    ((232, 156, 162), (190, 112, 126)),
    ((120, 164, 222), (82, 120, 184)),
)
EYES: tuple[Rgb, ...] = ((236, 222, 60), (150, 226, 90))


def paint(rng: np.random.Generator, flaw: str = "") -> Image.Image:
    """One picture; `flaw` is "" or one of FLAWS."""
    wall, floor = pick(rng, ROOMS)
    wall, floor = vary(rng, wall), vary(rng, floor)
    image = blank(lighter(wall, 0.12), wall)
    pen = pen_on(image)
    horizon = rng.uniform(37, 42)
    pen.rectangle(0, horizon, 64, 64, floor)
    pen.rectangle(0, horizon, 64, horizon + 2, lighter(wall, 0.55))
    size = rng.uniform(0.95, 1.12)
    scene = pen.at(32 + rng.uniform(-4, 4), 41 + rng.uniform(-2, 2), width=size)
    coat = WHITE if flaw == "white cat" else BLACK
    eyes = pick(rng, EYES)
    tan = vary(rng, CARDBOARD, 9)
    shade = darker(floor, 0.28)
    if flaw == "no box":
        scene.ellipse(0, 14, 15, 3.5, shade)
        _cat(scene.at(0, -5), coat, eyes)
    elif flaw == "beside the box":
        side = 1 if rng.random() < 0.5 else -1
        box = pen.at(32 - side * 12.5, 45, width=0.72 * side, height=0.85)
        cat = pen.at(32 + side * 17.5, 41, width=0.88 * side, height=0.88)
        box.ellipse(0, 15, 20, 3, shade)
        cat.ellipse(0, 19.5, 12, 3, shade)
        _back(box, tan)
        _front(box, tan)
        _cat(cat, coat, eyes)
    else:
        scene.ellipse(0, 15.5, 20, 3.5, shade)
        _back(scene, tan)
        if flaw == "two cats":
            for side in (-1, 1):
                _cat(scene.at(side * 8.4, -4.5, width=0.76), coat, eyes, tail=False)
        elif flaw != "no cat":
            _cat(scene.at(0, -6), coat, eyes)
        _front(scene, tan)
        if flaw == "two cats":
            for side in (-1, 1):
                _paws(scene.at(side * 8.4, 0.5, width=0.76), coat)
        elif flaw == "through the wall":
            _burst(scene, tan, coat)
        elif flaw != "no cat":
            _paws(scene.at(0, 0.5), coat)
    return finish(image)


def _back(pen: Pen, tan: Rgb) -> None:
    """The box's far side: the opening and the two side flaps. The near rim is at y = 0."""
    pen.polygon([(-17, 0), (-13.5, -7), (13.5, -7), (17, 0)], INSIDE)
    pen.polygon([(-13.5, -7), (-12.5, -4), (12.5, -4), (13.5, -7)], mix(INSIDE, tan, 0.45))
    for side in (-1, 1):
        flap = [(side * 17, 0.5), (side * 13.5, -7), (side * 19.5, -9.5), (side * 23, -3)]
        pen.polygon(flap, lighter(tan, 0.28))


def _front(pen: Pen, tan: Rgb) -> None:
    """The box's near wall with its tape."""
    pen.polygon([(-17, 0), (17, 0), (16, 16), (-16, 16)], tan)
    pen.polygon([(-16.2, 12.5), (16.2, 12.5), (16, 16), (-16, 16)], darker(tan, 0.16))
    pen.rectangle(-17, 0, 17, 1.4, lighter(tan, 0.35))
    pen.rectangle(-2.2, 1.4, 2.2, 9, lighter(tan, 0.22))


def _cat(pen: Pen, coat: Rgb, eyes: Rgb, tail: bool = True) -> None:
    """A sitting cat seen from the front: ears at y = -19, feet at y = 20."""
    pale = coat == WHITE
    edge = (150, 148, 170) if pale else BLACK
    sheen = (222, 220, 226) if pale else (58, 54, 72)
    for colour, grow in ((edge, 0.9), (coat, 0.0)) if pale else ((coat, 0.0),):
        if tail:
            pen.stroke((6, 17), (16, 17), (14, 6), 2 + grow, colour)
        pen.ellipse(0, 10, 9 + grow, 10.5 + grow, colour)
        pen.ellipse(0, -7, 9.6 + grow, 7.8 + grow, colour)
        for side in (-1, 1):
            pen.polygon(
                [
                    (side * (9.2 + grow), -6),
                    (side * (8.6 + grow), -19 - grow),
                    (side * (0.8 - grow), -12.5 - grow),
                ],
                colour,
            )
    pen.ellipse(0, 9, 4.4, 6.5, sheen)
    for side in (-1, 1):
        pen.polygon([(side * 7.6, -11), (side * 7.4, -16), (side * 3.9, -12.6)], (196, 110, 130))
        pen.ellipse(side * 4.2, -7.4, 2.7, 2.8, eyes)
        pen.ellipse(side * 4.2, -7.2, 1.0, 2.2, (16, 14, 22))
    pen.ellipse(0, -3.4, 2.9, 1.9, sheen)
    pen.ellipse(0, -4.2, 1.4, 1.1, (232, 130, 150))


def _paws(pen: Pen, coat: Rgb) -> None:
    """Two paws laid over the near rim."""
    for side in (-1, 1):
        if coat == WHITE:
            pen.ellipse(side * 5, 0, 3.6, 2.9, (150, 148, 170))
        pen.ellipse(side * 5, 0, 2.9, 2.2, coat)


def _burst(pen: Pen, tan: Rgb, coat: Rgb) -> None:
    """The cat's body pushed out through a torn hole in the near wall."""
    torn = [
        (-11, 1), (-8.5, 4), (-12, 7), (-8.5, 9.5), (-10.5, 14), (-5, 12.5), (-1.5, 15.5),
        (3, 12.8), (8.5, 15), (8.4, 10), (12, 7.5), (8.4, 4.5), (11, 1), (0, 3),
    ]  # fmt: skip
    pen.polygon(torn, lighter(tan, 0.62))
    pen.ellipse(0, 5.5, 6.8, 8.2, coat)
    for side in (-1, 1):
        pen.ellipse(side * 4.3, 14.5, 3.6, 2.8, coat)
    pen.rectangle(-7, -2, 7, 4, coat)
