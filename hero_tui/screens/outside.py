"""Where no program can open pictures: how to see them on the person's own machine."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import Footer, Static

from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.outside.opener import Served
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.run_screen import RunDialog
from hero_tui.theme import QUIET


class OutsideScreen(RunDialog):
    """A tunnel and a link, or else a copy; each can be copied to the clipboard."""

    CSS_PATH = "dialog.tcss"
    BINDINGS = [
        Binding("c", "copy('tunnel')", "copy the ssh line", id="outside.tunnel"),
        Binding("l", "copy('link')", "copy the link", id="outside.link"),
        Binding("s", "copy('copy')", "copy the scp line", id="outside.copy"),
        Binding("escape,enter", "dismiss(None)", "back", id="outside.close"),
    ]

    def __init__(self, view: RunView, pictures: Pictures, served: Served) -> None:
        super().__init__(view, pictures)
        self.served = served

    def compose(self) -> ComposeResult:
        served = self.served
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Pictures in your browser"
            yield Static(
                Content.assemble(
                    ("On the machine in front of you, in another terminal:\n", "bold $primary"),
                    f"{plain(served.tunnel)}\n",
                    ("then, in its browser:\n", "bold $primary"),
                    (served.link, Style(link=served.link, underline=True)),
                    (
                        "\n\nThe page follows your labels. It ends with this program, and is only "
                        "for who has the link. Put the name that you connect with in place of "
                        "the address if that is another.\n\n",
                        QUIET,
                    ),
                    ("Or copy the file:\n", "bold $primary"),
                    f"{plain(served.copy)}\n",
                    (plain(str(served.path)), QUIET),
                )
            )
        yield Footer(compact=True, show_command_palette=False)

    def action_copy(self, what: str) -> None:
        """Copies a line by way of the terminal (OSC 52), which need not allow it."""
        self.app.copy_to_clipboard(str(getattr(self.served, what)))
        self.notify("Copied, if your terminal lets programs write to its clipboard.", markup=False)
