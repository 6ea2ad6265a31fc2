"""The lines that warn: the model has collapsed, or is being over-trained; and the ways out."""

from textual.content import Content

from hero_engine.run.record import Round
from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.widgets.run_widget import RunWidget


def collapse_text(round_: Round) -> Content:
    """What a round shows of a collapse; "" for nothing."""
    return Content.styled(plain(round_.collapse), "bold $error")


class WarningLine(RunWidget):
    """Of the latest round; takes no room where nothing shows. A collapse comes first."""

    DEFAULT_CSS = """
    WarningLine { display: none; height: auto; padding: 0 1; }
    WarningLine.-shown { display: block; }
    """

    def on_mount(self) -> None:
        self._show()

    def drawn_of(self, view: RunView) -> object:
        return view.collapsed, view.over_training, view.state, view.engine, view.finishing

    def watch_view(self, before: RunView, now: RunView) -> None:
        super().watch_view(before, now)
        self._show()

    def _show(self) -> None:
        view = self.view
        self.set_class(view.collapsed is not None or view.over_training is not None, "-shown")

    def render(self) -> Content:
        if self.view.collapsed is not None:
            return self._of_collapse(self.view.collapsed)
        found = self.view.over_training
        if found is None:
            return Content("")
        ways = {
            "run.finish": "finish now",
            "history": f"round {found.back_to}, to go back to its model",
            "run.smaller-step": "go on by half the step",
        }
        keys = {binding: key_shown(self, binding) for binding in ways}
        # While the engine starts, and in the end, not all of them are in force.
        offers = [f"{keys[each]}: {way}" for each, way in ways.items() if keys[each] != each]
        return Content.assemble(
            (plain(found.words), "bold $warning"),
            " ",
            ("; ".join(offers) + "." if offers else "", "$warning"),
        )

    def _of_collapse(self, round_: Round) -> Content:
        if round_.back_to is None:
            todo = "Start again with a smaller update.learning_rate."
        else:
            key = key_shown(self, "history")
            todo = f"{key}: round {round_.back_to}, to go back to its model."
        return Content.assemble(collapse_text(round_), " ", (todo, "bold $warning"))
