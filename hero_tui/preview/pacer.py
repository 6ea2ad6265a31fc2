"""How much of the pictures may be on its way to the terminal, so that keys are answered at once.

After each part the terminal is asked where its cursor is; it answers when it has read that far.
The time until then is the link's round trip and what waits before it. The window, the bytes that
may be unanswered, grows while little waits, and shrinks to what the link carries when more does.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

REQUEST = "\x1b[6n"
LEAST, MOST = 3_000, 1_000_000
"""Of the window, in bytes: a part, and enough for any link."""
WAITING = 0.03
"""Seconds that pictures may wait on the link before what comes after them."""
PATIENCE = 2.0
"""Seconds after which an answer is not expected from a terminal that has not given any."""
STALL = 10.0
"""The same from one that has: its link may carry a large frame, or stand still for a while."""
SILENT_PACE = 0.1
"""Seconds that a window is held to take in a terminal that does not answer."""


@dataclass(frozen=True)
class _Unanswered:
    size: int
    sent: float
    flight: int  # unanswered bytes with this one
    then: Callable[[], object]


class Pacer:
    """The window of unanswered bytes; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unanswered: deque[_Unanswered] = deque()
        self._flight = 0
        self._base: float | None = None
        self._late = 0
        self._filled = False  # whether anything has waited on the link yet
        self.window = 2 * LEAST
        self.silent = False

    @property
    def room(self) -> int:
        """Bytes that may be sent now; not positive: none."""
        self._give_up()
        return self.window - self._flight

    @property
    def part(self) -> int:
        """Bytes to send with one request: half of what the link carries while pictures may wait."""
        share = WAITING / (WAITING + (self._base or 0.0))
        return max(LEAST, round(self.window * share)) // 2

    @property
    def idle(self) -> bool:
        """Whether everything has been answered."""
        self._give_up()
        return not self._unanswered

    @property
    def slow(self) -> bool:
        """Whether a screen full of half-blocks would be noticed to take its time."""
        return self.silent or (self._base is not None and self.window < 20 * LEAST)

    def sent(self, size: int, then: Callable[[], object] = lambda: None) -> None:
        """`size` bytes and a request have been written.

        `then` is called when the terminal has read them, or is not expected to answer any more.
        """
        self._flight += size
        self._unanswered.append(_Unanswered(size, self._clock(), self._flight, then))

    def answered(self) -> None:
        """The terminal has answered a request: the oldest one."""
        self.silent = False
        if self._late:
            self._late -= 1
            return
        if not self._unanswered:
            return  # someone else's request
        part = self._unanswered.popleft()
        self._flight -= part.size
        took = self._clock() - part.sent
        self._base = took if self._base is None else min(took, self._base)
        if took < self._base + WAITING:
            if 2 * part.flight >= self.window:  # else it was not the window that held back
                # Until it is known what the link carries, half as much again each round trip;
                # then a part more.
                growth = part.size * part.size // self.window if self._filled else part.size // 2
                self.window = min(MOST, self.window + growth)
        else:
            self._filled = True
            carried = part.flight * (self._base + WAITING) / took
            self.window = max(LEAST, min(self.window, round(carried)))
        part.then()

    @property
    def patience(self) -> float:
        """Seconds after which sending goes on without an answer."""
        return SILENT_PACE if self.silent else PATIENCE if self._base is None else STALL

    def _give_up(self) -> None:
        patience = self.patience
        while self._unanswered and self._clock() - self._unanswered[0].sent > patience:
            part = self._unanswered.popleft()
            self._flight -= part.size
            self._late += 1
            self.silent = True
            self.window = LEAST
            patience = SILENT_PACE
            part.then()
