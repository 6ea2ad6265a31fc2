"""Being told to end by a signal: the terminal is given back as it was found."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
LIMIT = 5.0
"""Seconds that it may take to end by oneself."""


@contextmanager
def when_told_to_end(
    leave: Callable[[int], object] | None = None, give_up: Callable[[], object] | None = None
) -> Iterator[None]:
    """Within, a signal to end calls `leave` with the exit code of who ends by it.

    Signals that are ignored, as under nohup, stay so.

    Args:
        leave: has the program end soon; None: it ends here and now, by SystemExit.
        give_up: called where it has not ended `LIMIT` seconds after, before it is ended.
    """

    timers: list[threading.Timer] = []

    def told(number: int, frame: FrameType | None) -> None:
        code = 128 + number
        if leave is None:
            raise SystemExit(code)
        if give_up is not None:
            timer = threading.Timer(LIMIT, _end, (code, give_up))
            timer.daemon = True
            timer.start()
            timers.append(timer)
        leave(code)

    before = {
        number: signal.signal(number, told)
        for number in SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(code: int, give_up: Callable[[], object]) -> None:
    try:
        give_up()
    finally:
        os._exit(code)
