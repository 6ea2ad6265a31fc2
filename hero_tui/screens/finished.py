"""The end of a run: what it brought, and where it is."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.intervals import Rate
from hero_engine.run.record import Noise
from hero_engine.run.second_look import label_noise
from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.screens.run_screen import EARLIER_ROUNDS, RunScreen
from hero_tui.screens.working import best_so_far
from hero_tui.theme import QUIET
from hero_tui.widgets.header import RunHeader
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.plot import SuccessPlot
from hero_tui.widgets.warning import WarningLine

NOISES: dict[Noise, str] = {"base": "base model", "fresh": "fresh noise", "pi": "from pi_HERO"}


def _rate(rate: Rate, style: str) -> list[tuple[str, str]]:
    if not rate.images:
        return [("   -", style), ("  all unsure\n", QUIET)]
    share, interval = rate.percent.split(" ", 1)
    return [
        (f"{share:>4}", style),
        (f" {interval:14} {rate.good} of {rate.images}\n", QUIET),
    ]


def result(view: RunView) -> Content:
    """Success before and after, and what to do with the model."""
    lines: list[str | tuple[str, str]] = [
        ("Good pictures", "bold $primary"),
        (", 95 % intervals\n", QUIET),
    ]
    asked = view.task.asks_for_labels
    if view.outcomes and asked:
        first = view.outcomes[0]
        lines += [
            f"  {'round 0':13}",
            *_rate(Rate(first.good, first.sure), "bold"),
        ]
    if view.figures:
        lines += [(f"  judged by {plain(view.judge)}:\n", QUIET)]
    for noise, name in NOISES.items():
        if noise in view.figures:
            style = "bold" if noise == "base" else "bold $success"
            said = name if noise != "pi" or view.task.has_pool else "other noise"
            lines += [f"  {said:13}", *_rate(Rate.of(view.figures[noise]), style)]
    if not view.figures:
        lines += [("  The final model has not been judged.\n", QUIET)]
    if not view.outcomes:
        lines += ["\nNo rounds: nothing was learned."]
        return Content.assemble(*lines)
    unsure = sum(len(outcome.labels.unsure) for outcome in view.outcomes) if asked else 0
    wrong = label_noise(view.second_looks)
    labels = f"{view.labels_used - unsure} labels" if asked else "No labels"
    lines += [
        f"\n{labels} in {len(view.outcomes)} round{'' if len(view.outcomes) == 1 else 's'}",
        f", {unsure} unsure.\n" if unsure else ".\n",
        f"{wrong.words}.\n" if wrong else "",
        (
            f"\nLoRA,{' noise pool' if view.task.has_pool else ''} and model card\n",
            "bold $primary",
        ),
        f"  {plain(str(view.folder.exports))}\n",
        ("Put them elsewhere with\n", "bold $primary"),
        f"  hero-tui export {plain(view.folder.reference)} -o FOLDER",
    ]
    return Content.assemble(*lines)


class FinishedScreen(RunScreen):
    """The run is over."""

    CSS_PATH = "finished.tcss"
    BINDINGS = [
        Binding("enter,escape", "app.leave", "leave", id="finished.leave"),
        Binding("e", "app.judge", "judge it blind", id="finished.judge"),
        EARLIER_ROUNDS,
    ]

    def compose(self) -> ComposeResult:
        yield RunHeader(self.view).data_bind(FinishedScreen.view)
        yield WarningLine(self.view).data_bind(FinishedScreen.view)
        with Horizontal():
            with VerticalScroll(id="result"):
                yield Static("Finished", classes="title")
                self._numbers = Static()
                yield self._numbers
            with Vertical(id="best") as self._best:
                yield Static("★ The last best", classes="title")
                self._picture = Picture(self.pictures)
                yield self._picture
        self._plot = SuccessPlot(self.view).data_bind(FinishedScreen.view)
        yield self._plot
        yield Footer(compact=True, show_command_palette=False)

    def show_view(self) -> None:
        self._numbers.update(result(self.view))
        self._picture.path = best_so_far(self.view)
        for of_rounds in (self._best, self._plot):
            of_rounds.display = bool(self.view.outcomes)
