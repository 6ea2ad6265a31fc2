"""The colours that a terminal of few colours has, and which of them is nearest to one.

Rich turns every colour into one of these when a frame is written. It takes some of them for
another: each is therefore given to it as a colour that becomes just that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rich._palettes import EIGHT_BIT_PALETTE, STANDARD_PALETTE
from rich.color import Color, ColorSystem

from hero_tui.preview.terminal import Colours

Floats = NDArray[np.float32]

_AT_ONCE = 16_384
"""Colours that are compared with the palette at once: 16 MB of distances."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours that can be told apart, [colours, 3], RGB from 0 to 255.

    Attributes:
        shown: as the terminal shows them.
        written: as Rich has to be given them.
    """

    shown: Floats
    written: Floats

    def nearest(self, colours: Floats) -> NDArray[np.intp]:
        """The number of the colour that is nearest to each of `colours`, [..., 3]."""
        flat = colours.reshape(-1, 3)
        numbers = [self._nearest(flat[start : start + _AT_ONCE]) for start in _starts(len(flat))]
        return np.concatenate(numbers).reshape(colours.shape[:-1])

    def _nearest(self, colours: Floats) -> NDArray[np.intp]:
        # |a - b|^2 without |a|^2, which is the same for every b.
        distances = (self.shown**2).sum(1) - 2 * colours @ self.shown.T
        return np.asarray(distances.argmin(1))


def _starts(length: int) -> range:
    return range(0, max(length, 1), _AT_ONCE)


@cache
def palette(colours: Colours) -> Palette | None:
    """The palette of a terminal with `colours`; None where it shows every colour.

    256 colours are the cube and the greys: the first 16 are whatever the terminal's owner likes.
    """
    match colours:
        case "truecolor":
            return None
        case "256":
            shown, system, numbers = EIGHT_BIT_PALETTE, ColorSystem.EIGHT_BIT, range(16, 256)
        case "16":
            shown, system, numbers = STANDARD_PALETTE, ColorSystem.STANDARD, range(16)
    becomes: dict[int | None, Sequence[int]] = {}
    greys = [(level, level, level) for level in range(256)]
    # A colour that stays itself comes last, and so before a grey that becomes it.
    for colour in (*greys, *(shown[number] for number in numbers)):
        becomes[Color.from_rgb(*colour).downgrade(system).number] = colour
    # None becomes one of four greys of the cube; between the other greys they are not missed.
    reached = [number for number in numbers if number in becomes]
    return Palette(
        np.array([shown[number] for number in reached], np.float32),
        np.array([becomes[number] for number in reached], np.float32),
    )
