"""What is written by kitty's graphics protocol, read as the terminal does."""

import re
from collections.abc import Iterator

from hero_tui.preview import kitty
from hero_tui.preview.drawing import PLACEHOLDER


def commands(codes: str) -> list[tuple[dict[str, str], str]]:
    """The graphics commands in `codes`: their keys, and their data."""
    found = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", codes)
    return [(dict(key.split("=") for key in keys.split(",")), data) for keys, data in found]


def placeholders(codes: str) -> Iterator[tuple[int, int, int]]:
    """(image, row, column): the cells of images that text places."""
    colour = 0
    sign = "".join(kitty.DIACRITICS)
    for parameters, cell in re.findall(rf"\x1b\[([\d;]*)m|({PLACEHOLDER}[{sign}]{{2,3}})", codes):
        if cell:
            row, column, *highest = map(kitty.DIACRITICS.index, cell[1:])
            yield sum(highest) << 24 | colour, row, column
            continue
        left = [int(parameter or 0) for parameter in parameters.split(";")]
        while left:
            match left:
                case [38, 2, red, green, blue, *left]:
                    colour = red << 16 | green << 8 | blue
                case [38, 5, colour, *left]:
                    pass
                case [48, 2, _, _, _, *left] | [48, 5, _, *left]:
                    pass
                case [code, *left]:
                    colour = 0 if code in (0, 39) else colour
