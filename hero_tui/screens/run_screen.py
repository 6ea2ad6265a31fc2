"""What every screen of a run has: the app's view of it, and the pictures' encoder."""

from typing import cast

from textual.binding import Binding
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen

from hero_tui.preview.pictures import Pictures
from hero_tui.runview import RunView
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import Clock


class RunScreen(Screen[None]):
    """A screen for one stage of the run."""

    view: reactive[RunView] = reactive(cast(RunView, None), repaint=False)

    def __init__(self, view: RunView, pictures: Pictures, clock: Clock) -> None:
        super().__init__()
        self.set_reactive(RunScreen.view, view)
        self.pictures = pictures
        self.clock = clock

    def on_mount(self) -> None:
        self.watch(self.app, "view", self._follow, init=False)

    def on_screen_suspend(self) -> None:
        for picture in self.query(Picture):
            picture.suspend()

    def _follow(self, view: RunView) -> None:
        self.view = view

    @property
    def round(self) -> int:
        """The number of the round that is shown."""
        return self.view.rounds[-1].number


class RunDialog(ModalScreen[int | None]):
    """A screen over another one; it may say at which picture the person left it."""

    BINDINGS = [Binding("question_mark", "app.help", "keys", show=False, id="dialog.help")]

    view: reactive[RunView] = reactive(cast(RunView, None), repaint=False)

    def __init__(self, view: RunView, pictures: Pictures) -> None:
        super().__init__()
        self.set_reactive(RunDialog.view, view)
        self.pictures = pictures

    def on_mount(self) -> None:
        self.watch(self.app, "view", self._follow, init=False)

    def on_screen_suspend(self) -> None:
        for picture in self.query(Picture):
            picture.suspend()

    def _follow(self, view: RunView) -> None:
        self.view = view

    @property
    def round(self) -> int:
        """The number of the round that is shown."""
        return self.view.rounds[-1].number
