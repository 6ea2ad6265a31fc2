"""What the commands print: tables on stdout, messages on stderr."""

import sys
from collections.abc import Sequence

from hero_engine.run.text import plain
from hero_tui.streams import drawn


def message(text: str) -> None:
    """Says something on stderr."""
    print(text, file=sys.stderr)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; where stdout is not a terminal, aligned columns of any width."""
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[plain(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        shown = Table(*header, box=SIMPLE_HEAD, pad_edge=False)
        for row in cells:
            shown.add_row(*(Text(cell, overflow="fold") for cell in row))
        Console(highlight=False, file=drawn(sys.stdout)).print(shown)
        return
    lines = [list(header), *cells]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        padded = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)
        ]
        print("  ".join(padded).rstrip())
