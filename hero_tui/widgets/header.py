"""The lines above the pictures: which run and round this is, and what makes a picture good."""

from textual.content import Content

from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.theme import FAINT, QUIET
from hero_tui.widgets.run_widget import RunWidget

SEPARATOR = ("  ·  ", FAINT)


class RunHeader(RunWidget):
    """One line: the run, its task, the round, and the labels used."""

    DEFAULT_CSS = """
    RunHeader {
        height: 1;
        padding: 0 1;
        background: $panel;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    def render(self) -> Content:
        view = self.view
        round_, rounds = view.rounds[-1].number if view.rounds else 0, view.task.feedback.rounds
        budget = view.task.labels_budget
        parts: list[str | tuple[str, str]] = [
            (plain(view.task.name), "bold $primary"),
            SEPARATOR,
            f"round {round_} ({round_ + 1} of {rounds})" if rounds else "evaluation only",
        ]
        if budget:
            parts += [SEPARATOR, f"labels {view.labels_used}/{budget}"]
        if view.open_round is not None and view.images:
            parts += [SEPARATOR, (f"{len(view.labels.good)} good", "$success")]
            if view.labels.unsure:
                parts += [", ", (f"{len(view.labels.unsure)} unsure", "$secondary")]
        left = Content.assemble(*parts)
        name = Content.styled(plain(view.folder.name), FAINT)
        gap = self.content_size.width - left.cell_length - name.cell_length
        return Content.assemble(left, " " * gap, name) if gap > 1 else left


class TaskLine(RunWidget):
    """One line: the prompt and the criteria, as far as they fit."""

    DEFAULT_CSS = """
    TaskLine { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def drawn_of(self, view: RunView) -> object:
        return view.task

    def render(self) -> Content:
        task = self.view.task
        return Content.assemble(
            ("Good: ", "bold $success"),
            (plain("; ".join(each.rstrip(".") for each in task.criteria)), "$text"),
            ("   “" + plain(task.prompts[0]) + "”", QUIET),
        )
