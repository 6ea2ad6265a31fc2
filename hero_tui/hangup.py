"""Ends the interface when its terminal has gone.

SIGHUP does that, unless it is ignored (as under nohup) or the process is not of the terminal's
session. Textual would then wait for ever to write its next frame, and read the end of its input
without a pause.
"""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def when_terminal_goes(fd: int, keep: Callable[[], object]) -> Iterator[None]:
    """Watches the terminal at `fd`; when it goes meanwhile, calls `keep` and ends the process.

    Nothing is watched where `fd` is not a terminal.
    """
    over = threading.Event()
    if os.isatty(fd):
        watch = threading.Thread(target=_watch, args=(fd, keep, over), name="hang-up", daemon=True)
        watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(fd: int, keep: Callable[[], object], over: threading.Event) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # to wait for nothing but its end
    poll.poll()
    if over.is_set():  # another watch, or none, has what is to be kept by now
        return
    try:
        keep()
    finally:
        os._exit(128 + signal.SIGHUP)
