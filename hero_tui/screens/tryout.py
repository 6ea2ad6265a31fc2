"""Trying a prompt: a few pictures from the model as it is, which change nothing in the run."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Footer, Input, Static

from hero_engine.run.record import Try
from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.messages import TryAsked
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.run_screen import RunDialog
from hero_tui.theme import QUIET
from hero_tui.widgets.picture import Picture

ROW = 4
"""Pictures from one noise."""


class TryScreen(RunDialog):
    """A line for the prompt, and the pictures of the latest try, or of an earlier one."""

    CSS_PATH = "tryout.tcss"

    BINDINGS = [
        Binding("ctrl+up", "turn(-1)", "try before", id="try.previous"),
        Binding("ctrl+down", "turn(1)", "try after", id="try.next"),
        Binding("escape", "dismiss(None)", "back", id="try.close"),
    ]

    shown: reactive[int] = reactive(-1, repaint=False)
    """Which try, from the last one backwards."""

    def __init__(self, view: RunView, pictures: Pictures) -> None:
        super().__init__(view, pictures)
        self._rows = [[Picture(pictures) for _ in range(ROW)] for _ in range(2)]

    def compose(self) -> ComposeResult:
        tries = self.view.tries
        prompt = tries[-1].prompt if tries else self.view.task.prompts[0]
        asked = Input(prompt, max_length=2000, id="prompt")
        asked.border_title = "Prompt: enter has the engine draw it"
        yield asked
        self._about = Static(id="about")
        yield self._about
        for title, row in zip(
            ("from fresh noise", "from the run's own noise"), self._rows, strict=True
        ):
            yield Static(Content.styled(title, QUIET))
            yield Horizontal(*row)
        yield Footer(compact=True, show_command_palette=False)

    @on(Input.Submitted)
    def _ask(self, submitted: Input.Submitted) -> None:
        prompt = submitted.value.strip()
        if prompt:
            self.shown = -1
            self.post_message(TryAsked(prompt))

    def action_turn(self, by: int) -> None:
        self.shown = min(-1, max(-len(self.view.tries), self.shown + by))

    def watch_shown(self) -> None:
        if self.is_mounted:
            self.show_view()

    def show_view(self) -> None:
        tries = self.view.tries
        if not tries:
            return
        shown = tries[max(self.shown, -len(tries))]
        self._about.update(self._said_of(shown))
        for place, picture in enumerate(self._rows[0] + self._rows[1]):
            there = place < shown.images
            picture.path = self.view.folder.try_image(shown.number, place) if there else None

    def _said_of(self, shown: Try) -> Content:
        name = f"{shown.number} of {len(self.view.tries)}: {plain(shown.prompt)}"
        if shown.error:
            return Content.assemble(name, "  ", (plain(shown.error), "bold $error"))
        if shown.finished:
            return Content.assemble(name, (f"  the model that drew round {shown.round}", QUIET))
        waiting = (
            "being drawn …"
            if self.view.state == "labeling" and self.view.engine == "running"
            else "drawn when the engine next waits for labels"
        )
        return Content.assemble(name, "  ", (waiting, "$warning"))
