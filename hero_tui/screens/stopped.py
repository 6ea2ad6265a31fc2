"""No engine works on the run: paused on purpose, failed, or gone; one key goes on."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.text import plain, plain_lines
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.screens.run_screen import EARLIER_ROUNDS, RunScreen
from hero_tui.theme import QUIET
from hero_tui.widgets.header import RunHeader
from hero_tui.widgets.plot import SuccessPlot
from hero_tui.widgets.warning import WarningLine


def explanation(view: RunView, start_key: str) -> Content:
    """Why nothing goes on, and what is kept."""
    if view.state == "paused" and view.engine != "crashed":
        title, style = "Paused", "bold $warning"
        why = "The run goes on where it stopped; every label is kept."
    elif view.state == "failed":
        title, style = "The engine failed", "bold $error"
        why = plain_lines(view.error) or "It did not say why."
    else:
        title, style = "The engine is gone", "bold $error"
        why = (
            "Its process ended without a word: killed, or out of memory? Every label is kept, "
            "and the run goes on from the last thing that was complete."
        )
    lines: list[str | tuple[str, str]] = [(f"{title}\n\n", style), f"{why}\n"]
    if view.problem:
        lines.append((f"\n{plain(view.problem)}\n", "bold $error"))
    if view.log:
        lines.append((f"\nThe end of {plain(str(view.folder.log_file))}\n", "bold"))
        lines += [(f"  {plain(line)}\n", QUIET) for line in view.log.splitlines()]
    lines.append((f"\n{start_key} starts the engine again.", "$primary"))
    return Content.assemble(*lines)


class StoppedScreen(RunScreen):
    """Says why, and offers to go on."""

    CSS_PATH = "stopped.tcss"
    BINDINGS = [Binding("enter", "app.start", "continue", id="stopped.start"), EARLIER_ROUNDS]

    def compose(self) -> ComposeResult:
        yield RunHeader(self.view).data_bind(StoppedScreen.view)
        yield WarningLine(self.view).data_bind(StoppedScreen.view)
        with VerticalScroll():
            self._why = Static()
            yield self._why
        yield SuccessPlot(self.view).data_bind(StoppedScreen.view)
        yield Footer(compact=True, show_command_palette=False)

    def show_view(self) -> None:
        self._why.update(explanation(self.view, key_shown(self, "stopped.start")))
