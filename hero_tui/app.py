"""The terminal interface: shows what the run needs next, and passes on what the person does."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from textual import events, work
from textual.binding import Binding
from textual.message import Message
from textual.reactive import reactive

from hero_engine.run.record import Record
from hero_engine.run.text import plain, plain_lines
from hero_tui.cells import Cells, Change, erases_to_background
from hero_tui.client.edits import make
from hero_tui.client.run_client import Operation, RunClient, Update
from hero_tui.client.runview import RunView
from hero_tui.config import DEFAULTS, Config
from hero_tui.keys import declared, key_shown
from hero_tui.messages import (
    Edited,
    EngineAsked,
    Looked,
    LookedAgain,
    OutsideAsked,
    RollbackAsked,
    Stepped,
    Submitted,
    TryAsked,
    Turned,
)
from hero_tui.pace import Pace
from hero_tui.parting import leaving_code
from hero_tui.preview.asked import Asked
from hero_tui.preview.layer import Layer
from hero_tui.preview.pacer import Pacer
from hero_tui.preview.pictures import Pictures
from hero_tui.preview.terminal import QUADRANTS, Terminal
from hero_tui.preview.window import cell_in, window
from hero_tui.screens.run_screen import RunFollower, RunScreen
from hero_tui.screens.too_small import is_too_small, too_small
from hero_tui.terminalapp import TerminalApp
from hero_tui.textual_private import CompositorUpdate, Frame, FrameApp
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import Clock

if TYPE_CHECKING:
    from textual.command import Provider

    from hero_tui.outside.opener import Outside, Served


class Updated(Message):
    """The client has news of the run."""

    def __init__(self, update: Update) -> None:
        super().__init__()
        self.update = update


class Opened(Message):
    """What came of opening pictures outside."""

    def __init__(self, outcome: "Served | str") -> None:
        super().__init__()
        self.outcome = outcome


WAYS = 4
"""How often one has to go from the app to the screen and back, to come after all that was typed: a
key goes once before its action runs and once with what that asks for; clicks and fields, thrice."""


@dataclass(frozen=True)
class Pending:
    """What the person did and the record does not have yet: shown all the same."""

    number: int
    round: int
    effect: Callable[[RunView], RunView]


def _commands() -> "type[Provider]":
    from hero_tui.palette import Commands

    return Commands


class HeroApp(FrameApp[int], TerminalApp[int]):
    """One run; the app's result is the exit code."""

    TITLE = "hero-tui"
    CSS_PATH = "app.tcss"
    COMMANDS = {_commands}
    HORIZONTAL_BREAKPOINTS = [(0, "-normal"), (150, "-wide")]

    BINDINGS = [
        Binding("question_mark", "app.help", "keys", id="help"),
        Binding(
            "ctrl+q,ctrl+d",
            "leave",
            "leave; the engine goes on",
            show=False,
            priority=True,
            id="run.leave",
        ),
        Binding("ctrl+p", "pause", "pause the run", show=False, id="run.pause"),
        Binding("ctrl+r", "start", "start the engine", show=False, id="run.start"),
        Binding(
            "ctrl+f",
            "finish",
            "finish: end with the model as it is",
            show=False,
            id="run.finish",
        ),
        Binding(
            "ctrl+g",
            "app.smaller_step",
            "go on by half the step",
            show=False,
            id="run.smaller-step",
        ),
        Binding("h", "app.history", "earlier rounds", show=False, id="history"),
        Binding("ctrl+l", "redraw", "draw the screen anew", show=False, priority=True, id="redraw"),
        Binding(
            "colon,ctrl+backslash", "app.command_palette", "commands", show=False, id="palette"
        ),
    ]

    # Widgets repaint themselves: the screen's repainting would send every picture again.
    view: reactive[RunView] = reactive(cast(RunView, None), repaint=False)

    wants_to_judge = False
    """Whether it was left for a blind evaluation."""

    def __init__(
        self,
        client: RunClient,
        config: Config = DEFAULTS,
        terminal: Terminal = QUADRANTS,
        clock: Clock = time.time,
        asked: Asked | None = None,
    ) -> None:
        """`asked`: what the terminal was asked before, if it was."""
        super().__init__(config.theme, asked)
        self.config = config
        self.set_reactive(HeroApp.view, client.view)
        self._client = client
        self._clock = clock
        self._recorded = client.view
        self._pending: list[Pending] = []
        self._shown: tuple[str, int, int] | None = None
        self._hint_due = config.images == "off"
        self._pace = Pace() if config.pace else None
        self._pictures = Pictures(terminal)
        # GNU screen does not, whatever terminal it is said to be.
        erases = terminal.multiplexer != "screen" and erases_to_background(
            os.environ.get("TERM", "")
        )
        self._cells = Cells(erases)
        self._layer: Layer | None = None
        self._cell: tuple[int, int] | None = None  # by the window's size
        self._outside: Outside | None = None
        self._opening = False
        self._others = False
        self._laid_out = False
        self._leaves = False
        self._done = 0  # of what the client was asked, as its last update has it
        self._of_unknown_labels = 0  # the last operation whose outcome only the record knows

    async def on_mount(self) -> None:
        self.set_keymap(dict(self.config.keys))
        self._cell = self._cell_in_window()
        pacer = None if self.is_headless else Pacer()
        self._layer = Layer(self, self._pictures, self._cells, self.write_code, pacer)
        await self._show_stage()
        self._tell_of_others()
        self._client.follow(lambda update: self.post_message(Updated(update)))

    def on_unmount(self) -> None:
        if self._layer is not None:
            self._layer.close()
        self._pictures.close()
        if self._outside is not None:
            self._outside.close()

    # -- pictures, after the frame -------------------------------------------------------------

    def write_frame(self, frame: Frame, write: Callable[[CompositorUpdate], None]) -> None:
        if is_too_small(self.size):
            frame = too_small(self.size, key_shown(self.screen, "run.leave"))
        if self._layer is not None:
            self._layer.frame_comes()
        change = Change(frame, self._cells)
        write(change)
        if self.is_headless:
            change.render_segments(self.console)
        if self._layer is not None:
            self._layer.frame_written(change)

    def on_picture_ready(self) -> None:
        if self._layer is not None:
            self._layer.look()

    def on_cursor_position(self, event: events.CursorPosition) -> None:
        if self._layer is not None:
            self._layer.answered()

    def terminal_known(self, terminal: Terminal) -> None:
        if self._layer is not None:
            now = self._pictures.terminal  # Textual has its colours for good
            self._layer.forget()
            self._pictures.adopt(replace(terminal, colours=now.colours))
            self._load_pictures()

    def _load_pictures(self) -> None:
        """Has what is shown drawn for another terminal, or another font."""
        for screen in self.screen_stack:
            for picture in screen.query(Picture):
                picture.load()

    # -- down: the run as recorded, with what is on its way to the record ---------------------

    async def on_updated(self, message: Updated) -> None:
        update = message.update
        if update.bug is not None:
            raise update.bug
        self._recorded, self._done = update.view, update.done
        self._pending = [pending for pending in self._pending if pending.number > update.done]
        if update.failed:
            problems = "\n".join(map(plain, dict.fromkeys(update.failed)))
            self.notify(problems, title="Not done", severity="error", timeout=10, markup=False)
        if self._pace is not None and self._is_being_made():
            self._pace.forget()
        self._show()
        await self._show_stage()
        self._tell_of_others()

    def _tell_of_others(self) -> None:
        if self.view.others != self._others:
            self._others = self.view.others
            self.notify(
                "Another interface is open on this run: both show the same labels."
                if self._others
                else "The other interface was closed.",
                markup=False,
            )

    def _show(self) -> None:
        view = self._recorded
        for pending in self._pending:
            if view.open_round is not None and view.open_round.number == pending.round:
                view = pending.effect(view)
        self.view = view

    async def _show_stage(self) -> None:
        """Switches to the screen that the run needs, when that changes."""
        view = self.view
        stage = self._stage_of(view)
        if stage != self._shown:
            if self._shown is not None and self._shown[1] != view.line:
                self._pictures.forget()
            self._shown = stage
            while len(self.screen_stack) > 2:
                await self.pop_screen()
            screen = self._stage_screen(view)
            if len(self.screen_stack) == 1:
                await self.push_screen(screen)
            elif self.screen_stack:  # there is none when the app is ending
                await self.switch_screen(screen)
            if self._hint_due and view.stage == "labeling":
                self._hint_due = False
                key = key_shown(self.screen, "open")
                self.notify(f"Pictures are off here: {key} opens them outside.", markup=False)

    def _stage_of(self, view: RunView) -> tuple[str, int, int]:
        """What a screen is for: the stage, the line of rounds, the round if it is labelled."""
        number = view.rounds[-1].number if view.stage == "labeling" else 0
        return view.stage, view.line, number

    def _stage_screen(self, view: RunView) -> RunScreen:
        match view.stage:
            case "labeling":
                from hero_tui.screens.labeling import LabelingScreen

                place = self._client.place
                here = view.line, view.rounds[-1].number
                at = place[2] if place and place[:2] == here else 0
                self._is_active()
                return LabelingScreen(
                    view, self._pictures, self._clock, at, self.config.suggested_order, self._pace
                )
            case "working":
                from hero_tui.screens.working import WorkingScreen

                return WorkingScreen(view, self._pictures, self._clock)
            case "finished":
                from hero_tui.screens.finished import FinishedScreen

                return FinishedScreen(view, self._pictures, self._clock)
            case "stopped":
                from hero_tui.screens.stopped import StoppedScreen

                return StoppedScreen(view, self._pictures, self._clock)

    def on_ready(self) -> None:
        self._laid_out = True

    def on_resize(self, event: events.Resize) -> None:
        self._measure(cell_in(event.size, event.pixel_size) or self._cell_in_window())
        if self._laid_out and event.size == self._cells.size:
            # The program was stopped and goes on, or the terminal was another size for a moment.
            self.action_redraw()
        if self._layer is not None:
            self._layer.hidden = is_too_small(event.size)
            self._layer.look()

    async def on_event(self, event: events.Event) -> None:
        # What cannot be seen is not labelled.
        if not (is_too_small(self.size) and self._is_typed(event)):
            await super().on_event(event)

    def _is_typed(self, event: events.Event) -> bool:
        """Whether the person did that, other than to leave."""
        if isinstance(event, events.Key):
            active = self.screen.active_bindings.get(event.key)
            return active is None or active.binding.action not in ("leave", "redraw")
        return isinstance(event, events.InputEvent | events.Paste)

    def _cell_in_window(self) -> tuple[int, int] | None:
        """The pixels of a cell as the kernel has them, where it has those of the terminal."""
        if self.is_headless or self._pictures.terminal.multiplexer or sys.__stdin__ is None:
            return None
        try:
            return cell_in(*window(sys.__stdin__.fileno()))
        except (OSError, ValueError):  # not a terminal; closed
            return None

    def _measure(self, cell: tuple[int, int] | None) -> None:
        """Draws for cells of this size, if the font has become another one or the screen has."""
        # By the window's size a cell can differ from what the terminal says by what is around the
        # cells: only its changes count.
        before, self._cell = self._cell, cell or self._cell
        if before is None or cell in (None, before):
            return
        if self._pictures.measure(cell):
            self._load_pictures()

    # -- up: what the person does ------------------------------------------------------------

    def _record_and_show(
        self, number: int, operation: Operation, effect: Callable[[RunView], RunView]
    ) -> None:
        self._pending.append(Pending(self._client.ask(operation), number, effect))
        self._show()

    def _is_active(self) -> None:
        if self._pace is not None:
            self._pace.active(self._clock())

    def _is_being_made(self) -> bool:
        """Whether the person may have waited for pictures, which says nothing of their pace."""
        return not self._recorded.rounds or self._recorded.rounds[-1].sampled is None

    def _knows_labels(self) -> bool:
        """Whether the labels are those that the next gesture is for: no undo is on its way."""
        return self._of_unknown_labels <= self._done

    def _ask_in_turn(self, operation: Operation) -> None:
        """For what is shown only when it is recorded."""
        self._of_unknown_labels = self._client.ask(operation)

    def on_edited(self, message: Edited) -> None:
        self._is_active()
        number, gesture = message.round, message.gesture
        if not self._knows_labels():
            self._ask_in_turn(lambda record: make(record, number, gesture))
            return
        edit = gesture(self.view.labels)
        self._record_and_show(
            number,
            lambda record: record.edit(number, edit, edit.in_place_of),
            lambda view: replace(view, labels=edit(view.labels)),
        )

    def on_looked(self, message: Looked) -> None:
        number, images = message.round, message.images
        if self._pace is not None:
            if self._is_being_made():
                self._pace.forget()
            else:
                self._pace.looked(self._clock(), len(images - self.view.seen))
        self._record_and_show(
            number,
            lambda record: record.mark_seen(number, images),
            lambda view: replace(view, seen=view.seen | images),
        )

    def on_looked_again(self, message: LookedAgain) -> None:
        self._is_active()
        number, image, edit = message.round, message.image, message.gesture(self.view.labels)
        self._record_and_show(
            number,
            lambda record: record.look_again(number, image, edit),
            lambda view: replace(view, labels=edit(view.labels)),
        )

    def on_stepped(self, message: Stepped) -> None:
        self._is_active()
        number = message.round
        step = Record.undo if message.way == "undo" else Record.redo
        self._ask_in_turn(lambda record: step(record, number))

    def on_turned(self, message: Turned) -> None:
        self._is_active()
        self._client.keep_place((self.view.line, message.round, message.image))

    def on_submitted(self, message: Submitted) -> None:
        number, line = message.round, self.view.line
        self._client.ask(lambda record: record.submit(number, line=line))

    def on_try_asked(self, message: TryAsked) -> None:
        prompt = message.prompt
        self._client.ask(lambda record: record.ask_try(prompt))

    def on_engine_asked(self, message: EngineAsked) -> None:
        match message.to:
            case "start":
                self._client.start_engine()
            case "stop":
                self._client.stop_engine()
            case "finish":
                self._client.ask(lambda record: record.send("finish"))
                if not self.view.engine_lives:
                    self._client.start_engine()

    def on_rollback_asked(self, message: RollbackAsked) -> None:
        self._client.roll_back(message.round, message.smaller_step)

    # -- pictures outside the terminal ---------------------------------------------------------

    def on_outside_asked(self, message: OutsideAsked) -> None:
        if not self._opening:
            self._opening = True
            self._open_outside(message.image)

    @work(thread=True)
    def _open_outside(self, image: int | None) -> None:
        from hero_tui.outside.opener import Outside

        if self._outside is None:
            self._outside = Outside(lambda: self.view)
        self.post_message(Opened(self._outside.open(image)))

    def on_opened(self, message: Opened) -> None:
        self._opening = False
        if isinstance(message.outcome, str):
            self.notify(plain_lines(message.outcome), markup=False, timeout=15)
        else:
            from hero_tui.screens.outside import OutsideScreen

            self.push_screen(OutsideScreen(self.view, self._pictures, message.outcome))

    def say(self, text: str) -> None:
        if isinstance(self.screen, RunFollower):
            self.screen.say(text)
        else:
            super().say(text)

    # -- keys that work everywhere -------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "pause":
            return self.view.engine == "running" and self.view.state != "finished"
        if action == "finish":
            can = self.view.engine == "running" or not self.view.engine_lives
            return can and self.view.state != "finished" and not self.view.finishing
        if action == "start":
            return not self.view.engine_lives and self.view.state != "finished"
        if action == "smaller_step":
            return self._trained_last() is not None
        if action == "judge":
            return any(each.trained is not None for each in self.view.rounds)
        if action == "history":
            return bool(self.view.outcomes)
        return True

    def action_redraw(self) -> None:
        """For when the terminal lost what it was sent: it was reset, or is another one by now."""
        self._measure(self._cell_in_window())
        self._cells.forget()
        if self._layer is not None:
            self._layer.forget()
        self.refresh()

    def action_history(self) -> None:
        from hero_tui.screens.history import HistoryScreen

        if isinstance(self.screen, RunScreen):
            number, beside = self.view.outcomes[-1].round.number, False
            warned = self.view.collapsed or self.view.over_training
            if warned is not None and warned.back_to is not None:
                number, beside = warned.back_to, True  # who has read of it comes to go back
            self.push_screen(HistoryScreen(self.view, self._pictures, number, beside))

    def action_smaller_step(self) -> None:
        from hero_tui.screens.confirm_rollback import ConfirmRollbackScreen

        number = self._trained_last()
        if isinstance(self.screen, RunScreen) and number is not None:
            screen = ConfirmRollbackScreen(self.view, self._pictures, number, smaller_step=True)
            self.push_screen(screen)

    def _trained_last(self) -> int | None:
        """The latest trained round, if the run can go on from it by other settings."""
        trained = [each for each in self.view.rounds if each.trained is not None]
        if not trained or not self.view.can_go_back_to(trained[-1]):
            return None
        return trained[-1].number

    def action_help(self) -> None:
        from hero_tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss(None)
            return
        ids = [binding.id for owner in (type(self.screen), HeroApp) for binding in declared(owner)]
        active = [
            each.binding
            for each in self.screen.active_bindings.values()
            if each.enabled and each.binding.id
        ]
        self.push_screen(HelpScreen(sorted(active, key=lambda binding: ids.index(binding.id))))

    def action_start(self) -> None:
        self.post_message(EngineAsked("start"))

    def action_pause(self) -> None:
        self.post_message(EngineAsked("stop"))

    def action_finish(self) -> None:
        from hero_tui.screens.confirm_finish import ConfirmFinishScreen

        if isinstance(self.screen, RunScreen):
            self.push_screen(ConfirmFinishScreen(self.view, self._pictures))

    def action_judge(self) -> None:
        """Leaves, for the pictures by which the finished run is judged."""
        self.wants_to_judge = True
        self.exit(0)

    def action_leave(self) -> None:
        """Leaves once all keys before this one are with the client; pressed again, now."""
        if self._leaves:
            self._leave()
        else:
            self._leaves = True
            self._leave_behind(WAYS)

    def _leave_behind(self, ways: int) -> None:
        if ways == 0 or not self.screen.call_later(self.call_later, self._leave_behind, ways - 1):
            self._leave()

    def _leave(self) -> None:
        self.exit(self.exit_code())

    def exit_code(self) -> int:
        """Of who leaves now."""
        return leaving_code(self.view)
