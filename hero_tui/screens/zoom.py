"""Zoom: one picture as large as fits, labelled one after the other."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Footer, Static

from hero_tui.client.edits import mark, toggle_best
from hero_tui.client.runview import RunView
from hero_tui.keys import keys_in_force
from hero_tui.messages import Looked, OutsideAsked
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.run_screen import UNDO, RunDialog
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.side import task_text
from hero_tui.widgets.tile import label_of


class ZoomScreen(RunDialog):
    """Shows picture `image` of the open round, or of an `earlier` one to look at only."""

    CSS_PATH = "zoom.tcss"

    BINDINGS = [
        Binding("g", "label(True)", "good, and on", id="zoom.good"),
        Binding("n", "label(False)", "bad, and on", id="zoom.bad"),
        Binding("b", "best", "best", id="zoom.best"),
        Binding("left", "move(-1)", "previous", id="zoom.previous"),
        Binding("right,space", "move(1)", "next", id="zoom.next"),
        *UNDO,
        Binding("o", "open_outside", "open outside", id="zoom.open"),
        Binding("escape,enter", "close", "back", id="zoom.close"),
    ]

    image: reactive[int] = reactive(0, repaint=False)

    def __init__(
        self,
        view: RunView,
        pictures: Pictures,
        image: int,
        earlier: int | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        """`order`: in which the pictures follow each other; None: by number."""
        super().__init__(view, pictures, earlier)
        self._order = range(self.view.rounds[-1].images) if order is None else order
        self.set_reactive(ZoomScreen.image, image)

    def compose(self) -> ComposeResult:
        with Horizontal():
            self._picture = Picture(self.pictures)
            yield self._picture
            with VerticalScroll(id="about", can_focus=False):
                self._label = Static(id="label")
                yield self._label
                yield Static(task_text(self.view))
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        key = keys_in_force(self).get("zoom.open")
        self._picture.hint = f"press {key}" if key else ""

    def watch_image(self) -> None:
        if self.is_mounted:
            self.show_view()

    def show_view(self) -> None:
        view = self.view
        self._picture.path = view.image(self.image)
        self._label.update(
            Content.assemble(
                (f"Picture {self.image}", "bold"),
                f" of 0 to {view.rounds[-1].images - 1}\n",
                label_of(view.labels, self.image),
            )
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        of_the_open_round = action in {"label", "best", "step", "open_outside"}
        return not of_the_open_round or self.view.open_round is not None

    def action_move(self, by: int) -> None:
        shown = self._was_shown() and self._picture.complete and not self.repeats
        if shown and self.view.open_round is not None:
            self.post_message(Looked(self.round, frozenset({self.image})))
        place = self._order.index(self.image) + by
        if 0 <= place < len(self._order) and self.view.image(self._order[place]) is not None:
            self.image = self._order[place]

    def action_label(self, good: bool) -> None:
        if self.meant(self._was_shown()):
            self.edit(mark(frozenset({self.image}), good))
            self.action_move(1)

    def action_best(self) -> None:
        if self.meant(self._was_shown()):
            self.edit(toggle_best(self.image))

    def _was_shown(self) -> bool:
        return self.pressed is None or self._picture.shown_before(self.pressed.time)

    def action_open_outside(self) -> None:
        self.post_message(OutsideAsked(self.image))

    def action_close(self) -> None:
        self.action_move(0)
        self.dismiss(self.image)
