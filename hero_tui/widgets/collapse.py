"""The lines that tell that the model has collapsed, and the way back."""

from textual.content import Content

from hero_engine.run.record import Round
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.text import plain
from hero_tui.widgets.run_widget import RunWidget


def collapse_text(round_: Round) -> Content:
    """What a round shows of a collapse; "" for nothing."""
    return Content.styled(plain(round_.collapse), "bold $error")


class CollapseLine(RunWidget):
    """Of the latest round; takes no room where nothing shows."""

    DEFAULT_CSS = """
    CollapseLine { display: none; height: auto; padding: 0 1; }
    CollapseLine.-collapsed { display: block; }
    """

    def on_mount(self) -> None:
        self._show()

    def drawn_of(self, view: RunView) -> object:
        return view.collapsed

    def watch_view(self, before: RunView, now: RunView) -> None:
        super().watch_view(before, now)
        self._show()

    def _show(self) -> None:
        self.set_class(self.view.collapsed is not None, "-collapsed")

    def render(self) -> Content:
        round_ = self.view.collapsed
        if round_ is None:
            return Content("")
        if round_.back_to is None:
            todo = "Start again with a smaller update.learning_rate."
        else:
            key = key_shown(self, "history")
            todo = f"{key}: round {round_.back_to}, to go back to its model."
        return Content.assemble(collapse_text(round_), " ", (todo, "bold $warning"))
