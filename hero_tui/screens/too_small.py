"""Over everything while the terminal is too small."""

from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

# 80x24, less the status line of tmux.
LEAST = Size(80, 23)


class TooSmallScreen(ModalScreen[None]):
    """Asks for a larger terminal; goes away by itself."""

    DEFAULT_CSS = """
    TooSmallScreen { align: center middle; background: $background; }
    TooSmallScreen Static { width: auto; text-align: center; }
    """

    def compose(self) -> ComposeResult:
        yield Static()

    def on_resize(self) -> None:
        self.query_one(Static).update(
            Content(
                "hero-tui needs 80x24\n"
                f"this terminal is {self.size.width}x{self.size.height}\n\n"
                "make it larger,\nor the font smaller"
            )
        )
