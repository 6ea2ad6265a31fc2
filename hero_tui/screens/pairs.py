"""Two pictures from the same noise, side by side: which is better, or neither."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Footer, Static

from hero_engine.run.text import plain
from hero_tui.client.judging import Judging
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.messages import PairJudged
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.judging import END, EndScreen, JudgingHeader
from hero_tui.screens.run_screen import UNDO, RunScreen
from hero_tui.theme import QUIET
from hero_tui.widgets.header import TaskLine
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import Clock


class PairsHeader(JudgingHeader):
    what = "blind evaluation, pairs"


class PairsScreen(RunScreen):
    """One pair after the other; which model's is on the left, nothing says."""

    CSS_PATH = "compare.tcss"
    BINDINGS = [
        Binding("left", "judge(True)", "left is better", id="pair.left"),
        Binding("right", "judge(False)", "right is better", id="pair.right"),
        Binding("n,down", "judge(None)", "neither", id="pair.neither"),
        Binding("backspace", "move(-1)", "previous pair", show=False, id="page.previous"),
        Binding("space", "move(1)", "next pair", show=False, id="page.next"),
        Binding("full_stop", "next_unjudged", "next pair to judge", show=False, id="page.unseen"),
        *UNDO,
        END,
    ]

    place: reactive[int] = reactive(0, repaint=False)

    def __init__(self, view: RunView, pictures: Pictures, clock: Clock, judging: Judging) -> None:
        blind = judging.view(view)
        super().__init__(blind, pictures, clock)
        self.judging = judging
        self._seen = blind.seen
        self.set_reactive(PairsScreen.place, min(blind.images - blind.seen, default=0))

    def follow(self, view: RunView) -> None:
        self.view = self.judging.view(view)

    def compose(self) -> ComposeResult:
        yield PairsHeader(self.view).data_bind(PairsScreen.view)
        yield TaskLine(self.view)
        self._prompt = Static()
        yield self._prompt
        with Horizontal():
            for side in ("left", "right"):
                with Vertical():
                    yield Picture(self.pictures, id=side)
        self._said = Static()
        yield self._said
        yield Footer(compact=True, show_command_palette=False)

    @property
    def _sides(self) -> list[Picture]:
        return [self.query_one(f"#{side}", Picture) for side in ("left", "right")]

    def watch_place(self) -> None:
        if self.is_mounted:
            self.show_view()

    def show_view(self) -> None:
        taken_back = self._seen - self.view.seen
        self._seen = self.view.seen
        if len(taken_back) == 1:  # undo leads to its pair
            (self.place,) = taken_back
        for picture, path in zip(self._sides, self.judging.sides(self.place), strict=True):
            picture.path = path
        self._prompt.update(Content.styled(f"“{plain(self.judging.prompt(self.place))}”", QUIET))
        total = self.view.rounds[-1].images
        said = self.judging.said_of_pair(self.view, self.place)
        if len(self.view.seen) == total:
            after = f"These were all: {key_shown(self, 'submit')} ends the evaluation."
        else:
            after = f"You said: {said}." if said else "Which is better?"
        self._said.update(
            Content.assemble((f"Pair {self.place + 1} of {total}  ", "bold"), (after, "$accent"))
        )

    def action_judge(self, left: bool | None) -> None:
        pressed = self.pressed
        shown = [pressed is None or side.shown_before(pressed.time) for side in self._sides]
        if self.meant(*shown):
            self.post_message(PairJudged(self.place, left))
            unjudged = self._unjudged_after(self.place)
            if unjudged is not None:
                self.place = unjudged

    def _unjudged_after(self, place: int) -> int | None:
        unjudged = self.view.images - self.view.seen - {place}
        later = [each for each in unjudged if each > place]
        return min(later or unjudged, default=None)

    def action_move(self, by: int) -> None:
        if 0 <= self.place + by < self.view.rounds[-1].images:
            self.place += by

    def action_next_unjudged(self) -> None:
        unjudged = self._unjudged_after(self.place)
        if unjudged is None:
            self.say("Every pair is judged.")
        else:
            self.place = unjudged

    def action_submit(self) -> None:
        self.app.push_screen(EndScreen(self.view, self.pictures, self.judging), self._look_on)

    def _look_on(self, unjudged: int | None) -> None:
        if unjudged is not None:
            self.place = unjudged
