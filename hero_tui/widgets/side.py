"""Beside the pictures, where there is room: what is asked for, and the best so far."""

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from hero_engine.run.labels import KEEP
from hero_engine.run.record import START
from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.preview.pictures import Pictures
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.plot import SuccessPlot
from hero_tui.widgets.run_widget import RunWidget
from hero_tui.widgets.tile import BEST


def task_text(view: RunView) -> Content:
    """The prompts and the success criteria, in full."""
    task = view.task
    lines: list[tuple[str, str]] = [("A picture is good if\n", "bold $success")]
    lines += [(f"  {plain(criterion)}\n", "$text") for criterion in task.criteria]
    lines.append(("\nPrompt\n" if len(task.prompts) == 1 else "\nPrompts\n", "bold $primary"))
    lines += [(f"  {plain(prompt)}\n", "$text") for prompt in task.prompts]
    if task.negative_prompt:
        lines.append(("\nNegative prompt\n", "bold $primary"))
        lines.append((f"  {plain(task.negative_prompt)}\n", "$text"))
    if view.start is not None:
        lines.append(("\nBegun with\n", "bold $primary"))
        lines.append((f"  {view.start.words}\n", "$text"))
    return Content.assemble(*lines)


def of_round(number: int, image: int) -> str:
    """Which picture it is, in words."""
    if number == START:
        return f"{image} of those begun with"
    return f"{image} of round {number}"


class SidePanel(RunWidget):
    """The task, this round's best beside the reigning best, and success so far."""

    DEFAULT_CSS = """
    SidePanel {
        layout: vertical;
        padding: 0 2;
        #task { height: auto; max-height: 18; margin-bottom: 1; }
        #bests { height: 3fr; max-height: 24; margin-bottom: 1; }
        #bests Vertical { width: 1fr; margin-right: 1; }
        #bests Static { height: 1; color: $warning; text-style: bold; }
        SuccessPlot { height: 2fr; max-height: 20; }
    }
    """

    def __init__(self, view: RunView, pictures: Pictures) -> None:
        super().__init__(view)
        self._chosen, self._reigning = Picture(pictures), Picture(pictures)
        self._chosen_title, self._reigning_title = Static(), Static()

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="task", can_focus=False):
            yield Static(task_text(self.view))
        with Horizontal(id="bests"):
            with Vertical():
                yield self._chosen_title
                yield self._chosen
            with Vertical():
                yield self._reigning_title
                yield self._reigning
        yield SuccessPlot(self.view).data_bind(SidePanel.view)

    def on_mount(self) -> None:
        self._show()

    def watch_view(self, before: RunView, now: RunView) -> None:
        if self.is_mounted:
            self._show()

    def _show(self) -> None:
        view = self.view
        best, reigning = view.labels.best, view.reigning_best
        chosen = view.image(best) if isinstance(best, int) else None
        kept = best == KEEP
        self._chosen.path = view.reigning_best_image if kept else chosen
        title = f"{BEST} Best: " + (
            "kept" if kept else "none yet" if chosen is None else f"picture {best}"
        )
        self._chosen_title.update(Content(title), layout=False)
        self._reigning.path = view.reigning_best_image
        title = f"{BEST} Reigning: {of_round(*reigning)}" if reigning else "No reigning best yet"
        self._reigning_title.update(Content(title), layout=False)
