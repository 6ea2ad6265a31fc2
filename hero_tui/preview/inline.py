"""A drawing among lines of output, as a command prints it: without Textual's screen."""

from hero_tui.preview import kitty
from hero_tui.preview.drawing import Drawing, Placement, Text


def inline(drawing: Drawing, rows: int) -> str:
    """What is written so that `drawing` stands in the next `rows` lines.

    The cursor is at the start of a line before and after. Of a drawing that is text only what has
    to be sent before its lines.
    """
    match drawing:
        case Text(image=image):
            return "".join(image.transmission) if image is not None else ""
        case Placement(image, columns, height, left, top):
            before = "".join(image.transmission)
            codes = [_at(left, top, kitty.place(image.number, 1, columns, height))]
        case _:
            before = ""
            codes = [_at(part.column, part.row, part.code) for part in drawing.parts]
    # The lines are made first: at the bottom of a screen they scroll it.
    return f"{before}{chr(10) * rows}\x1b[{rows}A{''.join(codes)}\x1b[{rows}B"


def _at(column: int, row: int, code: str) -> str:
    # A movement by 0 would be one by 1.
    down = f"\x1b[{row}B" if row else ""
    right = f"\x1b[{column}C" if column else ""
    return f"\x1b7{down}{right}{code}\x1b8"
