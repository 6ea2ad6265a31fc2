"""How far a command of the engine is, on its standard error."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class PictureBar:
    """A bar with an estimate in a terminal; a line a chunk elsewhere."""

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total
        self._started = time.monotonic()
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("drawing", total=total, counts=self._counts())

    def __enter__(self) -> "PictureBar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def within(self, pictures: int) -> Callable[[float], None]:
        """Shows a share of the next `pictures` as done."""
        return lambda share: self._progress.update(
            self._task, completed=self._done + share * pictures
        )

    def advance(self, pictures: int) -> None:
        """Counts `pictures` that are on the disk."""
        self._done += pictures
        self._progress.update(self._task, completed=self._done, counts=self._counts())
        if not self._console.is_terminal:
            pace = (time.monotonic() - self._started) / self._done
            left = round(pace * (self._total - self._done))
            said = f", about {left // 60}:{left % 60:02d} left" if self._done < self._total else ""
            self._console.print(f"{self._counts()} pictures{said}")

    def _counts(self) -> str:
        return f"{self._done} of {self._total}"
