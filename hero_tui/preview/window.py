"""The size of a terminal's window, which the kernel keeps for it."""

import fcntl
import struct
import termios

Size = tuple[int, int]
"""Width and height."""


def window(fd: int) -> tuple[Size, Size | None]:
    """The (columns, rows) of the terminal at `fd`, zeros if it does not say, and its pixels.

    Raises:
        OSError: it is not a terminal.
    """
    answer = fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(struct.calcsize("HHHH")))
    rows, columns, width, height = struct.unpack("HHHH", answer)
    return (columns, rows), (width, height) if width and height else None


def cell_in(cells: Size | None, pixels: Size | None) -> Size | None:
    """The pixels of one of the cells that a window is, or None where either is not known.

    What remains is the margin that some terminals count to their window.
    """
    if cells is None or pixels is None or min(cells) <= 0:
        return None
    cell = pixels[0] // cells[0], pixels[1] // cells[1]
    return cell if min(cell) > 0 else None
