"""Standard output and standard error, on which text is shown and never obeyed.

Whatever a command prints (an error with a key of a task file in it, a library's warning, a
traceback, an argument that was mistyped) passes through here, and its control characters are
written as their escapes. What hero-tui draws itself, such as a bar, goes to `drawn`.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO, cast

from hero_engine.run.text import plain_lines

if TYPE_CHECKING:
    from rich.console import Console


class PlainStream:
    """A text stream that writes to another one, which it is in all else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes `text` as `plain_lines` has it."""
        self.stream.write(plain_lines(text))
        return len(text)

    def writelines(self, lines: "list[str]") -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        if name == "buffer":  # click writes to it where it thinks little of the encoding
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextmanager
def plain_streams() -> Iterator[None]:
    """Standard output and standard error obey nothing, and take every character.

    A character that the locale's encoding does not have is written as its escape, such as \\u732b.
    """
    before = sys.stdout, sys.stderr
    # None for a stream that is closed.
    streams = [stream or io.StringIO() for stream in before]
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (cast(TextIO, PlainStream(stream)) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def keep_numbers() -> None:
    """Takes the numbers of standard streams that are closed, before a file gets them.

    What is written to standard error would be written into the run's record otherwise.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def write_utf8() -> None:
    """Both streams write UTF-8 from now on, which their terminal takes whatever the locale."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.reconfigure(encoding="utf-8")


def drawn(stream: TextIO) -> IO[str]:
    """The stream under a plain one: for colours and cursor movements of hero-tui's own."""
    return stream.stream if isinstance(stream, PlainStream) else stream


def traceback_console() -> "Console":
    """Where an app of Textual's shows what went wrong in it: standard error, without colours."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, color_system=None)
