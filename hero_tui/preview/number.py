"""What stands for a picture where pictures are off: its number."""

from pathlib import Path

from rich.console import Console
from rich.segment import Segment
from textual.renderables.digits import Digits
from textual.strip import Strip

from hero_tui.preview.drawing import Strips, Text


def number_only(path: Path, columns: int, rows: int) -> Text:
    """The number of the picture at `path` (its file's name), large where there is room."""
    number = path.stem.lstrip("0") or "0"
    console = Console(color_system=None, width=3 * len(number))
    lines = [
        "".join(segment.text for segment in line)
        for line in console.render_lines(Digits(number), pad=False)
    ]
    if rows < len(lines) + 2 or columns < max(map(len, lines)):
        lines = [number]
    top = (rows - len(lines)) // 2
    blank = [""] * rows
    blank[top : top + len(lines)] = lines
    return Text(_centred(blank, columns), columns)


def _centred(lines: list[str], columns: int) -> Strips:
    return tuple(Strip([Segment(line[:columns].center(columns))], columns) for line in lines)
