"""Pixel measurements that the judges share: colour masks, regions, row backgrounds, cleanness."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from hero_engine.cartoons.canvas import SIZE

Mask = NDArray[np.bool_]
Plane = NDArray[np.float64]

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Pixels:
    """A 64x64 picture as numbers: `rgb` of shape (64, 64, 3) from 0 to 255."""

    rgb: Plane

    @cached_property
    def value(self) -> Plane:
        """The largest channel, 0 to 1."""
        return np.asarray(self.rgb.max(-1) / 255)

    @cached_property
    def saturation(self) -> Plane:
        """The spread of the channels over the largest, 0 to 1."""
        spread = self.rgb.max(-1) - self.rgb.min(-1)
        return np.asarray(spread / np.maximum(self.rgb.max(-1), 1))

    @cached_property
    def hue(self) -> Plane:
        """Degrees, 0 to 360: red 0, green 120, blue 240."""
        r, g, b = np.moveaxis(self.rgb, -1, 0)
        # atan2 form: smooth everywhere, unlike the piecewise formula.
        angle = np.degrees(np.arctan2(math.sqrt(3) * (g - b), 2 * r - g - b))
        return np.asarray(angle % 360)

    @cached_property
    def luma(self) -> Plane:
        """Brightness, 0 to 255."""
        return np.asarray(self.rgb @ np.array([0.299, 0.587, 0.114]))

    def hues(self, low: float, high: float) -> Mask:
        """Where the hue lies between `low` and `high` degrees; `low` may be negative."""
        return np.asarray((self.hue - low) % 360 <= high - low)

    def row_background(self, columns: int = 4) -> Plane:
        """Each row's colour at the picture's left and right edges, shape (64, 1, 3)."""
        edges = np.concatenate([self.rgb[:, :columns], self.rgb[:, -columns:]], axis=1)
        return np.asarray(np.median(edges, axis=1, keepdims=True))

    def foreground(self, threshold: float, columns: int = 4) -> Mask:
        """Where a pixel is further than `threshold` from its row's background."""
        return np.asarray(distance(self.rgb, self.row_background(columns)) > threshold)


@dataclass(frozen=True)
class Region:
    """A connected set of pixels; `right` and `bottom` are one past its last column and row."""

    mask: Mask
    area: int
    x: float
    y: float
    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns spanned."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows spanned."""
        return self.bottom - self.top


def read(image: Image.Image | NDArray[np.uint8]) -> Pixels:
    """The picture's pixels, brought to 64x64; an array is (height, width, 3) of uint8."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
    picture = picture.convert("RGB")
    if picture.size != (SIZE, SIZE):
        picture = picture.resize((SIZE, SIZE), Image.Resampling.BOX)
    rgb = np.asarray(picture, dtype=np.float64)
    # Half a pixel of blur takes pixel noise out of the masks and leaves the shapes.
    return Pixels(ndimage.gaussian_filter(rgb, (0.5, 0.5, 0)))


def distance(rgb: Plane, colour: Plane | tuple[int, int, int]) -> Plane:
    """Euclidean distance in RGB of every pixel from `colour`."""
    return np.asarray(np.sqrt(((rgb - np.asarray(colour, dtype=np.float64)) ** 2).sum(-1)))


def regions(mask: Mask, smallest: int = 1) -> list[Region]:
    """The eight-connected regions of at least `smallest` pixels, largest first."""
    labels, _ = ndimage.label(mask, structure=_EIGHT)
    parts = (_measured(labels == k + 1) for k in range(int(labels.max())))
    return sorted((r for r in parts if r.area >= smallest), key=lambda r: -r.area)


def joined(first: Region, second: Region) -> Region:
    """Both regions as one, though they may not touch."""
    return _measured(first.mask | second.mask)


def _measured(mask: Mask) -> Region:
    ys, xs = np.nonzero(mask)
    return Region(
        mask=mask,
        area=int(xs.size),
        x=float(xs.mean()) + 0.5,
        y=float(ys.mean()) + 0.5,
        left=int(xs.min()),
        top=int(ys.min()),
        right=int(xs.max()) + 1,
        bottom=int(ys.max()) + 1,
    )


def grow(mask: Mask, pixels: int) -> Mask:
    """`mask` widened by `pixels` in all eight directions."""
    return np.asarray(ndimage.binary_dilation(mask, _EIGHT, iterations=pixels))


def fill(mask: Mask) -> Mask:
    """`mask` with its holes filled."""
    return np.asarray(ndimage.binary_fill_holes(mask))


def between(mask: Mask) -> Mask:
    """Everything from the first to the last true pixel of each row."""
    left = np.maximum.accumulate(mask, axis=1)
    right = np.maximum.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(left & right)


def share(mask: Mask) -> float:
    """The share of true pixels; 0 for an empty mask."""
    return float(mask.mean()) if mask.size else 0.0


def near(value: float, aim: float, tolerance: float) -> float:
    """1 at `aim`, falling as a bell whose standard deviation is `tolerance`."""
    return math.exp(-0.5 * ((value - aim) / tolerance) ** 2)


def roughness(pixels: Pixels) -> float:
    """Mean distance of pixels from their 3x3 median: about 3 in a drawing, over 20 in noise."""
    middle = ndimage.median_filter(pixels.rgb, size=(3, 3, 1))
    return float(np.abs(pixels.rgb - middle).mean())


def steepness(pixels: Pixels) -> float:
    """Of the steps of colour between neighbours that can be seen, the share that is steep.

    About 0.7 in a drawing, 0.4 after a blur of 0.7 pixels, and 0 in a smear.
    """
    across = np.abs(np.diff(pixels.rgb, axis=1)).max(-1)
    down = np.abs(np.diff(pixels.rgb, axis=0)).max(-1)
    steps = np.concatenate([across.ravel(), down.ravel()])
    return float((steps > 30).sum() / max(1, (steps > 20).sum()))
