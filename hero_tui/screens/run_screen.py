"""What every screen of a run has: the app's view of it, and the pictures' encoder."""

from typing import Literal, TypeVar, cast

from textual import events
from textual.binding import Binding
from textual.dom import DOMNode
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen

from hero_tui.client.edits import Gesture, Made
from hero_tui.client.runview import RunView
from hero_tui.keyboard import KeyPress
from hero_tui.keys import key_shown
from hero_tui.messages import Edited, Stepped
from hero_tui.preview.pictures import Pictures
from hero_tui.terminalapp import TerminalApp
from hero_tui.textual_private import get_time
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import Clock

TOO_EARLY = "Nothing was changed: what that was for was not on the screen yet."
UNDO = (
    Binding("u,ctrl+z", "step('undo')", "undo", id="edit.undo"),
    Binding("ctrl+y", "step('redo')", "redo", show=False, id="edit.redo"),
)
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
        self._there = float("inf")  # since when it has been on the screen
        self._made: Made | None = None
        self._made_by: str | None = None

    def on_mount(self) -> None:
        self.watch(self.app, "view", self.follow, init=False)
        self.show_view()
        self.call_after_refresh(self._note_time)

    def _note_time(self) -> None:
        self._there = get_time()

    # -- what a person does here -------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tells the person something about what they have just done."""
        self.notify(text, markup=False)

    def meant(self, *shown: bool) -> bool:
        """Whether the key whose action runs is a press, and one for what was on the screen.

        To be asked before labels are changed, or anything that cannot be taken back. A key that is
        held down is one press.

        Args:
            shown: as `in_time` has it.
        """
        key = self.pressed
        if self.repeats == 2 and key is not None and self._made and self._made_by == key.key:
            self.edit(self._made.taken_back)
        return not self.repeats and self.in_time(*shown)

    def in_time(self, *shown: bool) -> bool:
        """Whether the key whose action runs came when what it is for was on the screen.

        A key that came before this screen, or before anything else that it is about, was typed for
        something else; that is said.

        Args:
            shown: whether each thing that it is about was shown before it.
        """
        key = self.pressed
        if key is None or (key.time >= self._there and all(shown)):  # None: the palette
            return True
        self.say(TOO_EARLY)
        return False

    @property
    def repeats(self) -> int:
        """As `KeyPress.repeats`, of the key whose action runs."""
        return self.pressed.repeats if isinstance(self.pressed, KeyPress) else 0

    @property
    def pressed(self) -> events.Key | None:
        """The key whose action runs."""
        return self.app.pressed if isinstance(self.app, TerminalApp) else None

    def edit(self, gesture: Gesture) -> None:
        """Changes the labels of the round that is shown."""
        self._made = Made(gesture)
        self._made_by = None if self.pressed is None else self.pressed.key
        self.post_message(Edited(self.round, self._made))

    def action_step(self, way: Literal["undo", "redo"]) -> None:
        if self.meant():
            self.post_message(Stepped(self.round, way))

    # -- following the run -------------------------------------------------------------------

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

    BINDINGS = [
        Binding("question_mark", "app.help", "keys", show=False, id="help"),
        Binding("ctrl+c", "app.help_quit", show=False, system=True),
    ]

    def __init__(self, view: RunView, pictures: Pictures, earlier: int | None = None) -> None:
        """`earlier`: the submitted round to show; None for the latest round, whatever it is."""
        super().__init__(view if earlier is None else view.as_of(earlier), pictures)
        self.earlier = earlier

    def follow(self, view: RunView) -> None:
        self.view = view if self.earlier is None else view.as_of(self.earlier)
