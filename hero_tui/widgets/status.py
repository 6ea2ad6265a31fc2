"""The line below the pictures: the page, and what the engine is doing."""

from collections.abc import Callable

from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer

from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.theme import QUIET
from hero_tui.widgets.run_widget import RunWidget

Clock = Callable[[], float]
SAID_SECONDS = 6.0


def bar(share: float, width: int) -> Content:
    """A progress bar of `width` cells."""
    full = round(min(1.0, max(0.0, share)) * width)
    return Content.assemble(("━" * full, "$primary"), ("━" * (width - full), "$surface-lighten-2"))


def duration(seconds: float) -> str:
    """How long, in the largest two units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def progress_line(widget: RunWidget, now: float, width: int) -> Content:
    """What the engine does, how far it is, and how long it still takes, in `width` cells."""
    view = widget.view
    progress = view.progress
    if not view.engine_lives:
        key = key_shown(widget, "run.start")
        return Content.styled(f"The engine is not running: {key} starts it.", "$error")
    if view.engine == "starting" or not progress.phase:
        return Content.styled("The engine is starting …", QUIET)
    if view.engine == "stopping":
        return Content.styled("The engine finishes what it is at, and stops …", "$warning")
    if progress.total <= 1 or progress.done >= progress.total:
        return Content.styled(plain(progress.phase), QUIET)
    left = progress.seconds_left(now)
    before = f"{plain(progress.phase)} {progress.done}/{progress.total} "
    after = "" if left is None else f" about {duration(left)} left"
    room = width - len(before) - len(after)
    return Content.assemble(before, bar(progress.done / progress.total, room), after)


class StatusLine(RunWidget):
    """Pages on the left; on the right the engine, or the person's pace while it waits for labels.

    `hint` takes the line when something is asked, and what is said (`say`) for a while; `tip`, for
    who is new, the place of the pages.
    """

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    pages: reactive[tuple[bool, ...]] = reactive(())
    page: reactive[int] = reactive(0)
    order: reactive[str] = reactive("")
    pace: reactive[str] = reactive("")
    hint: reactive[str] = reactive("")
    tip: reactive[str] = reactive("")
    said: reactive[str] = reactive("")

    def __init__(self, view: RunView, clock: Clock) -> None:
        super().__init__(view)
        self._clock = clock
        self._silence: Timer | None = None

    def say(self, text: str) -> None:
        """Says something for a few seconds, where no picture is."""
        self.said = text
        if self._silence is not None:
            self._silence.stop()
        self._silence = self.set_timer(SAID_SECONDS, lambda: setattr(self, "said", ""))

    def on_mount(self) -> None:
        self.set_interval(1, self.refresh)

    def render(self) -> Content:
        if self.view.problem:
            # Which run it is stands above; what is wrong has to fit here.
            problem = self.view.problem.removeprefix(f"{self.view.folder.path}/")
            return Content.styled(plain(problem), "bold $error")
        if self.said:
            return Content.styled(self.said, "bold $accent")
        if self.hint:
            return Content.styled(self.hint, "bold $warning")
        marks: list[tuple[str, str]] = [
            (
                "■" if seen else "□",
                "bold $primary" if page == self.page else QUIET,
            )
            for page, seen in enumerate(self.pages)
        ]
        left = Content.assemble(f"page {self.page + 1}/{len(self.pages)} ", *marks)
        if self.order:
            left = Content.assemble(left, (f" {self.order}", "bold $accent"))
        room = min(60, self.content_size.width // 2)
        # How to start an engine that has stopped is worth more than the tip, and both don't fit.
        if self.tip and self.view.engine_lives:
            left = Content.styled(self.tip, "bold $accent")
            room = min(60, self.content_size.width - left.cell_length - 2)
        right = progress_line(self, self._clock(), room)
        if self.pace and self.view.engine == "running" and self.view.progress.total == 0:
            right = Content.styled(self.pace, QUIET)
        gap = self.content_size.width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(2, gap), right)
