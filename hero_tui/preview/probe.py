"""Asks the terminal what it can do, before the interface starts, and keeps what is typed meanwhile.

Neither Textual nor Rich is imported: what is found out decides the colours that they are told of.
"""

import os
import select
import subprocess
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hero_tui.preview.decision import Signs, Tmux, multiplexer_of
from hero_tui.preview.mute import THROUGH_TMUX, identity, is_mute, mute_file, set_mute
from hero_tui.preview.replies import (
    NAME_QUERIES,
    NONE,
    QUERIES,
    QUERIES_BEHIND,
    Replies,
    ends_unfinished,
    read_replies,
    through_tmux,
)
from hero_tui.preview.window import window

LIMIT = 2.0
"""Seconds that a terminal has for its answer."""

# What follows the first byte of an escape sequence is sent along with it.
_REST_OF_A_SEQUENCE = 0.1
# A terminal that prints a query instead of ignoring it leaves it on this line.
_CLEAN_THE_LINE = b"\r\x1b[K"


def probe(
    environ: Mapping[str, str] = os.environ,
    fd: int | None = None,
    *,
    limit: float = LIMIT,
    mute: Path | None = None,
    again: bool = False,
) -> Signs:
    """What the terminal says of itself.

    Args:
        fd: the terminal, open for reading and writing; otherwise the one that controls us.
        limit: seconds to wait for an answer; twice that in tmux.
        mute: the file that remembers terminals that do not answer.
        again: ask a terminal that is remembered as mute, too.
    """
    mute = mute or mute_file()
    if fd is not None:
        return _Probe(fd, environ, limit, mute, again).signs()
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return Signs(silence="there is no terminal")
    try:
        if os.tcgetpgrp(fd) != os.getpgrp():  # to ask would stop us
            return Signs(silence="in the background")
        return _Probe(fd, environ, limit, mute, again).signs()
    except (OSError, termios.error):
        return Signs(silence="the terminal has gone")
    finally:
        os.close(fd)


class _Probe:
    """One conversation with the terminal at `fd`."""

    def __init__(
        self, fd: int, environ: Mapping[str, str], limit: float, mute: Path, again: bool
    ) -> None:
        self._fd = fd
        self._environ = environ
        self._limit = limit
        self._mute = mute
        self._again = again
        self._typed = b""
        self._unanswered = ""
        self._late = False

    def signs(self) -> Signs:
        size, pixels = window(self._fd)
        silence = _why_not_to_ask(self._environ)
        if silence:
            return Signs(silence=silence, size=size)
        with _raw(self._fd):
            # Replies to somebody else are dropped. What was typed until now had its Enter turned
            # into a line feed by the terminal's line discipline.
            self._typed = read_replies(self._read(0.0))[1].replace(b"\n", b"\r")
            tmux, behind = None, None
            suspected = _looks_like_a_multiplexer(self._environ)
            queries = NAME_QUERIES if suspected else QUERIES
            who = identity(self._environ)
            replies, silence = self._ask(queries + _CLEAN_THE_LINE, who)
            multiplexer = multiplexer_of(replies, self._environ)
            if suspected and not multiplexer:  # a terminal that was started from one
                replies, silence = self._ask(QUERIES + _CLEAN_THE_LINE, who)
            if multiplexer == "tmux":
                tmux = _ask_tmux(self._environ)
                if tmux is None or tmux.passthrough is not False:
                    client = tmux.client if tmux else ""
                    who = f"{THROUGH_TMUX}{client} {who}"
                    behind, silence = self._ask(through_tmux(QUERIES_BEHIND), who)
        return Signs(
            replies,
            silence,
            size,
            pixels,
            tmux,
            behind,
            self._typed,
            self._unanswered,
            late=self._late,
        )

    def _ask(self, queries: bytes, who: str) -> tuple[Replies, str]:
        """The replies to `queries`, or why there are none."""
        self._unanswered = who
        if not self._again and is_mute(who, self._mute, time.time()):
            return NONE, "it did not answer lately; `hero-tui doctor` asks again"
        os.write(self._fd, queries)
        replies, typed = read_replies(self._read(self._limit))
        self._typed += typed
        mute = replies.attributes is None
        set_mute(who, self._mute, time.time(), mute)
        self._late = mute and not who.startswith(THROUGH_TMUX)
        if not mute:
            self._unanswered = ""
        return replies, f"it did not answer within {self._limit:g} s" if mute else ""

    def _read(self, limit: float) -> bytes:
        """All that comes until the answer is complete, or for `limit` seconds."""
        received = b""
        deadline = time.monotonic() + limit
        while True:
            if read_replies(received)[0].attributes is None:
                wait = max(0.0, deadline - time.monotonic())
            else:
                wait = 0.0
            if ends_unfinished(received):
                wait = max(wait, _REST_OF_A_SEQUENCE)
            if not select.select([self._fd], [], [], wait)[0]:
                return received
            chunk = os.read(self._fd, 4096)
            if not chunk:
                return received
            received += chunk


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    # At once: any other way throws away what has been typed.
    tty.setraw(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


def _why_not_to_ask(environ: Mapping[str, str]) -> str:
    if environ.get("TERM", "") in ("", "dumb", "linux"):
        return f"not asked, since TERM={environ.get('TERM', '')}"
    if environ.get("TERM_PROGRAM") == "Apple_Terminal":
        return "not asked, since Apple Terminal prints some questions"
    return ""


def _looks_like_a_multiplexer(environ: Mapping[str, str]) -> bool:
    named = environ.get("TERM", "").startswith(("tmux", "screen"))
    return named or bool(environ.get("TMUX") or environ.get("STY"))


def _ask_tmux(environ: Mapping[str, str]) -> Tmux | None:
    """What tmux says of itself; None if it runs on another machine."""
    if not environ.get("TMUX"):
        return None
    fields = (
        "#{allow-passthrough}|#{client_termfeatures}|#{client_utf8}|"
        "#{client_termname} #{client_termtype}"
    )
    try:
        done = subprocess.run(
            ["tmux", "display-message", "-p", fields],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=True,
            env=dict(environ),
        )
        said = done.stdout.decode("utf-8", "replace").strip()
        passthrough, features, utf8, client = said.split("|", 3)
    except (OSError, subprocess.SubprocessError, ValueError):
        return Tmux()
    means = {"1": True, "on": True, "all": True, "0": False, "off": False}
    return Tmux(means.get(passthrough), frozenset(features.split(",")), client, means.get(utf8))
