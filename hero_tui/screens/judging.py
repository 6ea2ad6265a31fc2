"""An evaluation's pictures, page by page, with labeling's keys; nothing says what made them."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.labels import Labels
from hero_engine.run.text import plain
from hero_tui.client.judging import Judging
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.messages import Submitted
from hero_tui.pace import Pace
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.run_screen import RunDialog
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.theme import QUIET
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.header import SEPARATOR, RunHeader, TaskLine
from hero_tui.widgets.status import Clock, StatusLine

END = Binding("ctrl+s", "submit", "end the evaluation", id="submit")


class JudgingHeader(RunHeader):
    """One line: the run, and how far its judge is."""

    what = "blind evaluation"

    def render(self) -> Content:
        view = self.view
        left = Content.assemble(
            (plain(view.task.name), "bold $primary"),
            SEPARATOR,
            self.what,
            SEPARATOR,
            f"{len(view.seen)} of {view.rounds[-1].images} judged",
        )
        name = Content.styled(plain(view.folder.name), QUIET)
        gap = self.content_size.width - left.cell_length - name.cell_length
        return Content.assemble(left, " " * gap, name) if gap > 1 else left


class PromptsLine(RunHeader):
    """One line: what the pictures of the page were drawn of, by their numbers."""

    DEFAULT_CSS = "PromptsLine { background: $background; }"

    prompts: tuple[tuple[int, str], ...] = ()

    def show(self, prompts: tuple[tuple[int, str], ...]) -> None:
        """(Number, prompt) of each picture of the page."""
        if prompts != self.prompts:
            self.prompts = prompts
            self.refresh()

    def render(self) -> Content:
        numbers: dict[str, list[int]] = {}
        for number, prompt in self.prompts:
            numbers.setdefault(prompt, []).append(number)
        parts: list[tuple[str, str]] = [("Good: it fits its prompt.  ", "bold $success")]
        for prompt, of in numbers.items():
            which = f"{of[0]} to {of[-1]}" if len(of) > 1 else f"{of[0]}"
            parts += [(f"{which}: ", QUIET), (f"{plain(prompt)}  ", "$text")]
        return Content.assemble(*parts)


class JudgingScreen(LabelingScreen):
    """The shuffled pictures of the base and of the taught model."""

    BINDINGS = [END]
    # What would tell the pictures apart, or belongs to a round.
    NOT_HERE = frozenset({"best", "keep", "compare", "order", "try", "open_outside"})

    def __init__(
        self,
        view: RunView,
        pictures: Pictures,
        clock: Clock,
        judging: Judging,
        pace: Pace | None = None,
    ) -> None:
        blind = judging.view(view)
        unjudged = sorted(blind.images - blind.seen)
        super().__init__(blind, pictures, clock, unjudged[0] if unjudged else 0, pace=pace)
        self.judging = judging

    def follow(self, view: RunView) -> None:
        self.view = self.judging.view(view)

    def compose(self) -> ComposeResult:
        view = self.view
        yield JudgingHeader(view).data_bind(LabelingScreen.view)
        self._prompts = PromptsLine(view).data_bind(LabelingScreen.view)
        yield self._prompts if self.judging.of_transfer else TaskLine(view)
        with Horizontal():
            self.grid = PictureGrid(view, self.pictures).data_bind(LabelingScreen.view)
            self.grid.show_image(self._at)
            yield self.grid
        self.status = StatusLine(view, self.clock).data_bind(LabelingScreen.view)
        yield self.status
        yield Footer(compact=True, show_command_palette=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self.NOT_HERE or (action, parameters) == ("ask", ("best",)):
            return False
        return super().check_action(action, parameters)

    def show_view(self) -> None:
        super().show_view()
        if self.judging.of_transfer:
            page = self.grid.images_of(self.grid.page)
            self._prompts.show(tuple((place, self.judging.prompt(place)) for place in page))

    def _show_hint(self) -> None:
        super()._show_hint()
        if not self.overview and not self.view.seen and self.view.labels == Labels():
            self.status.tip = (
                f"key: good, {key_shown(self, 'unsure.ask')}: unsure, "
                f"{key_shown(self, 'page.next')}: next, else bad"
            )

    def action_turn(self, by: int) -> None:
        if self.grid.page + by == self.grid.pages:
            self._look()
            which = "That was the last page"
            missing = len(self.view.images - self.view.seen - self.grid.complete_images())
            ends = f"{which}: {key_shown(self, 'submit')} ends the evaluation."
            self.say(self._still_to_see(which, missing) if missing else ends)
            return
        super().action_turn(by)

    def action_zoom(self) -> None:
        screen = BlindZoomScreen(
            self.view, self.pictures, self.grid.image, order=self.grid.order, pace=self._pace
        )
        screen.judging = self.judging
        self.app.push_screen(screen, self.grid.return_to)

    def action_submit(self) -> None:
        self._leave_page()
        self.app.push_screen(EndScreen(self.view, self.pictures, self.judging), self._look_on)


class BlindZoomScreen(ZoomScreen):
    """One picture of an evaluation, large."""

    SUBMITS = "ends the evaluation"
    judging: Judging

    def follow(self, view: RunView) -> None:
        self.view = self.judging.view(view)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action not in {"best", "open_outside"} and super().check_action(action, parameters)

    def about(self) -> Content:
        said = super().about()
        if not self.judging.of_transfer:
            return said
        prompt = plain(self.judging.prompt(self.image))
        return Content.assemble(said, ("\n\nDrawn of\n", "bold $primary"), f"  {prompt}\n")

    def action_submit(self) -> None:
        self._look()
        self.app.push_screen(EndScreen(self.view, self.pictures, self.judging), self._look_on)


class EndScreen(RunDialog):
    """Asks before it is told which model made which picture; then nothing can be changed.

    Left for a picture or pair that is not judged yet, it says which.
    """

    CSS_PATH = "dialog.tcss"
    BINDINGS = [
        Binding("enter", "end", "end, and be told", id="evaluation.end"),
        Binding("full_stop", "next_unjudged", "go on judging", id="page.unseen"),
        Binding("escape", "dismiss(None)", "back to the pictures", id="evaluation.back"),
    ]

    def __init__(self, view: RunView, pictures: Pictures, judging: Judging) -> None:
        super().__init__(view, pictures)
        self.judging = judging

    def follow(self, view: RunView) -> None:
        self.view = self.judging.view(view)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "End the evaluation?"
            self._said = Static()
            yield self._said
        yield Footer(compact=True, show_command_palette=False)

    @property
    def _missing(self) -> list[int]:
        return sorted(self.view.images - self.view.seen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "end":
                return not self._missing
            case "next_unjudged":
                return bool(self._missing)
        return True

    def show_view(self) -> None:
        total, things = (
            self.view.rounds[-1].images,
            "pairs" if self.judging.of_pairs else "pictures",
        )
        if self._missing:
            words = (
                f"{len(self._missing)} of {total} {things} are not judged yet; "
                f"{key_shown(self, 'page.unseen')} goes to the next. They are kept if you leave: "
                "the same command goes on."
            )
        else:
            words = (
                f"All {total} {things} are judged. {key_shown(self, 'evaluation.end')} ends the "
                "evaluation: you are told which model made which, and nothing can be changed then."
            )
        self._said.update(Content(words))
        self.refresh_bindings()

    def action_next_unjudged(self) -> None:
        self.dismiss(self._missing[0])

    def action_end(self) -> None:
        if self.meant():
            self.post_message(Submitted(0))
            self.dismiss(None)
