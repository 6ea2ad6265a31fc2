"""A terminal that answers queries after a set round trip, at the other end of a pty."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

KITTY: Mapping[bytes, bytes] = {
    rb"\x1b\[>q": b"\x1bP>|kitty(0.35.2)\x1b\\",
    rb"\x1b_Gi=31[^\x1b]*\x1b\\": b"\x1b_Gi=31;OK\x1b\\",
    rb"\x1b\[16t": b"\x1b[6;20;10t",
    rb"\x1b\[14t": b"\x1b[4;480;800t",
    rb"\x1b\[c": b"\x1b[?62;c",
    # DA2, which tmux asks for: it keeps the replies to DA1 to itself until it has this one.
    rb"\x1b\[>c": b"\x1b[>1;4000;35c",
}
MUTE: Mapping[bytes, bytes] = {}


class FakeTerminal:
    """Answers what is written to `theirs`, the end of the pty that programs are given.

    `typed` is typed before the first answer.
    """

    def __init__(
        self, answers: Mapping[bytes, bytes], round_trip: float = 0.0, typed: bytes = b""
    ) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.said = b""
        self._answers = answers
        self._query = re.compile(b"|".join(b"(%b)" % query for query in answers) or b"(?!)")
        self._round_trip = round_trip
        self._typed = typed
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()
        os.close(self.ours)
        os.close(self.theirs)

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def waiting(self) -> bytes:
        """What a program could read now, once everything that was written has been answered."""
        before = termios.tcgetattr(self.theirs)
        raw = [*before[:3], before[3] & ~termios.ICANON, *before[4:]]
        termios.tcsetattr(self.theirs, termios.TCSANOW, raw)
        try:
            ready = select.select([self.theirs], [], [], 0.05)[0]
            return os.read(self.theirs, 4096) if ready else b""
        finally:
            termios.tcsetattr(self.theirs, termios.TCSANOW, before)

    def _answer(self) -> None:
        read = 0
        due: list[tuple[float, bytes]] = []
        while not self._closed.is_set():
            if select.select([self.ours], [], [], 0.005)[0]:
                try:
                    self.said += os.read(self.ours, 65536)
                except OSError:  # the program has gone
                    return
            while query := self._query.search(self.said, read):
                read = query.end()
                answer = list(self._answers.values())[(query.lastindex or 1) - 1]
                due.append((time.monotonic() + self._round_trip, answer))
            while due and due[0][0] <= time.monotonic():
                os.write(self.ours, self._typed + due.pop(0)[1])
                self._typed = b""
