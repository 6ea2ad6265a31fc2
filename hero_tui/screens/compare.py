"""Compare: a picture of this round beside the best to beat."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Footer, Static

from hero_engine.run.labels import KEEP
from hero_engine.run.record import START
from hero_tui.client.edits import choose
from hero_tui.client.runview import RunView
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.run_screen import UNDO, RunDialog
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.tile import BEST, label_of


class CompareScreen(RunDialog):
    """The reigning best (or else this round's) on the left, picture `image` on the right."""

    CSS_PATH = "compare.tcss"

    BINDINGS = [
        Binding("left", "move(-1)", "previous good", id="compare.previous"),
        Binding("right,space", "move(1)", "next good", id="compare.next"),
        Binding("b", "best", "choose right", id="compare.best"),
        Binding("k", "keep", "keep left", id="compare.keep"),
        *UNDO,
        Binding("escape,enter", "close", "back", id="compare.close"),
    ]

    image: reactive[int] = reactive(0, repaint=False)

    def __init__(self, view: RunView, pictures: Pictures, image: int) -> None:
        super().__init__(view, pictures)
        self.set_reactive(CompareScreen.image, image)

    def compose(self) -> ComposeResult:
        self._left, self._right = Picture(self.pictures), Picture(self.pictures)
        self._left_title, self._right_title = Static(), Static()
        with Horizontal():
            with Vertical():
                yield self._left_title
                yield self._left
            with Vertical():
                yield self._right_title
                yield self._right
        yield Footer(compact=True, show_command_palette=False)

    def watch_image(self) -> None:
        if self.is_mounted:
            self.show_view()

    def show_view(self) -> None:
        view = self.view
        best = view.labels.best
        if view.reigning_best is not None:
            path = view.reigning_best_image
            of, number = view.reigning_best
            where = "of those begun with" if of == START else f"round {of}"
            title = f"{BEST} Reigning best: {where}, picture {number}"
            title += " (kept)" if best == KEEP else ""
        elif isinstance(best, int):
            path, title = view.image(best), f"{BEST} Best of this round: picture {best}"
        else:
            path, title = None, "No best yet"
        self._left.path = path
        self._left_title.update(Content.styled(title, "bold $warning"))
        self._right.path = view.image(self.image)
        self._right_title.update(
            Content.assemble((f"Picture {self.image}  ", "bold"), label_of(view.labels, self.image))
        )

    def action_move(self, by: int) -> None:
        """To the next good picture; to the next of any kind while there is none."""
        candidates = sorted(self.view.labels.good & self.view.images) or sorted(self.view.images)
        beyond = [image for image in candidates if (image - self.image) * by > 0]
        if beyond:
            self.image = min(beyond, key=lambda image: abs(image - self.image))

    def action_best(self) -> None:
        if self.meant(self._was_shown(self._right)):
            self.edit(choose(self.image))

    def action_keep(self) -> None:
        if self.view.reigning_best is None:
            self.notify("There is no reigning best yet: choose one of the goods.", markup=False)
        elif self.meant(self._was_shown(self._left)):
            self.edit(choose(KEEP))

    def _was_shown(self, picture: Picture) -> bool:
        if self.pressed is None or picture.path is None:
            return True
        return picture.shown_before(self.pressed.time)

    def action_close(self) -> None:
        self.dismiss(self.image)
