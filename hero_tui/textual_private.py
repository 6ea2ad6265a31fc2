"""The private parts of Textual and Rich that hero-tui relies on, in one place.

`pyproject.toml` keeps to the versions that they were tested with; `tests/test_textual_private.py`
says what has changed when an upgrade changes one of them.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from rich.color import ColorSystem
from rich.console import Console, RenderableType
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._time import get_time
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.keys import Keys
from textual.screen import Screen
from textual.widgets._toast import Toast

__all__ = [
    "IGNORED_KEY",
    "ChopsUpdate",
    "CompositorUpdate",
    "Frame",
    "FrameApp",
    "LayoutUpdate",
    "LinuxDriver",
    "Toast",
    "XTermParser",
    "colours_of",
    "get_time",
]

Frame = LayoutUpdate | ChopsUpdate
"""Of Textual's compositor: all cells, or some."""

IGNORED_KEY: str = Keys.Ignore.value
"""What the parser calls a key that means nothing."""

ResultT = TypeVar("ResultT")


class FrameApp(App[ResultT]):
    """An app that decides what of a frame is written."""

    def write_frame(self, frame: Frame, write: Callable[[CompositorUpdate], None]) -> None:
        """Called for every frame; whatever is given to `write` is written in its place."""
        write(frame)

    def write_code(self, code: str) -> None:
        """Writes escape codes to the terminal, after what has been written already."""
        if self._driver is not None:
            self._driver.write(code)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if isinstance(renderable, Frame):
            display = super()._display
            self.write_frame(renderable, lambda update: display(screen, update))  # type: ignore[arg-type]
        else:
            super()._display(screen, renderable)


def colours_of(console: Console) -> ColorSystem:
    """The colours that frames are written with."""
    return console._color_system or ColorSystem.TRUECOLOR  # as Textual has it
