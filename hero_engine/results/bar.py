"""How far a command of the engine is, on its standard error."""

import os
import sys
import time
from collections.abc import Callable

CELLS = 24


class PictureBar:
    """A bar with an estimate in a terminal, whose line begins with a carriage return; a line a
    chunk elsewhere.

    `hero-tui`, which shows what the engine says, tells by HERO_TUI_BAR that a terminal is there.
    """

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total
        self._started = time.monotonic()
        self._in_place = sys.stderr.isatty() or "HERO_TUI_BAR" in os.environ

    def __enter__(self) -> "PictureBar":
        self._draw(0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_place:
            print(file=sys.stderr, flush=True)

    def within(self, pictures: int) -> Callable[[float], None]:
        """Shows a share of the next `pictures` as done."""
        return lambda share: self._draw(self._done + share * pictures)

    def advance(self, pictures: int) -> None:
        """Counts `pictures` that are on the disk."""
        self._done += pictures
        self._draw(self._done)
        if not self._in_place:
            print(f"{self._counts()} pictures{self._left(self._done)}", file=sys.stderr, flush=True)

    def _draw(self, done: float) -> None:
        if self._in_place:
            bar = "#" * int(CELLS * done / self._total)
            line = f"drawing [{bar:<{CELLS}}] {self._counts()}{self._left(done)}"
            print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)

    def _counts(self) -> str:
        return f"{self._done} of {self._total}"

    def _left(self, done: float) -> str:
        if not 0 < done < self._total:
            return ""
        pace = (time.monotonic() - self._started) / done
        left = round(pace * (self._total - done))
        return f", about {left // 60}:{left % 60:02d} left"
