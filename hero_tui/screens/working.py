"""While the engine works: how far it is, what it learns, and how the rounds have gone."""

from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.judges import is_evaluated
from hero_engine.run.labels import KEEP
from hero_engine.run.record import START
from hero_engine.run.text import plain
from hero_tui.client.runview import Outcome, RunView
from hero_tui.screens.run_screen import EARLIER_ROUNDS, RunScreen
from hero_tui.widgets.curves import Curves
from hero_tui.widgets.header import RunHeader
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.plot import SuccessPlot
from hero_tui.widgets.run_widget import RunWidget
from hero_tui.widgets.side import task_text
from hero_tui.widgets.status import Clock, progress_line
from hero_tui.widgets.warning import WarningLine


def headline(view: RunView) -> str:
    """What the engine is at, in a sentence."""
    if view.engine == "running" and not view.rounds and learns_from_start(view):
        return "The model learns from pictures that are labelled already"
    if view.engine in {"starting", "stopping"} or not view.rounds:
        return "The engine is getting ready"
    round_, evaluated = view.rounds[-1], is_evaluated(view.task)
    if round_.submitted is not None and round_.trained is None:
        then = "; then it is evaluated, and the run ends" if evaluated else "; then the run ends"
        then = then if view.finishing else ""
        return f"The model learns from the labels of round {round_.number}{then}"
    if view.finishing:
        return "The model is evaluated as it is; then the run ends" if evaluated else "The run ends"
    if round_.submitted is None:
        return f"The pictures of round {round_.number} are being made"
    if view.labels_used >= view.task.labels_budget:
        return "The final model is evaluated" if evaluated else "The run ends"
    return "The next round is being prepared"


def learns_from_start(view: RunView) -> bool:
    """Whether the engine is at the pictures that the run begins with."""
    return view.start is not None and view.start.learned is None and view.state == "training"


def outcome_text(outcome: Outcome) -> Content:
    """What a submitted round came to."""
    best = outcome.labels.best
    chosen = "no best" if best is None else f"the best is {best}"
    if best == KEEP:
        chosen = "the reigning best stays"
    rate, unsure = outcome.success_rate, len(outcome.labels.unsure)
    figures = outcome.figures
    return Content.assemble(
        (f"Round {outcome.round.number}: ", "bold"),
        (f"{outcome.good} good", "bold $success"),
        f" of {outcome.sure}",
        "" if rate is None else f" ({rate:.0%})",
        f", from fresh noise {figures.fresh_good} of {figures.fresh}" if figures.fresh else "",
        (f", {unsure} unsure", "$secondary") if unsure else "",
        f", {chosen}. ",
        plain(outcome.round.outcome),
    )


class Now(RunWidget):
    """What happens now, and how long it takes."""

    def __init__(self, view: RunView, clock: Clock) -> None:
        super().__init__(view)
        self._clock = clock

    def on_mount(self) -> None:
        self.set_interval(1, self.refresh)

    def render(self) -> Content:
        last = self.view.outcomes[-1:]
        problem = self.view.problem
        return Content.assemble(
            (headline(self.view), "bold $primary"),
            "\n",
            (plain(problem), "bold $error")
            if problem
            else progress_line(self, self._clock(), min(100, self.content_size.width)),
            "\n\n",
            *(outcome_text(outcome) for outcome in last),
        )


class WorkingScreen(RunScreen):
    """Nothing to do but to look; the pictures come by themselves."""

    CSS_PATH = "working.tcss"
    BINDINGS = [Binding("t", "task", "prompt and criteria", id="task"), EARLIER_ROUNDS]

    def compose(self) -> ComposeResult:
        yield RunHeader(self.view).data_bind(WorkingScreen.view)
        yield WarningLine(self.view).data_bind(WorkingScreen.view)
        yield Now(self.view, self.clock).data_bind(WorkingScreen.view)
        with Horizontal():
            with Vertical(id="so-far"):
                yield SuccessPlot(self.view).data_bind(WorkingScreen.view)
            with Vertical(id="best"):
                yield Static("★ Best so far", classes="title")
                self._picture = Picture(self.pictures)
                yield self._picture
        with VerticalScroll(id="asked", can_focus=False):
            yield Static(task_text(self.view))
        yield Curves(self.view).data_bind(WorkingScreen.view)
        yield Footer(compact=True, show_command_palette=False)

    def show_view(self) -> None:
        self.set_class(not self.view.outcomes, "-first-round")
        self._picture.path = best_so_far(self.view)

    def action_task(self) -> None:
        from hero_tui.screens.task import TaskScreen

        self.app.push_screen(TaskScreen(self.view, self.pictures))


def best_so_far(view: RunView) -> Path | None:
    """The file of the last chosen best."""
    for outcome in reversed(view.outcomes):
        if isinstance(outcome.labels.best, int):
            return view.folder.image(outcome.round.number, outcome.labels.best)
    if view.start is not None and isinstance(view.start.labels.best, int):
        return view.folder.image(START, view.start.labels.best)
    return None
