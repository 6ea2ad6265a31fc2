"""The task in full: what is asked of the pictures."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.text import plain
from hero_tui.screens.run_screen import RunDialog
from hero_tui.widgets.side import task_text


class TaskScreen(RunDialog):
    """Prompt, criteria, and the kinds of difficulty."""

    CSS_PATH = "dialog.tcss"
    BINDINGS = [Binding("escape,enter,t", "dismiss(None)", "back", id="task.close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "What is asked"
            yield Static(task_text(self.view))
            categories = self.view.task.categories
            if categories:
                said = plain(", ".join(categories))
                yield Static(Content.assemble(("\nWhat is hard\n", "bold $primary"), f"  {said}"))
        yield Footer(compact=True, show_command_palette=False)
