"""A supersampled canvas and a pen with its own frame: what every subject draws with.

Lengths are in pixels of the finished 64x64 picture, x to the right and y down. The canvas is four
times larger and is averaged down once at the end, so edges are smooth at no cost per shape.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
SCALE = 4

Rgb = tuple[int, int, int]
Point = tuple[float, float]
T = TypeVar("T")

_CIRCLE = tuple((math.cos(2 * math.pi * k / 28), math.sin(2 * math.pi * k / 28)) for k in range(28))
_RAMP = Image.linear_gradient("L").resize((SIZE * SCALE, SIZE * SCALE))


def mix(first: Rgb, second: Rgb, amount: float) -> Rgb:
    """The colour at `amount` (0 to 1) of the way from `first` to `second`."""
    r, g, b = (round(p + (q - p) * amount) for p, q in zip(first, second, strict=True))
    return r, g, b


def darker(colour: Rgb, amount: float = 0.25) -> Rgb:
    """`colour` mixed with a bluish black."""
    return mix(colour, (20, 16, 40), amount)


def lighter(colour: Rgb, amount: float = 0.3) -> Rgb:
    """`colour` mixed with white."""
    return mix(colour, (255, 255, 255), amount)


def vary(rng: np.random.Generator, colour: Rgb, spread: int = 7) -> Rgb:
    """`colour` with each channel moved by at most `spread`."""
    shift = rng.integers(-spread, spread + 1, 3)
    r, g, b = (max(0, min(255, c + int(s))) for c, s in zip(colour, shift, strict=True))
    return r, g, b


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of `choices`, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


@dataclass(frozen=True)
class Pen:
    """Draws filled shapes in a frame that can be moved, turned, scaled, mirrored and tinted.

    `frame` is the affine map (a, b, c, d, e, f): (x, y) goes to (a x + b y + c, d x + e y + f).
    """

    canvas: ImageDraw.ImageDraw
    frame: tuple[float, float, float, float, float, float] = (1, 0, 0, 0, 1, 0)
    tint: Rgb = (0, 0, 0)
    tint_amount: float = 0.0

    def at(
        self, x: float, y: float, *, width: float = 1, height: float | None = None, angle: float = 0
    ) -> "Pen":
        """A pen whose origin is at (x, y), turned clockwise by `angle` degrees and scaled.

        A negative `width` or `height` mirrors; `height` is `width`'s size when left out.
        """
        height = abs(width) if height is None else height
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        a, b, c, d, e, f = self.frame
        p, q, r, s = cos * width, -sin * height, sin * width, cos * height
        frame = (
            a * p + b * r,
            a * q + b * s,
            a * x + b * y + c,
            d * p + e * r,
            d * q + e * s,
            d * x + e * y + f,
        )
        return replace(self, frame=frame)

    def tinted(self, colour: Rgb, amount: float) -> "Pen":
        """A pen whose every colour is mixed with `colour`."""
        return replace(self, tint=colour, tint_amount=amount)

    def polygon(self, points: Sequence[Point], fill: Rgb) -> None:
        """A filled polygon."""
        a, b, c, d, e, f = self.frame
        if self.tint_amount:
            fill = mix(fill, self.tint, self.tint_amount)
        self.canvas.polygon(
            [(SCALE * (a * x + b * y + c), SCALE * (d * x + e * y + f)) for x, y in points], fill
        )

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Rgb) -> None:
        """A filled rectangle, upright in the pen's frame."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: Rgb, angle: float = 0
    ) -> None:
        """A filled ellipse of half-axes `rx` and `ry`, turned clockwise by `angle` degrees."""
        if angle:
            cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            points = [
                (x + cos * rx * u - sin * ry * v, y + sin * rx * u + cos * ry * v)
                for u, v in _CIRCLE
            ]
        else:
            points = [(x + rx * u, y + ry * v) for u, v in _CIRCLE]
        self.polygon(points, fill)

    def taper(self, start: Point, end: Point, r0: float, r1: float, fill: Rgb) -> None:
        """A rounded bar from `start` (radius `r0`) to `end` (radius `r1`)."""
        (x0, y0), (x1, y1) = start, end
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        nx, ny = -(y1 - y0) / length, (x1 - x0) / length
        self.polygon(
            [
                (x0 + nx * r0, y0 + ny * r0),
                (x1 + nx * r1, y1 + ny * r1),
                (x1 - nx * r1, y1 - ny * r1),
                (x0 - nx * r0, y0 - ny * r0),
            ],
            fill,
        )
        self.ellipse(x0, y0, r0, r0, fill)
        self.ellipse(x1, y1, r1, r1, fill)

    def stroke(self, start: Point, bend: Point, end: Point, radius: float, fill: Rgb) -> None:
        """A rounded line along the quadratic Bezier curve from `start` to `end`."""
        left, right = [], []
        for k in range(9):
            t = k / 8
            p, q, r = (1 - t) ** 2, 2 * t * (1 - t), t * t
            x = p * start[0] + q * bend[0] + r * end[0]
            y = p * start[1] + q * bend[1] + r * end[1]
            dx = (1 - t) * (bend[0] - start[0]) + t * (end[0] - bend[0])
            dy = (1 - t) * (bend[1] - start[1]) + t * (end[1] - bend[1])
            length = math.hypot(dx, dy) or 1.0
            nx, ny = -dy / length * radius, dx / length * radius
            left.append((x + nx, y + ny))
            right.append((x - nx, y - ny))
        self.polygon(left + right[::-1], fill)
        self.ellipse(*start, radius, radius, fill)
        self.ellipse(*end, radius, radius, fill)


def blank(top: Rgb, bottom: Rgb) -> Image.Image:
    """A supersampled canvas with a vertical gradient."""
    size = (SIZE * SCALE, SIZE * SCALE)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), _RAMP)


def pen_on(image: Image.Image) -> Pen:
    """A pen in the frame of the finished picture."""
    return Pen(ImageDraw.Draw(image))


def finish(image: Image.Image) -> Image.Image:
    """The 64x64 picture: each pixel the mean of its 4x4 block."""
    return image.reduce(SCALE)
