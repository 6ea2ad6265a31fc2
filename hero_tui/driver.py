"""Textual's driver for a terminal as it really is.

What the terminal says is told from what the person types, whenever it comes; the interface is
written to the terminal itself, in UTF-8, wherever the standard streams lead; and when it is left no
answer of the terminal's is still on its way to the shell.
"""

import os
import re
import select
import sys
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import TextIOWrapper
from threading import Event
from typing import Any

from textual import events
from textual.app import App
from textual.constants import DISABLE_KITTY_KEY
from textual.message import Message

from hero_tui.keyboard import KeyPress, Pace, read_kitty
from hero_tui.preview.asked import Asked
from hero_tui.sequences import DELAY, PATIENT_DELAY, Cutter, Piece
from hero_tui.textual_private import IGNORED_KEY, LinuxDriver, XTermParser

PATIENCE = 2.0
"""Seconds that the last answer has before the terminal is given back."""
LATE = 30.0
"""Seconds that the answers to what was asked before the start may still take."""
FOCUSING = 0.25
"""Seconds between a window's getting the focus and the click that gave it."""

# Are you well? Every terminal says that it is, after all that it was asked before.
_LAST_QUESTION, _LAST_ANSWER = "\x1b[5n", "\x1b[0n"
# To report a key's repeats and its place on the base layout, beside what Textual asks for.
_MORE_OF_KEYS = "\x1b[=6;2u"
_MOUSE_IN_CELLS = "\x1b[?1016l"
# All that Textual and we have changed: pasting, wrapping, sizes, the mouse, keys, screen, cursor.
_BACK = (
    "\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
    f"{_MOUSE_IN_CELLS}\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
_CURSOR = re.compile(r"\x1b\[(\d+);(\d+)R")
_ATTRIBUTES = re.compile(r"\x1b\[\?[\d;]*c")
_MOUSE = re.compile(r"\x1b\[<[-\d;]+[mM]")
# The sizes and modes that Textual reads: the rest of what begins like them is nothing to it.
_REPORTS = re.compile(r"\x1b\[(?:48;\d[\d:;]*t|\?\d+;\d\$y)")


class Said(Message):
    """The terminal has said something: whole control sequences and strings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class InputParser(XTermParser):
    """Turns what a terminal sends into events; nothing but what was typed becomes a key."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self.cutter = Cutter()
        self._pace = Pace()
        self._blurred = False
        self._focused = float("-inf")
        self._focusing = False  # a button is down which only focuses the window

    def feed(self, data: str) -> Iterable[Message]:
        now = time.monotonic()
        for piece in self.cutter.feed(data, now):
            yield from self._events(piece, now)

    def tick(self) -> Iterable[Message]:
        now = time.monotonic()
        for piece in self.cutter.tick(now):
            yield from self._events(piece, now)

    def _events(self, piece: Piece, now: float) -> Iterator[Message]:
        match piece.kind:
            case "text":
                for character in piece.text:
                    for key in self._keys(character):
                        repeats = self._pace.repeats(key.key, now)
                        yield KeyPress(key.key, key.character, repeats=repeats)
            case "escape":
                yield KeyPress("escape", piece.text)
            case "alt":
                named = self._keys(f"\x1b{piece.text}")
                for key in named or self._keys(piece.text, alt=True):
                    yield KeyPress(key.key, key.character)
            case "paste":
                yield events.Paste(piece.text.replace("\x00", ""))
            case "string":
                yield Said(piece.text)
            case "sequence":
                yield from self._of_sequence(piece.text, now)

    def _of_sequence(self, sequence: str, now: float) -> Iterator[Message]:
        if sequence in ("\x1b[I", "\x1b[O"):
            self._blurred = sequence == "\x1b[O"
            if not self._blurred:
                self._focused = now
            yield events.AppBlur() if self._blurred else events.AppFocus()
        elif cursor := _CURSOR.fullmatch(sequence):
            row, column = map(int, cursor.groups())
            yield events.CursorPosition(column - 1, row - 1)
        elif _MOUSE.fullmatch(sequence):
            mouse = self.parse_mouse_code(sequence)
            if mouse is not None and not self._focuses(mouse, now):
                yield mouse
        elif _REPORTS.fullmatch(sequence):
            yield from super().feed(sequence)
        elif kitty := read_kitty(sequence):
            if not kitty.released:
                for key in self._keys(kitty.sequence):
                    name = kitty.letter or key.key
                    yield KeyPress(name, key.character, kitty.base_of(name), int(kitty.repeated))
        elif keys := self._keys(sequence):
            for key in keys:
                yield KeyPress(key.key, key.character, repeats=self._pace.repeats(key.key, now))
        else:
            yield Said(sequence)

    def _focuses(self, mouse: Message, now: float) -> bool:
        """Whether a click is the one that gave the window its focus."""
        if isinstance(mouse, events.MouseDown):
            self._focusing = self._blurred or now - self._focused < FOCUSING
            self._blurred = False
            return self._focusing
        focuses = self._focusing and isinstance(mouse, events.MouseUp)
        self._focusing = self._focusing and not focuses
        return focuses

    def _keys(self, sequence: str, alt: bool = False) -> list[events.Key]:
        """The keys that Textual knows a sequence for."""
        try:
            keys = list(self._sequence_to_key_events(sequence, alt))
        except (ValueError, OverflowError):  # a number that is no character
            return []
        return [key for key in keys if key.key != IGNORED_KEY]


class TerminalDriver(LinuxDriver):
    """Writes to the terminal and reads from it."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file = self._terminal = terminal_file()
        for fd in (self.fileno, self._terminal.fileno()):
            os.set_blocking(fd, True)  # another program may have left it otherwise
        self._parser = InputParser()
        self._size = self._size or self._get_terminal_size()
        self._started = time.monotonic()
        self._answers = False  # whether it has ever said anything
        self._leaving = False
        self._last_answer = Event()
        asked: Asked | None = getattr(app, "asked", None)
        self._typed = asked.signs.typed if asked else b""
        self._late_until = time.monotonic() + LATE if asked and asked.signs.late else 0.0

    # -- questions and answers -----------------------------------------------------------------

    def process_message(self, message: Message) -> None:
        said = message.text if isinstance(message, Said) else ""
        self._answers = self._answers or isinstance(message, events.CursorPosition | Said)
        if _ATTRIBUTES.search(said):
            self._late_until = 0.0  # the last answer to what was asked before
        elif said == _LAST_ANSWER:
            self._last_answer.set()
        if isinstance(message, events.CursorPosition) and time.monotonic() < self._late_until:
            return  # an answer to that, too
        if not self._leaving:  # there is nobody any more who would read it
            super().process_message(message)

    def disable_input(self) -> None:
        if self._key_thread is not None and self._key_thread.is_alive():
            self._wait_for_answers()
        super().disable_input()

    def _wait_for_answers(self) -> None:
        """Until the terminal has answered all that it was asked, so that no shell reads it.

        One that has not answered anything yet is waited for while it is new.
        """
        patience = PATIENCE if self._answers else PATIENCE - (time.monotonic() - self._started)
        if patience > 0:
            self._leaving = True
            self._last_answer.clear()
            self.write(_LAST_QUESTION)
            self._last_answer.wait(patience)
            self._leaving = False

    # -- the modes of the terminal -------------------------------------------------------------

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if not DISABLE_KITTY_KEY:
            self.write(_MORE_OF_KEYS)
            self.flush()

    def stop_application_mode(self) -> None:
        self.write(_MOUSE_IN_CELLS)
        super().stop_application_mode()

    def give_back(self) -> None:
        """Puts the terminal back without waiting for anybody: for who ends at once."""
        fd = self._terminal.fileno()
        with suppress(OSError, termios.error):
            os.set_blocking(fd, False)
            os.write(fd, _BACK.encode())
            if self.attrs_before is not None:
                termios.tcsetattr(fd, termios.TCSANOW, self.attrs_before)

    # -- what it sends -------------------------------------------------------------------------

    def run_input_thread(self) -> None:
        decode = getincrementaldecoder("utf-8")("surrogateescape").decode
        typed, self._typed = self._typed, b""
        self._pass_on(self._parser.feed(decode(typed)))
        while not self.exit_event.is_set():
            late = time.monotonic() < self._late_until
            self._parser.cutter.delay = PATIENT_DELAY if late else DELAY
            if select.select([self.fileno], [], [], 0.1)[0]:
                self._pass_on(self._parser.feed(decode(os.read(self.fileno, 4096))))
            self._pass_on(self._parser.tick())

    def _pass_on(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.process_message(message)

    def _get_terminal_size(self) -> tuple[int, int]:
        # Not COLUMNS and LINES, which do not change with the window.
        try:
            width, height = os.get_terminal_size(self._terminal.fileno())
        except OSError:
            width = height = 0
        return width or 80, height or 24


def terminal_file() -> "TextIOWrapper[Any]":
    """The terminal to write to: standard output, which is one wherever the interface is started.

    Textual takes standard error, which may be led to a file.
    """
    assert sys.__stdout__ is not None
    return open(sys.__stdout__.fileno(), "w", encoding="utf-8", errors="replace", closefd=False)
