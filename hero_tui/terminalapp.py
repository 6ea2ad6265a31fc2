"""What the apps have in common: each has a terminal, and a person at its keys."""

import asyncio
from typing import TypeVar

from textual import events
from textual.app import App
from textual.driver import Driver

from hero_tui.config import ThemeName
from hero_tui.driver import Said, TerminalDriver
from hero_tui.keyboard import KeyPress, about
from hero_tui.keys import key_shown
from hero_tui.preview.asked import Asked
from hero_tui.preview.replies import read_replies
from hero_tui.preview.terminal import Terminal
from hero_tui.streams import traceback_console
from hero_tui.theme import THEMES

ResultT = TypeVar("ResultT")


class TerminalApp(App[ResultT]):
    """An app in a terminal.

    Attributes:
        asked: what the terminal was asked before, if it was; what was typed then is read first.
        pressed: the key whose action runs now; None if something else has caused it.
        told_to_end: the exit code of who was told to end by a signal; None if nobody was.
    """

    pressed: events.Key | None = None
    told_to_end: int | None = None
    leave_id = "run.leave"

    def __init__(self, theme: ThemeName, asked: Asked | None = None) -> None:
        """`asked`: what the terminal was asked before, if it was."""
        super().__init__()
        # Here and not when mounted: every widget would be styled twice.
        for each in THEMES.values():
            self.register_theme(each)
        self.theme = theme
        self.error_console = traceback_console()
        self.asked = asked
        self._said = ""
        self._running_in: asyncio.AbstractEventLoop | None = None

    def get_driver_class(self) -> type[Driver]:
        return TerminalDriver

    def on_load(self) -> None:
        self._running_in = asyncio.get_running_loop()

    # -- keys ------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            if isinstance(event, KeyPress) and event.base and not event.is_forwarded:
                known = self.screen.active_bindings
                event.key = event.key if event.key in known else event.base
            self.pressed = event
        try:
            await super().on_event(event)
        finally:
            self.pressed = None

    def on_key(self, event: events.Key) -> None:
        problem = about(event, self.screen.active_bindings)
        if problem is not None:
            self.say(problem)

    def on_notify(self) -> None:
        self.clear_notifications()  # one at a time: the one that comes now

    def say(self, text: str) -> None:
        """Tells the person something about what they have just done."""
        self.notify(text, markup=False)

    def action_help_quit(self) -> None:
        """For who presses ctrl+c, as one does to end a program."""
        self.say(f"{key_shown(self.screen, self.leave_id)} leaves; the engine goes on.")

    # -- the end ---------------------------------------------------------------------------------

    def end(self, code: int) -> None:
        """Leaves soon; called by a signal, between any two lines of the main thread."""
        self.told_to_end = code
        if self._running_in is not None:
            self._running_in.call_soon_threadsafe(self.exit)

    def give_terminal_back(self) -> None:
        """Puts the terminal back without waiting for anybody."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.give_back()

    # -- what the terminal says --------------------------------------------------------------------

    def on_cursor_position(self, event: events.CursorPosition) -> None:
        if self.asked is not None:
            self.asked.is_there()

    def on_said(self, message: Said) -> None:
        self._said = (self._said + message.text)[-4096:]
        replies, _ = read_replies(self._said.encode("utf-8", "replace"))
        if self.asked is None or replies.attributes is None:
            return
        self._said = ""
        terminal = self.asked.answered(replies)
        if terminal is not None:
            self.terminal_known(terminal)

    def terminal_known(self, terminal: Terminal) -> None:
        """The terminal has said, late, what it is."""
