"""Runs cells side by side, and shows how far all of them are.

Runs of one thread do not wait for each other, while the two threads of one run do: side by side
they use the cores better than one after the other.
"""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from rich.text import Text

from hero_engine.errors import HeroError
from hero_engine.run.text import plain_lines
from hero_tui.bench.cell import Cell
from hero_tui.bench.estimate import clock, done_of, left_of, passes
from hero_tui.bench.work import Outcome, Workshop
from hero_tui.headless.progress import console_and_bar

LOOK_SECONDS = 1.0
CELL_BYTES = 2 * 1024**3
"""Of memory, what an engine of the embedded model and its labeler may take together."""


def cores() -> int:
    """Those that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def jobs_here() -> int:
    """How many cells at a time: as many as there are cores, and memory for them."""
    return max(1, min(cores(), psutil.virtual_memory().available // CELL_BYTES))


def run_side_by_side(
    cells: Sequence[Cell],
    workshop: Workshop,
    jobs: int,
    ended: Callable[[Outcome], None],
    board: "Board",
) -> None:
    """Works on the cells in their order, `jobs` at a time, until all have ended or ctrl+c.

    One whose run begins as another's does follows that one at once, in the same thread.

    Args:
        ended: is told of each cell that comes to an end, in this thread.
    """
    waiting: queue.SimpleQueue[list[Cell]] = queue.SimpleQueue()
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    together = in_families(cells)
    for family in together:
        waiting.put(family)

    def take() -> None:
        with suppress(queue.Empty):
            while not workshop.is_stopping:
                for cell in waiting.get_nowait():
                    if not workshop.is_stopping:
                        board.begin(cell)
                        outcomes.put(workshop.work(cell))

    threads = [threading.Thread(target=take, daemon=True) for _ in range(min(jobs, len(together)))]
    left = len(cells)
    try:
        for thread in threads:
            thread.start()
        while left:
            with suppress(queue.Empty):
                outcome = outcomes.get(timeout=LOOK_SECONDS)
                left -= 1
                board.end(outcome.cell)
                ended(outcome)
            board.show()
    except KeyboardInterrupt:
        board.say("Stopping: each run finishes the write it is in (ctrl+c: do not wait)")
        workshop.stop()
        try:
            for thread in threads:
                while thread.is_alive():  # a join without a limit would not hear of ctrl+c
                    thread.join(0.2)
        except KeyboardInterrupt:
            board.say("Not waiting; the runs stop by themselves.")


def in_families(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells in their order, but those that are another's first rounds after it, beside it."""
    families: dict[str, list[Cell]] = {}
    for cell in cells:
        longer = [other for other in cells if cell.is_beginning_of(other)]
        longest = max(longer, key=lambda other: other.task.feedback.rounds, default=cell)
        families.setdefault(longest.name, []).append(cell)
    return [
        sorted(family, key=lambda cell: -cell.task.feedback.rounds) for family in families.values()
    ]


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """A service manager's SIGTERM stops the bench in order, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Board:
    """How far all cells are, on stderr: a line for each that ends, and in a terminal a bar.

    Args:
        cells: all, each once; done: those of them that are finished.
        second: what a pass takes here, as far as is known.
    """

    def __init__(
        self, cells: Sequence[Cell], done: Sequence[Cell], runs_dir: Path, jobs: int, second: float
    ) -> None:
        self._runs_dir = runs_dir
        self._passes = {cell.name: left_of(cell, cells) for cell in cells}
        self._all = sum(self._passes.values())
        self._behind = sum(self._passes[cell.name] for cell in done)
        self._cells, self._ended = len(cells), len(done)
        self._working: dict[str, Cell] = {}
        self._expected = jobs / second
        self._began: tuple[float, float] | None = None
        """When, and at how many passes, this bench began to look."""
        self._console, self._bar = console_and_bar()
        self._task = self._bar.add_task("", total=1.0, counts="")
        self._bar.start()

    def close(self) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._console.print(Text(plain_lines(text)))

    def begin(self, cell: Cell) -> None:
        """A cell is worked on."""
        self._working[cell.name] = cell

    def end(self, cell: Cell) -> None:
        """A cell is worked on no more."""
        self._working.pop(cell.name, None)
        self._ended += 1
        self._behind += self._passes[cell.name]

    def left(self) -> str:
        """About how long the rest takes."""
        now, done = time.monotonic(), self._done()
        if self._began is None:
            self._began = now, done
        seconds, gained = now - self._began[0], done - self._began[1]
        # What was expected weighs as much as a minute of what is seen.
        pace = (gained + 60 * self._expected) / (seconds + 60)
        return f"about {clock((self._all - done) / pace)} left"

    def _done(self) -> float:
        running = 0.0
        for cell in list(self._working.values()):
            with suppress(HeroError):
                done = done_of(cell.folder(self._runs_dir), cell.task)
                running += max(0.0, done - passes(cell.task) + self._passes[cell.name])
        return min(self._all, self._behind + running)

    def show(self) -> None:
        """Draws the bar anew."""
        if not self._console.is_terminal:
            return
        names = ", ".join(cell.title for cell in list(self._working.values())[:2])
        more = len(self._working) - 2
        self._bar.update(
            self._task,
            description=names + (f" and {more} more" if more > 0 else ""),
            completed=self._done() / self._all if self._all else 1.0,
            counts=f"{self._ended}/{self._cells} cells  {self.left()}",
        )
