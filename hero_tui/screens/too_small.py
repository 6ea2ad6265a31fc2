"""In place of every frame while the terminal is too small.

It is no screen: what the frames are of stays as it is, dialogs and all, however often the size
changes.
"""

from collections.abc import Iterable

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.strip import Strip

from hero_tui.textual_private import LayoutUpdate

# 80x24, less the status line of tmux.
LEAST = Size(80, 23)


def is_too_small(size: Size) -> bool:
    """Whether the interface does not fit a terminal of this size."""
    return size.width < LEAST.width or size.height < LEAST.height


def too_small(size: Size, leave: str) -> LayoutUpdate:
    """A frame that asks for a larger terminal; `leave`: the key that leaves."""
    lines = [
        "hero-tui needs 80x24",
        f"this terminal is {size.width}x{size.height}",
        "",
        "make it larger,",
        "or the font smaller",
        "",
        f"{leave} leaves",
    ][: size.height]
    above = (size.height - len(lines)) // 2
    lines = [""] * above + lines
    strips: list[Iterable[Strip]] = [
        [Strip([Segment(line[: size.width].center(size.width))], size.width)]
        for line in [*lines, *[""] * (size.height - len(lines))]
    ]
    return LayoutUpdate(strips, Region(0, 0, size.width, size.height))
