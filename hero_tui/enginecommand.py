"""Commands of the engine, in a process of its own, whose words are passed on.

The engine and its libraries say what files and models say: nothing of it is obeyed, but for a bar,
which is a line that begins with a carriage return, and is drawn anew in its place.
"""

import codecs
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, TextIO

from hero_engine.errors import EngineError
from hero_engine.run.process import ending
from hero_engine.run.text import plain
from hero_tui.streams import drawn


def run_engine_command(*arguments: str) -> int:
    """Runs `python -m hero_engine ARGUMENTS`, showing what it says; its exit code.

    Raises:
        EngineError: it was killed.
    """
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    if sys.stderr.isatty():
        environ["HERO_TUI_BAR"] = "1"
    # ctrl+c reaches the engine as well, which ends in order.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(
            command(*arguments), env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as engine:
            relays = [
                threading.Thread(target=_relay, args=pair, daemon=True)
                for pair in ((engine.stdout, sys.stdout), (engine.stderr, sys.stderr))
            ]
            for relay in relays:
                relay.start()
            for relay in relays:
                relay.join()
    finally:
        signal.signal(signal.SIGINT, before)
    if engine.returncode < 0:
        raise EngineError(f"hero-tui {arguments[0]}: the engine {ending(engine.returncode)}")
    return engine.returncode


def command(*arguments: str) -> list[str]:
    """The command line of an engine process."""
    # -P: a torch.py in the folder that one happens to be in is not imported.
    return [sys.executable, "-P", "-m", "hero_engine", *arguments]


class Relayed:
    """What is shown of a process's output, piece by piece; `in_place`: bars can be drawn anew."""

    def __init__(self, in_place: bool) -> None:
        self._in_place = in_place
        self._at_start = True
        self._is_bar = False

    def __call__(self, piece: str) -> str:
        return "".join(map(self._shown, piece))

    def _shown(self, char: str) -> str:
        at_start, self._at_start = self._at_start, char == "\n"
        if char == "\n":
            self._is_bar = False
            return char
        if char != "\r" or not (at_start or self._is_bar):
            return plain(char)
        self._is_bar = True
        if self._in_place:
            return char
        return "" if at_start else "\n"


def _relay(source: IO[bytes], target: TextIO) -> None:
    shown, stream = Relayed(target.isatty()), drawn(target)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    # A reader that has gone, as of `| head`: the engine learns it from its own pipe.
    with source, suppress(OSError):
        while piece := os.read(source.fileno(), 65536):
            stream.write(shown(decode(piece)))
            stream.flush()
