"""What a picture becomes: text for the compositor, or escape sequences for after its frame.

Every kind can be sent in parts of at most `PART` bytes, so that a key press never waits for a whole
picture on a slow link.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.strip import Strip

from hero_tui.preview.scaling import Scaled

PART = 3_000
"""Bytes, 75 ms at 40 kB/s; smaller parts cost more in headers and palettes."""

PLACEHOLDER = "\U0010eeee"
"""The character over which kitty draws a cell of an image; its colour is the image's number."""

Strips = tuple[Strip, ...]


@dataclass(frozen=True, eq=False)
class KittyImage:
    """An image that a terminal with kitty's protocol keeps by its number once it has been sent.

    Attributes:
        number: unique among the images in use; one that is not is replaced by the next with its.
        transmission: the sequences that send it; nothing else about images comes between them.
    """

    number: int
    transmission: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Text:
    """A picture as lines of text, shown from the top down.

    Attributes:
        strips: the lines of the box.
        size: about how many bytes a line is.
        image: what has to be sent before (the lines are its placeholders), or None.
    """

    strips: Strips
    size: int
    image: KittyImage | None = None


@dataclass(frozen=True, eq=False)
class Placement:
    """An image that the terminal keeps, `columns` x `rows` cells large, in a box of cells."""

    image: KittyImage
    columns: int
    rows: int
    left: int
    top: int


@dataclass(frozen=True, eq=False)
class Part:
    """A sequence that draws a part of a picture where the cursor is.

    Attributes:
        column, row: the cell of the box at which the cursor has to be.
    """

    column: int
    row: int
    code: str


@dataclass(frozen=True, eq=False)
class Parts:
    """A picture that is drawn part by part, over the blank cells of a box."""

    parts: tuple[Part, ...]


Drawing = Text | Placement | Parts


def in_the_middle(
    lines: Sequence[Iterable[Segment]], width: int, columns: int, rows: int
) -> Strips:
    """Lines of `width` cells in the middle of `columns` x `rows` blank ones."""
    left, top = (columns - width) // 2, (rows - len(lines)) // 2
    margins = Segment(" " * left), Segment(" " * (columns - width - left))
    strips = [Strip.blank(columns)] * rows
    for y, line in enumerate(lines, start=top):
        strips[y] = Strip([margins[0], *line, margins[1]], columns)
    return tuple(strips)


def cut(picture: Scaled, encode: Callable[[int, int, int, int], str]) -> Parts:
    """A picture in parts, each at most `PART` long or one cell.

    `encode(column, row, columns, rows)` is the sequence for some of its cells.
    """

    def halved(column: int, row: int, columns: int, rows: int) -> list[Part]:
        code = encode(column, row, columns, rows)
        if len(code) <= PART or columns == rows == 1:
            return [Part(picture.left + column, picture.top + row, code)]
        if rows > 1:
            half = rows // 2
            return [
                *halved(column, row, columns, half),
                *halved(column, row + half, columns, rows - half),
            ]
        half = columns // 2
        return [
            *halved(column, row, half, rows),
            *halved(column + half, row, columns - half, rows),
        ]

    return Parts(tuple(halved(0, 0, picture.columns, picture.rows)))
