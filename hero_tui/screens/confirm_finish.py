"""Asks before the run is ended."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.judges import is_evaluated
from hero_tui.messages import EngineAsked
from hero_tui.screens.run_screen import RunDialog


class ConfirmFinishScreen(RunDialog):
    """Enter ends the run with the rounds that are submitted."""

    CSS_PATH = "dialog.tcss"
    BINDINGS = [
        Binding("enter", "finish", "finish the run", id="finish.confirm"),
        Binding("escape", "dismiss(None)", "go on labeling", id="finish.cancel"),
    ]

    def compose(self) -> ComposeResult:
        used, budget = self.view.labels_used, self.view.task.labels_budget
        what = (
            "The engine evaluates the model as it is after the last submitted round"
            f"{', from both noises,' if self.view.task.has_pool else ''} and the run ends"
            if is_evaluated(self.view.task)
            else "The run ends with the model as it is after the last submitted round"
        )
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Finish the run now?"
            yield Static(
                Content(
                    f"{used} of {budget} labels are used. {what}. It learns no more, "
                    "unless it goes back to an earlier round.\n\n"
                    "Labels of a round that is not submitted are not used."
                )
            )
        yield Footer(compact=True, show_command_palette=False)

    def action_finish(self) -> None:
        if self.meant():
            self.post_message(EngineAsked("finish"))
            self.dismiss(None)
