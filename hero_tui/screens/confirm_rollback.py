"""Asks before the run goes back to an earlier round."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.messages import RollbackAsked
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.run_screen import RunDialog


class ConfirmRollbackScreen(RunDialog):
    """Enter makes the model after round `number` the current one; maybe by half the step."""

    CSS_PATH = "dialog.tcss"
    BINDINGS = [
        Binding("enter", "roll_back", "go back", id="rollback.confirm"),
        Binding("escape", "dismiss(None)", "leave it as it is", id="rollback.cancel"),
    ]

    def __init__(
        self, view: RunView, pictures: Pictures, number: int, smaller_step: bool = False
    ) -> None:
        super().__init__(view, pictures)
        self._number = number
        self._smaller_step = smaller_step

    def compose(self) -> ComposeResult:
        view, number = self.view, self._number
        left = sum(o.round.images for o in view.outcomes if o.round.number > number)
        if view.open_round is not None:
            left += len(view.seen | view.labels.good | view.labels.unsure)
        command = f"hero-tui rollback {view.folder.reference} --round {number} --set"
        with VerticalScroll(classes="dialog") as dialog:
            step = view.task.update.learning_rate / 2
            if self._smaller_step:
                dialog.border_title = "Go on by half the step?"
                then = f"From then on update.learning_rate is {step:g}, half of what it was."
            else:
                dialog.border_title = f"Go back to the model after round {number}?"
                then = (
                    "To go on with other settings, leave this and use:\n"
                    f"{plain(command)} update.learning_rate={step:g}"
                )
            yield Static(
                Content(
                    f"Round {number + 1} is drawn anew by the model as it was after training round "
                    f"{number}, from other noise. What came after it ({left} labels) is kept as a "
                    f"run of its own: {plain(view.folder.line(view.line).name)}.\n\n{then}"
                )
            )
        yield Footer(compact=True, show_command_palette=False)

    def action_roll_back(self) -> None:
        if self.meant():
            self.post_message(RollbackAsked(self._number, self._smaller_step))
            self.dismiss(None)
