"""Help: the keys that do something here, read from the bindings themselves."""

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from hero_tui.keys import key_table


class HelpScreen(ModalScreen[None]):
    """A list of keys."""

    CSS_PATH = "help.tcss"
    BINDINGS = [
        Binding("question_mark", "app.help", "keys", show=False, id="help"),
        Binding("escape,enter", "dismiss(None)", "back", id="help.close"),
    ]

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._keys = list(bindings)

    def compose(self) -> ComposeResult:
        rows = key_table(self.app, self._keys)
        width = max(len(keys) for keys, _ in rows)
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Keys"
            yield Static(
                Content("\n").join(
                    Content.assemble((keys.rjust(width), "bold $primary"), "  ", description)
                    for keys, description in rows
                )
            )
        yield Footer(compact=True, show_command_palette=False)
