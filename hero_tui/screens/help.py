"""Help: the keys that do something here, read from the bindings themselves."""

from collections.abc import Iterable

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Static


def key_table(app: App[object], bindings: Iterable[Binding]) -> list[tuple[str, str]]:
    """(keys, what they do), keys of the same meaning together, in the order of the bindings."""
    keys: dict[str, list[str]] = {}
    for binding in bindings:
        if binding.id and binding.description:
            keys.setdefault(binding.description, []).append(app.get_key_display(binding))
    return [(" ".join(dict.fromkeys(of)), description) for description, of in keys.items()]


class HelpScreen(ModalScreen[None]):
    """A list of keys."""

    CSS_PATH = "help.tcss"
    BINDINGS = [Binding("escape,enter,question_mark", "dismiss(None)", "back", id="help.close")]

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
