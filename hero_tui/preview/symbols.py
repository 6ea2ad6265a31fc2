"""The characters that fill some of the equal parts of a cell: half-blocks, quadrants, sextants and
octants.

A pattern is a number whose bit i is set where part i is filled; parts are counted as one reads,
from left to right and from the top down. Code points: the Unicode Standard 16.0, the charts Block
Elements (2580), Symbols for Legacy Computing (1FB00) and its Supplement (1CC00). The sextants and
the octants stand there in the order of their patterns, without those that an older character shows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray

from hero_tui.preview.terminal import Mosaic

_QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_LEFT, _RIGHT = 0b010101, 0b101010

# Octants that are no halves or quadrants, but have no code point among the octants either.
_LOWER_QUARTER, _LOWER_THREE_QUARTERS = 0b11000000, 0b11111100
_UPPER_QUARTER, _UPPER_THREE_QUARTERS = 0b00000011, 0b00111111
_CORNERS = (0b00000001, 0b00000010, 0b01000000, 0b10000000)
_MIDDLES = (0b00010100, 0b00101000)


@dataclass(frozen=True, eq=False)
class Symbols:
    """One way to part cells.

    Attributes:
        across, down: the parts in a row, and the rows of parts.
        characters: by pattern. Of a pattern and its complement, which shows the same with the
            colours exchanged, there is only the one that more fonts have.
    """

    across: int
    down: int
    characters: Mapping[int, str]

    @cached_property
    def patterns(self) -> NDArray[np.bool_]:
        """Which parts each of `characters` fills, [characters, parts]."""
        parts = np.arange(self.across * self.down)
        return np.asarray(np.array(list(self.characters))[:, None] >> parts & 1, bool)


def _symbols(across: int, down: int, character: Callable[[int], str]) -> Symbols:
    every = (1 << across * down) - 1
    chosen = {}
    for pattern in range(1 + every >> 1):
        pair = {each: character(each) for each in (pattern, every - pattern)}
        best = min(filter(pair.get, pair), key=pair.__getitem__)
        chosen[best] = pair[best]
    return Symbols(across, down, chosen)


def _in_order(first: int, patterns: int, elsewhere: Mapping[int, str]) -> Sequence[str]:
    """Characters from code point `first` on, by pattern, but for those that are `elsewhere`."""
    points = count(first)
    return [
        elsewhere[pattern] if pattern in elsewhere else chr(next(points))
        for pattern in range(patterns)
    ]


def _doubled(quadrants: int) -> int:
    """A pattern of quadrants as one of octants, which are half as high."""
    upper, lower = quadrants & 0b11, quadrants >> 2
    return upper | upper << 2 | lower << 4 | lower << 6


_SEXTANTS = _in_order(0x1FB00, 64, {0: " ", _LEFT: "▌", _RIGHT: "▐", 0b111111: "█"})
_OCTANTS = _in_order(
    0x1CD00,
    256,
    {_doubled(pattern): character for pattern, character in enumerate(_QUADRANTS)}
    | {_LOWER_QUARTER: "▂", _LOWER_THREE_QUARTERS: "▆"}
    # Terminals that draw the octants lack some of these (kitty before 0.47); their complements
    # are octants.
    | dict.fromkeys((_UPPER_QUARTER, _UPPER_THREE_QUARTERS, *_CORNERS, *_MIDDLES), ""),
)

SYMBOLS: Mapping[Mosaic, Symbols] = {
    "blocks": _symbols(1, 2, " ▀▄█".__getitem__),
    "quadrants": _symbols(2, 2, _QUADRANTS.__getitem__),
    "sextants": _symbols(2, 3, _SEXTANTS.__getitem__),
    "octants": _symbols(2, 4, _OCTANTS.__getitem__),
}
