"""What draws a RunView: it is given one when made, and bound to its parent's from then on."""

from typing import Any, cast

from textual.reactive import reactive
from textual.widget import Widget

from hero_tui.client.runview import RunView


class RunWidget(Widget):
    """A widget of a run; it is drawn anew when what it draws of `view` changes."""

    view: reactive[RunView] = reactive(cast(RunView, None), repaint=False)

    def __init__(self, view: RunView, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.set_reactive(RunWidget.view, view)

    def drawn_of(self, view: RunView) -> object:
        """What the widget draws of a view: a label should not send what it does not change."""
        return view

    def watch_view(self, before: RunView, now: RunView) -> None:
        if self.drawn_of(before) != self.drawn_of(now):
            self.refresh()
