"""What every screen of a run has: the app's view of it, and the pictures' encoder."""

from typing import TypeVar, cast

from textual.binding import Binding
from textual.dom import DOMNode
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen

from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.preview.pictures import Pictures
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import Clock

# For the screens on which one has time to look back.
EARLIER_ROUNDS = Binding("h", "app.history", "earlier rounds", id="history")

SECOND_LOOK = Binding("l", "second_look", "second look", id="second-look")

ResultT = TypeVar("ResultT")


def second_look_offer(node: DOMNode, pictures: int) -> str:
    """Says that so many labels are worth a second look, and which key shows them."""
    one = pictures == 1
    return (
        f"{key_shown(node, 'second-look')}: {pictures} label{'' if one else 's'}, "
        f"{'which' if one else 'those which'} the engine doubts most, for a second look."
    )


class RunFollower(Screen[ResultT]):
    """Follows the run: `show_view` is called when the screen is there and when the run changes."""

    view: reactive[RunView] = reactive(cast(RunView, None), repaint=False)

    def __init__(self, view: RunView, pictures: Pictures) -> None:
        super().__init__()
        self.set_reactive(RunFollower.view, view)
        self.pictures = pictures

    def on_mount(self) -> None:
        self.watch(self.app, "view", self.follow, init=False)
        self.show_view()

    def on_screen_suspend(self) -> None:
        for picture in self.query(Picture):
            picture.suspend()

    def follow(self, view: RunView) -> None:
        """The app has a new view of the run."""
        self.view = view

    def watch_view(self) -> None:
        if self.is_mounted:
            self.show_view()

    def show_view(self) -> None:
        """Draws what is not bound to `view` by itself."""

    @property
    def round(self) -> int:
        """The number of the round that is shown."""
        return self.view.rounds[-1].number


class RunScreen(RunFollower[None]):
    """A screen for one stage of the run."""

    def __init__(self, view: RunView, pictures: Pictures, clock: Clock) -> None:
        super().__init__(view, pictures)
        self.clock = clock


class RunDialog(RunFollower[int | None], ModalScreen[int | None]):
    """A screen over another one; it may say at which picture the person left it."""

    # ModalScreen's; Textual takes over the style of the first base only.
    DEFAULT_CSS = """
    RunDialog { layout: vertical; overflow-y: auto; background: $background 60%; }
    """

    BINDINGS = [Binding("question_mark", "app.help", "keys", show=False, id="help")]

    def __init__(self, view: RunView, pictures: Pictures, earlier: int | None = None) -> None:
        """`earlier`: the submitted round to show; None for the latest round, whatever it is."""
        super().__init__(view if earlier is None else view.as_of(earlier), pictures)
        self.earlier = earlier

    def follow(self, view: RunView) -> None:
        self.view = view if self.earlier is None else view.as_of(self.earlier)
