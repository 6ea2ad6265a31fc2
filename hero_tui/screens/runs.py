"""The runs screen: choose a run to open. It is an app of its own, before there is a run to show."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from hero_engine.run.folder import RunFolder
from hero_engine.run.text import plain
from hero_tui.config import DEFAULTS, Config
from hero_tui.preview.asked import Asked
from hero_tui.runlist import ListedRun, read_runs
from hero_tui.terminalapp import TerminalApp
from hero_tui.theme import FAINT, QUIET
from hero_tui.widgets.status import Clock

REFRESH_SECONDS = 1.0

Row = tuple[Content, ...]

HEADER = tuple(map(Content, ("run", "task", "state", "round", "labels", "good", "age")))
GAP = "  "
# Left and right of a line, and the scrollbar.
MARGINS = 3
LEAST_NAME, LEAST_TASK = 12, 8
STATE_STYLES = {
    "sampling": "$primary",
    "labeling": "bold $warning",
    "training": "$primary",
    "paused": "$foreground",
    "finished": "$success",
    "failed": "bold $error",
    "damaged": "bold $error",
}


def age(seconds: float) -> str:
    """How long ago, in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"


def cells(run: ListedRun, now: float) -> Row:
    """What is under `HEADER` for a run."""
    found, success = run.status, run.success_rate
    state: str = found["state"] if found else "damaged"
    return (
        Content(plain(run.folder.name)),
        Content(plain(found["task"]) if found else ""),
        Content.styled(state, STATE_STYLES[state]),
        Content(f"{found['round'] + 1} of {found['rounds']}" if found and found["rounds"] else ""),
        Content(f"{found['labels_used']}/{found['labels_budget']}" if found else ""),
        Content("" if success is None else f"{success:.0%}"),
        Content(age(now - run.folder.made())),
    )


def lines(rows: Sequence[Row], width: int) -> list[Content]:
    """The rows in columns of `width` cells in all; long names give way, and tasks before them."""
    name, task, *others = [
        max(cell.cell_length for cell in column) for column in zip(*rows, strict=True)
    ]
    room = width - sum(others) - len(GAP) * (len(others) + 1)
    name = min(name, max(LEAST_NAME, room - min(task, LEAST_TASK)))
    task = min(task, max(LEAST_TASK, room - name))
    return [
        Content(GAP)
        .join(
            cell.truncate(wide, ellipsis=True, pad=True)
            for cell, wide in zip(row, (name, task, *others), strict=True)
        )
        .truncate(width, ellipsis=True)
        for row in rows
    ]


class RunList(OptionList):
    """The runs, a line each."""

    BINDINGS = [
        Binding("enter", "select", "open", id="runs.open"),
        Binding("up", "cursor_up", "run above", show=False, id="runs.up"),
        Binding("down", "cursor_down", "run below", show=False, id="runs.down"),
    ]


class RunsApp(TerminalApp[RunFolder]):
    """The runs of a folder, latest first; the app's result is the run that was chosen."""

    TITLE = "hero-tui"
    CSS_PATH = "runs.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("escape,q", "leave", "leave", id="runs.leave"),
        Binding("ctrl+q,ctrl+d", "leave", "leave", show=False, priority=True, id="runs.quit"),
    ]

    leave_id = "runs.leave"

    def __init__(
        self,
        runs_dir: Path,
        config: Config = DEFAULTS,
        clock: Clock = time.time,
        asked: Asked | None = None,
    ) -> None:
        """`asked`: as `HeroApp` has it."""
        super().__init__(config.theme, asked)
        self._config = config
        self._runs_dir = runs_dir
        self._clock = clock
        self._runs: dict[str, ListedRun] = {}

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble(
                ("hero-tui", "bold $primary"), ("  ·  ", FAINT), plain(str(self._runs_dir))
            ),
            id="title",
        )
        self._header = Static(id="header")
        yield self._header
        self._list = RunList()
        yield self._list
        yield Static(
            Content.styled("A new one: hero-tui run TASK; the tasks: hero-tui tasks list", QUIET),
            id="new",
        )
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        self.set_keymap(dict(self._config.keys))
        self._follow()

    @work
    async def _follow(self) -> None:
        while True:
            found = await asyncio.to_thread(read_runs, self._runs_dir, self._runs.values())
            self._runs = {run.folder.name: run for run in reversed(found)}
            self._show()
            await asyncio.sleep(REFRESH_SECONDS)

    def on_resize(self) -> None:
        self._show()

    def _show(self) -> None:
        now = self._clock()
        table = [HEADER, *(cells(run, now) for run in self._runs.values())]
        header, *rows = lines(table, self.size.width - MARGINS)
        self._header.update(header)
        before = [option.id for option in self._list.options]
        if before == list(self._runs):
            for name, row in zip(self._runs, rows, strict=True):
                self._list.replace_option_prompt(name, row)
            return
        chosen = self._list.highlighted_option
        self._list.set_options(
            Option(row, id=name) for name, row in zip(self._runs, rows, strict=True)
        )
        if chosen is not None and chosen.id in self._runs:
            self._list.highlighted = list(self._runs).index(chosen.id)
        else:
            self._list.action_first()

    @on(OptionList.OptionSelected)
    def _choose(self, selected: OptionList.OptionSelected) -> None:
        run = self._runs[selected.option_id or ""]
        if run.status is None:
            self.notify(plain(run.problem), severity="error", timeout=15, markup=False)
        else:
            self.exit(run.folder)

    def action_leave(self) -> None:
        self.exit()
