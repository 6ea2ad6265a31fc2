"""What a person found in an evaluation, and only now which model made which picture."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.sources import SOURCES, TRANSFERRED
from hero_engine.run.text import plain
from hero_engine.run.verdict import (
    Tally,
    by_prompt,
    by_source,
    conclusions,
    pairs_in_words,
    standing,
    stays,
)
from hero_tui.client.judging import Judging
from hero_tui.client.runview import RunView
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.run_screen import RunScreen
from hero_tui.theme import QUIET
from hero_tui.widgets.status import Clock


def found(view: RunView, judging: Judging) -> Content:
    """Rates with their intervals, and whether they differ."""
    verdicts = view.verdicts
    tallies = by_source(verdicts)
    parts: list[str | tuple[str, str]] = [("The evaluation is over\n\n", "bold $success")]
    if judging.of_pairs:
        (tally,) = tallies.values()
        parts.append(pairs_in_words(tally))
    else:
        parts.append(("Good pictures, with 95 % intervals\n", "bold $primary"))
        for source in (*SOURCES, *TRANSFERRED):
            if source in tallies:
                parts += _line(judging.what.name(source), tallies[source])
        verdict = standing(view.judge, view.figures)
        said = conclusions(judging.what, tallies)
        parts.append("\n" + "\n".join([*said, *stays(judging.what, judging.evaluation, verdict)]))
    if judging.of_transfer:
        sources = TRANSFERRED[-1:] if judging.of_pairs else TRANSFERRED
        prompts = [by_prompt(judging.what, source, verdicts) for source in sources]
        parts.append(("\n\nPrompt by prompt\n", "bold $primary"))
        for prompt in prompts[0]:
            of = " -> ".join(
                f"{each[prompt].rate.good}/{each[prompt].rate.images}" for each in prompts
            )
            parts += [f"  {of:12} ", (f"{plain(prompt)}\n", QUIET)]
    return Content.assemble(*parts)


def _line(name: str, tally: Tally) -> list[str | tuple[str, str]]:
    rate, unsure = tally.rate, f", {tally.left_out} unsure" if tally.left_out else ""
    return [
        f"  {name:28}",
        (f"{rate.percent:17}", "bold"),
        (f" {rate.good} of {rate.images}{unsure}\n", QUIET),
    ]


class VerdictScreen(RunScreen):
    """The end of an evaluation."""

    CSS_PATH = "stopped.tcss"
    BINDINGS = [Binding("enter,escape", "app.leave", "leave", id="verdict.leave")]

    def __init__(self, view: RunView, pictures: Pictures, clock: Clock, judging: Judging) -> None:
        super().__init__(view, pictures, clock)
        self.judging = judging

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            self._found = Static()
            yield self._found
        yield Footer(compact=True, show_command_palette=False)

    def show_view(self) -> None:
        self._found.update(found(self.view, self.judging))
