"""Being asked to stop or to finish, by a signal or by a command in the record.

The engine looks between writes, so whatever it was writing is whole when it goes.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from hero_engine.errors import HeroError
from hero_engine.run.record import Record


class Stop(Exception):  # noqa: N818, a request and not an error
    """Pause here; the run can be continued."""


class Finish(Exception):  # noqa: N818
    """The person is satisfied: evaluate now and end the run."""


class Interrupts:
    """Watches one run's commands, and SIGTERM and SIGINT once `listen` was called."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._stop = threading.Event()
        self._leave: Callable[[], object] | None = None
        # A stop that was sent while no engine ran must not end the next one.
        record.take("stop")

    def listen(self, leave: Callable[[], object]) -> None:
        """Makes SIGTERM and SIGINT ask for a stop; `leave` ends the process (`at_once`)."""
        self._leave = leave
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def check_stop(self) -> None:
        """Raises Stop if one was asked for."""
        if self._is_stop_asked():
            raise Stop

    def _is_stop_asked(self) -> bool:
        if self._record.is_pending("stop"):
            self._record.take("stop")
            self._stop.set()
        return self._stop.is_set()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Has a stop end the process while the block runs, which writes nothing.

        A model is fetched and loaded in minutes, by threads and libraries that no exception
        reaches.
        """
        done = threading.Event()

        def watch(leave: Callable[[], object]) -> None:
            while not done.wait(0.1):
                # A record that cannot be read ends the engine when it next needs it, and says why;
                # until then, a signal is obeyed.
                with suppress(HeroError):
                    self._is_stop_asked()
                if self._stop.is_set():
                    leave()
                    return

        if self._leave is None:
            yield
            return
        watching = threading.Thread(target=watch, args=(self._leave,), name="at once", daemon=True)
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()

    def check(self) -> None:
        """Raises Stop or Finish if one was asked for.

        Finish stays pending, so that it survives an interruption: what ends the run anyway, the
        final evaluation, asks `check_stop` only.
        """
        self.check_stop()
        if self._record.is_pending("finish"):
            raise Finish

    def wait(self, seconds: float) -> None:
        """Sleeps, but not past a signal."""
        self._stop.wait(seconds)
