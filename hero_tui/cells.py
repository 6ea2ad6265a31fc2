"""What the terminal's cells show, and how a frame becomes what differs from them.

Textual writes whole widgets again, much of it blanks over blanks, which on a slow link is seconds
that a key waits. Here, as curses does it, a frame is compared with the cells as they were last
written. A cell that is not known is written in any case: all of them at the start and after a
resize, and those that something else drew over.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from rich.cells import split_graphemes
from rich.color import Color, ColorSystem
from rich.console import Console
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip

from hero_tui.preview.drawing import PLACEHOLDER
from hero_tui.textual_private import CompositorUpdate, Frame, LayoutUpdate, colours_of

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
ERASED = 8
"""More blanks than these in a row are erased, where that leaves the background's colour."""
ATTRIBUTES = {
    "bold": "1",
    "dim": "2",
    "italic": "3",
    "underline": "4",
    "blink": "5",
    "blink2": "6",
    "reverse": "7",
    "conceal": "8",
    "strike": "9",
    "underline2": "21",
    "frame": "51",
    "encircle": "52",
    "overline": "53",
}
ON_BLANKS = {"4", "7", "9", "21", "51", "52", "53"}
"""The attributes that are seen on a blank."""
MOST_PARAMETERS = 10
"""Of a sequence that sets a style: mlterm ignores the whole of one with more."""
BLACK, WHITE = "30", "97"
LEAST_CONTRAST = 4.5
"""Of words and their ground, as WCAG 2.1 asks for and reckons it."""


def _luminance(colour: Color) -> float:
    parts = [part / 255 for part in colour.get_truecolor()]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# By SGR's parameter for a ground of one of the 16 colours, as Rich takes them to be.
LUMINANCES = {
    colour.get_ansi_codes(foreground=False)[0]: _luminance(colour)
    for colour in map(Color.from_ansi, range(16))
}


class Pen(NamedTuple):
    """How text is written: SGR's parameters, and the target of a link.

    Attributes:
        fore: "" on blanks, where it is not seen.
    """

    attributes: str
    fore: str
    back: str
    link: str


Cell = tuple[str, Pen]
"""A character with what combines with it, "" in the second cell of a wide one; and its style."""

PLAIN = Pen("", "39", "49", "")


class Cells:
    """The cells of the terminal; `erases`: whether it erases to the background's colour.

    Attributes:
        size: of the latest frame that painted all.
    """

    def __init__(self, erases: bool) -> None:
        self._erases = erases
        self.size: Size | None = None
        self._rows: dict[int, list[Cell | None]] = {}

    def forget(self, region: Region | None = None) -> None:
        """Something else has been drawn there (None: anywhere)."""
        if region is None:
            self._rows.clear()
            return
        for y in region.line_range:
            row = self._rows.get(y, [])
            row[region.x : region.right] = [None] * len(row[region.x : region.right])

    def change(self, frame: Frame, colours: ColorSystem) -> tuple[str, list[Region]]:
        """What makes the terminal show `frame`, and the cells that it writes."""
        if isinstance(frame, LayoutUpdate):
            if self.size not in (None, frame.region.size):
                self.forget()
            self.size = frame.region.size
        codes: list[str] = []
        regions: list[Region] = []
        pen, at = PLAIN, (-1, -1)
        for x, y, strip in strips_of(frame):
            cells = cells_of(strip, colours)
            row = self._rows.setdefault(y, [])
            row += [None] * (x + len(cells) - len(row))
            for start, end in differing(row[x : x + len(cells)], cells):
                regions.append(Region(x + start, y, end - start, 1))
                column = x + start
                for style, group in groupby(cells[start:end], itemgetter(1)):
                    text = [character for character, _ in group]
                    code, pen = changed(pen, style)
                    codes += [moved(at, (column, y)), code]
                    if self._erases and not style.fore and len(text) > ERASED:
                        codes.append(f"\x1b[{len(text)}X")
                        at = column, y
                    else:
                        for offset, character in enumerate(text, start=1):
                            # The terminal may take a wide character for a narrow one.
                            codes.append(character or moved((-1, -1), (column + offset, y)))
                        at = column + len(text), y
                    column += len(text)
            row[x : x + len(cells)] = cells
        codes.append(changed(pen, PLAIN)[0])
        return "".join(codes), regions


class Change(CompositorUpdate):
    """What of a frame is not on the screen yet; found out when Textual writes it.

    Attributes:
        regions: the cells that were written.
    """

    def __init__(self, frame: Frame, cells: Cells) -> None:
        self._frame = frame
        self._cells = cells
        self.regions: list[Region] = []

    def render_segments(self, console: Console) -> str:
        code, self.regions = self._cells.change(self._frame, colours_of(console))
        return code


def strips_of(frame: Frame) -> Iterator[tuple[int, int, Strip]]:
    """(x, y, strip): what a frame of Textual's compositor paints."""
    if isinstance(frame, LayoutUpdate):
        for y, line in enumerate(frame.strips, frame.region.y):
            x = frame.region.x
            for strip in line:
                yield x, y, strip
                x += strip.cell_length
        return
    for y, start, end in frame.spans:
        for right, (x, chop) in zip(frame.chop_ends[y], frame.chops[y].items(), strict=False):
            if chop is not None and x <= end and right > start:
                yield x, y, chop if right <= end else chop.crop(0, end - x)


def cells_of(strip: Strip, colours: ColorSystem) -> list[Cell]:
    """The cells that a strip fills."""
    cells: list[Cell] = []
    for text, style, _ in strip:
        # The colour of a placeholder is a number, to which no other comes near.
        exact = text.startswith(PLACEHOLDER)
        pen, on_blanks = pens(style, ColorSystem.TRUECOLOR if exact else colours)
        if colours is ColorSystem.STANDARD and any(map(str.isalnum, text)):
            pen = readable(pen)
        cells += [(each, on_blanks if each == " " else pen) for each in characters(text)]
    return cells


@lru_cache(maxsize=4096)
def characters(text: str) -> tuple[str, ...]:
    """`text` by cells; control characters, which have none, are left out."""
    if text.isascii() and text.isprintable():
        return tuple(text)
    text = CONTROLS.sub("", text)
    spans, _ = split_graphemes(text)
    return tuple(cell for start, end, width in spans for cell in (text[start:end], "")[:width])


@lru_cache(maxsize=16384)
def pens(style: Style | None, colours: ColorSystem) -> tuple[Pen, Pen]:
    """`style` for characters, and for blanks."""
    if style is None:
        return PLAIN, PLAIN._replace(fore="")
    attributes = [code for name, code in ATTRIBUTES.items() if getattr(style, name)]
    fore, back = style.color, style.bgcolor
    pen = Pen(
        ";".join(attributes),
        "39" if fore is None else ";".join(fore.downgrade(colours).get_ansi_codes()),
        "49" if back is None else ";".join(back.downgrade(colours).get_ansi_codes(False)),
        style.link or "",
    )
    if pen.link or not ON_BLANKS.isdisjoint(attributes):
        return pen, pen
    return pen, Pen("", "", pen.back, "")


@lru_cache(maxsize=1024)
def readable(pen: Pen) -> Pen:
    """`pen` for words, where 16 colours may have brought theirs close to that of the ground.

    Black is not written in bold, which many terminals show as grey.
    """
    ground = LUMINANCES.get(pen.back)
    if ground is None:
        return pen

    def contrast(fore: str) -> float:
        low, high = sorted((LUMINANCES[f"{int(fore) + 10}"], ground))
        return (high + 0.05) / (low + 0.05)

    if pen.fore in ("", "39") or contrast(pen.fore) < LEAST_CONTRAST:
        pen = pen._replace(fore=max((BLACK, WHITE), key=contrast))
    if pen.fore == BLACK:
        left = [each for each in pen.attributes.split(";") if each != ATTRIBUTES["bold"]]
        pen = pen._replace(attributes=";".join(left))
    return pen


def differing(before: Iterable[Cell | None], now: list[Cell]) -> Iterator[tuple[int, int]]:
    """The runs (start, end) of cells that are not as `before`; no wide character is parted."""
    end = 0
    different = [one != other for one, other in zip(before, now, strict=True)]
    while (start := _index(different, True, end)) < len(now):
        end = _index(different, False, start)
        while start and now[start][0] == "":
            start -= 1
        while end < len(now) and now[end][0] == "":
            end += 1
        yield start, end


def _index(values: list[bool], value: bool, start: int) -> int:
    try:
        return values.index(value, start)
    except ValueError:
        return len(values)


def moved(at: tuple[int, int], to: tuple[int, int]) -> str:
    """Moves the cursor between cells (column, row)."""
    if at == to:
        return ""
    if at[1] == to[1] and at[0] < to[0]:
        return f"\x1b[{to[0] - at[0]}C" if to[0] - at[0] > 1 else "\x1b[C"
    return f"\x1b[{to[1] + 1};{to[0] + 1}H"


@lru_cache(maxsize=16384)
def changed(pen: Pen, to: Pen) -> tuple[str, Pen]:
    """What makes a terminal that writes as `pen` write as `to`; and how it writes then."""
    codes = []
    attributes = to.attributes
    if not to.fore and ON_BLANKS.isdisjoint(pen.attributes.split(";")):
        attributes = pen.attributes  # not seen either
    now = pen
    if pen.attributes and pen.attributes != attributes:
        codes.append("0")
        now = PLAIN
    if attributes != now.attributes:
        codes.append(attributes)
    if to.fore and to.fore != now.fore:
        codes.append(to.fore)
    if to.back != now.back:
        codes.append(to.back)
    if codes and (attributes, to.fore, to.back) == PLAIN[:3]:
        codes = ["0"]
    code = "".join(f"\x1b[{parameters}m" for parameters in short(codes))
    if to.link != pen.link:
        code += f"\x1b]8;{'id=1;' if to.link else ';'}{to.link}\x1b\\"
    return code, Pen(attributes, to.fore or now.fore, to.back, to.link)


def short(codes: list[str]) -> list[str]:
    """The parameters of as few sequences as have all of `codes`, none with too many."""
    joined: list[str] = []
    for code in codes:
        both = f"{joined[-1]};{code}" if joined else code
        if joined and both.count(";") < MOST_PARAMETERS:
            joined[-1] = both
        else:
            joined.append(code)
    return joined


def erases_to_background(term: str) -> bool:
    """Whether terminals of this name in terminfo erase cells to the colour in force."""
    try:
        import curses
    except ImportError:  # a Python that was built without it
        return False
    try:
        curses.setupterm(term, 1)
        return curses.tigetflag("bce") == 1 and curses.tigetstr("ech") is not None
    except curses.error:
        return False
