"""One at a time: one picture as large as fits, judged one after the other."""

from collections.abc import Sequence
from typing import Literal

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Footer, Static

from hero_engine.run.labels import Label, Labels
from hero_tui.client.edits import Gesture, choose, mark
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown, keys_in_force
from hero_tui.messages import Looked, OutsideAsked, Stepped
from hero_tui.pace import Pace, pace_text
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.run_screen import UNDO, RunDialog
from hero_tui.theme import QUIET
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.side import task_text
from hero_tui.widgets.tile import label_of


class ZoomScreen(RunDialog):
    """Shows picture `image` of the open round, or of an `earlier` one to look at only.

    A judgement is one of the picture that is on the screen: a key that comes before it is there
    says nothing.
    """

    CSS_PATH = "zoom.tcss"

    BINDINGS = [
        Binding("g", "judge('good')", "good", id="zoom.good"),
        Binding("b", "judge('bad')", "bad", id="zoom.bad"),
        Binding("s", "best", "best", id="zoom.best"),
        Binding("n", "judge('unsure')", "unsure", id="zoom.unsure"),
        Binding("left", "move(-1)", "previous", id="zoom.previous"),
        Binding("right,space", "move(1)", "next", id="zoom.next"),
        *UNDO,
        Binding("o", "open_outside", "open outside", show=False, id="zoom.open"),
        Binding("ctrl+s", "submit", "submit", show=False, id="submit"),
        Binding("escape,enter", "close", "back", id="zoom.close"),
    ]
    SUBMITS = "submits the round"
    OF_THE_OPEN_ROUND = frozenset({"judge", "best", "step", "open_outside", "submit"})

    image: reactive[int] = reactive(0, repaint=False)

    def __init__(
        self,
        view: RunView,
        pictures: Pictures,
        image: int,
        earlier: int | None = None,
        order: Sequence[int] | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`order`: in which the pictures follow each other; None: by number."""
        super().__init__(view, pictures, earlier)
        self._order = range(self.view.rounds[-1].images) if order is None else order
        self._pace = pace
        self._before_step: Labels | None = None
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
        self._before_step = None  # who has gone on is not led back
        if self.is_mounted:
            self.show_view()

    def show_view(self) -> None:
        self._go_where_a_step_led()
        self._picture.path = self.view.image(self.image)
        self._label.update(self.about())

    def about(self) -> Content:
        """What is said of the picture."""
        view = self.view
        of = f" of 0 to {view.rounds[-1].images - 1}\n"
        return Content.assemble(
            (f"Picture {self.image}", "bold"), of, label_of(view.labels, self.image), self.so_far()
        )

    def so_far(self) -> Content:
        """How far the open round is."""
        round_ = self.view.open_round
        if round_ is None:
            return Content()
        seen, images = len(self.view.seen), round_.images
        lines = [f"{seen} of {images} looked at", pace_text(self._pace, images - seen)]
        if seen == images:
            lines.append(f"These were all: {key_shown(self, 'submit')} {self.SUBMITS}.")
        next_one = self._next_place()
        if next_one is not None and self.view.image(self._order[next_one]) is None:
            lines.append("The next picture is still being made.")
        return Content.styled("".join(f"\n{line}" for line in lines if line), QUIET)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action not in self.OF_THE_OPEN_ROUND or self.view.open_round is not None

    # -- from picture to picture ---------------------------------------------------------------

    def _was_shown(self) -> bool:
        """Whether the picture was on the screen before the key was pressed whose action runs."""
        if self.pressed is None:
            return self._picture.complete
        return self._picture.shown_before(self.pressed.time)

    def _look(self) -> None:
        if self._was_shown() and not self.repeats and self.view.open_round is not None:
            self.post_message(Looked(self.round, frozenset({self.image})))

    def action_move(self, by: int) -> None:
        self._look()
        place = self._order.index(self.image) + by
        if 0 <= place < len(self._order) and self.view.image(self._order[place]) is not None:
            self.image = self._order[place]

    def _move_on(self) -> None:
        """To the picture after this one; after the last one, to the first that was not seen."""
        if self._next_place() is not None:
            self.action_move(1)
            return
        self._look()
        unseen = self.view.images - self.view.seen - {self.image}
        if unseen:
            self.image = next(image for image in self._order if image in unseen)

    def _next_place(self) -> int | None:
        place = self._order.index(self.image) + 1
        return place if place < len(self._order) else None

    # -- judging -------------------------------------------------------------------------------

    def _judge(self, gesture: Gesture) -> None:
        if self.meant(self._was_shown()):
            self.edit(gesture)
            self._move_on()

    def action_judge(self, label: Label) -> None:
        self._judge(mark(frozenset({self.image}), label))

    def action_best(self) -> None:
        self._judge(choose(self.image))

    def action_step(self, way: Literal["undo", "redo"]) -> None:
        if self.meant():
            self._before_step = self.view.labels
            self.post_message(Stepped(self.round, way))

    def _go_where_a_step_led(self) -> None:
        """Shows the picture whose label undo or redo has changed."""
        before, now = self._before_step, self.view.labels
        if before is None or before == now:
            return
        self._before_step = None
        order = self._order  # a second look has not all of the round's
        changed = [image for image in order if before.label(image) != now.label(image)]
        bests = (before.best, now.best)
        changed += [best for best in bests if isinstance(best, int) and best in order]
        if changed and self.image not in changed and self.view.image(changed[0]) is not None:
            self.image = changed[0]

    # -- other screens -------------------------------------------------------------------------

    def action_open_outside(self) -> None:
        self.post_message(OutsideAsked(self.image))

    def action_submit(self) -> None:
        from hero_tui.screens.submit import SubmitScreen

        self._look()
        self.app.push_screen(SubmitScreen(self.view, self.pictures), self._look_on)

    def _look_on(self, unseen: int | None) -> None:
        if unseen is not None:
            self.image = unseen

    def action_close(self) -> None:
        self._look()
        self.dismiss(self.image)
