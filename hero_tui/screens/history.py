"""Earlier rounds: their pictures with the labels that were submitted, to look at only.

The latest round can stand beside them, to see what the rounds between have changed.
Labels that the engine doubted can be looked at again: that is counted, and changes none of them.
"""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Footer, Static

from hero_tui.client.runview import RunView
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.picture_size import PICTURE_SIZE, resize_pictures
from hero_tui.screens.run_screen import SECOND_LOOK, RunDialog, second_look_offer
from hero_tui.screens.working import outcome_text
from hero_tui.widgets.grid import TILE_KEYS, PictureGrid
from hero_tui.widgets.header import RunHeader
from hero_tui.widgets.side import SidePanel
from hero_tui.widgets.tile import Tile
from hero_tui.widgets.warning import collapse_text


def latest_text(run: RunView) -> str:
    """Which round it is, and how far its labels are."""
    latest, good = run.rounds[-1], len(run.labels.good)
    if latest.submitted is not None:
        return f"round {latest.number}: {good} good of {latest.images}."
    return f"round {latest.number}, as it is labelled now: {good} good so far."


class HistoryScreen(RunDialog):
    """One submitted round, page by page; left and right go to the others.

    The latest round, whose labels may still change, is shown on its right when that is asked for.
    """

    CSS_PATH = "history.tcss"

    BINDINGS = [
        *(
            Binding(key, f"tile({number})", "zoom", show=False, id=f"tile.{key}")
            for number, key in enumerate(TILE_KEYS)
        ),
        Binding("left", "round(-1)", "round before", id="history.previous"),
        Binding("right", "round(1)", "round after", id="history.next"),
        Binding("space", "turn(1)", "next page", id="page.next"),
        Binding("backspace", "turn(-1)", "previous page", show=False, id="page.previous"),
        *PICTURE_SIZE,
        Binding("t", "beside", "beside the latest", id="history.beside"),
        Binding("enter", "zoom", "zoom", id="zoom"),
        SECOND_LOOK,
        Binding("b", "roll_back", "go on from here", id="history.rollback"),
        Binding("escape,h", "dismiss(None)", "back", id="history.close"),
    ]

    def __init__(
        self, view: RunView, pictures: Pictures, number: int, beside: bool = False
    ) -> None:
        super().__init__(view, pictures, number)
        self._run = view
        self._latest: PictureGrid | None = None
        if beside and number != view.rounds[-1].number:
            self._latest = self._beside()

    def _beside(self) -> PictureGrid:
        grid = PictureGrid(self._run, self.pictures, narrow=True, keys=False)
        grid.id = "latest"
        grid.disabled = True  # only to look at
        return grid

    def compose(self) -> ComposeResult:
        yield RunHeader(self.view).data_bind(HistoryScreen.view)
        self._outcome = Static(id="outcome")
        yield self._outcome
        with Horizontal():
            narrow = self._latest is not None
            self.grid = PictureGrid(self.view, self.pictures, narrow).data_bind(HistoryScreen.view)
            yield self.grid
            if self._latest is not None:
                yield self._latest
            yield SidePanel(self.view, self.pictures).data_bind(HistoryScreen.view)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.watch(self.grid, "first", self.show_view)
        self.watch(self.grid, "page_size", self.show_view)

    def follow(self, view: RunView) -> None:
        self._run = view
        super().follow(view)
        if self._latest is not None:  # its round may change where the earlier one does not
            self.show_view()

    def show_view(self) -> None:
        self.set_class(self._latest is not None, "-beside")
        shown = self.view.outcomes[-1]
        page = f"page {self.grid.page + 1}/{self.grid.pages}  "
        again = len(self.view.doubted)
        offer = Content.styled(f" {second_look_offer(self, again)}", "$accent") if again else ""
        beside = Content("")
        if self._latest is not None:
            self._latest.view = self._run
            self._latest.show_place(min(self.grid.first, self._latest.total - 1))
            beside = Content.styled(f"\nOn the right {latest_text(self._run)}", "bold")
        said = outcome_text(shown) + collapse_text(shown.round)
        self._outcome.update(page + said + offer + beside)
        self.refresh_bindings()

    def action_round(self, by: int) -> None:
        number = self.round + by
        if number in {outcome.round.number for outcome in self._run.outcomes}:
            self.earlier = number
            self.follow(self._run)
            self.grid.show_image(0)
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "second_look":
            return bool(self.view.doubted)
        if action == "beside":
            return self._latest is not None or self.round != self._run.rounds[-1].number
        if action == "resize_pictures":
            return self._latest is None
        if action != "roll_back":
            return True
        return self._run.can_go_back_to(self.view.outcomes[-1].round)

    def action_roll_back(self) -> None:
        from hero_tui.screens.confirm_rollback import ConfirmRollbackScreen

        self.app.push_screen(ConfirmRollbackScreen(self._run, self.pictures, self.round))

    def action_second_look(self) -> None:
        from hero_tui.screens.second_look import SecondLookScreen

        self.app.push_screen(SecondLookScreen(self._run, self.pictures, self.round))

    def action_turn(self, by: int) -> None:
        page = self.grid.page + by
        if 0 <= page < self.grid.pages:
            self.grid.show_image(self.grid.images_of(page)[0])

    def action_beside(self) -> None:
        """Puts the latest round on the right, or takes it away."""
        if self._latest is None:
            self._latest = self._beside()
            self.mount(self._latest, after=self.grid)
        else:
            self._latest.remove()
            self._latest = None
        self.grid.narrow = self._latest is not None
        self.show_view()

    def action_resize_pictures(self, larger: bool) -> None:
        resize_pictures(self, self.grid, larger)

    def action_tile(self, key: int) -> None:
        image = self.grid.image_of_key(key)
        if image is not None:
            self._zoom(image)

    def action_zoom(self) -> None:
        self._zoom(self.grid.image)

    @on(PictureGrid.Wheeled)
    def _wheeled(self, wheeled: PictureGrid.Wheeled) -> None:
        self.action_turn(wheeled.by)

    @on(Tile.Clicked)
    def _tile_clicked(self, clicked: Tile.Clicked) -> None:
        self._zoom(clicked.image)

    def _zoom(self, image: int) -> None:
        from hero_tui.screens.zoom import ZoomScreen

        self.grid.show_image(image)
        self.app.push_screen(
            ZoomScreen(self._run, self.pictures, image, self.round), self.grid.return_to
        )
