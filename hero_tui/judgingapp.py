"""The interface on an evaluation: pictures that a person judges blind, and then what came of it.

It is the run's interface with another screen and other ends of its messages: what is said goes to
the evaluation, and to no round.
"""

import time

from hero_engine.run import verdict
from hero_engine.run.record import Record
from hero_tui.app import HeroApp
from hero_tui.client.judging import Judging, with_verdicts
from hero_tui.client.run_client import RunClient
from hero_tui.client.runview import RunView
from hero_tui.config import DEFAULTS, Config
from hero_tui.messages import Edited, Looked, PairJudged, Stepped, Submitted, Turned
from hero_tui.preview.asked import Asked
from hero_tui.preview.terminal import QUADRANTS, Terminal
from hero_tui.screens.run_screen import RunScreen
from hero_tui.widgets.status import Clock

PAUSED = 3


class JudgingApp(HeroApp):
    """One evaluation; the app's result is 0 once it is closed, 3 before that."""

    OF_THE_RUN = frozenset(
        {"pause", "finish", "smaller_step", "start", "history", "judge", "command_palette"}
    )

    def __init__(
        self,
        client: RunClient,
        judging: Judging,
        config: Config = DEFAULTS,
        terminal: Terminal = QUADRANTS,
        clock: Clock = time.time,
        asked: Asked | None = None,
    ) -> None:
        super().__init__(client, config, terminal, clock, asked)
        self.judging = judging

    # -- down ------------------------------------------------------------------------------------

    @property
    def _is_closed(self) -> bool:
        return self.view.evaluation is not None and self.view.evaluation.closed is not None

    def _show(self) -> None:
        view = self._recorded
        for pending in self._pending:
            view = pending.effect(view)
        self.view = view

    def _stage_of(self, view: RunView) -> tuple[str, int, int]:
        return ("judged" if self._is_closed else "judging", 0, 0)

    def _stage_screen(self, view: RunView) -> RunScreen:
        if self._is_closed:
            from hero_tui.screens.verdict import VerdictScreen

            return VerdictScreen(view, self._pictures, self._clock, self.judging)
        if self.judging.of_pairs:
            from hero_tui.screens.pairs import PairsScreen

            return PairsScreen(view, self._pictures, self._clock, self.judging)
        from hero_tui.screens.judging import JudgingScreen

        self._is_active()
        return JudgingScreen(view, self._pictures, self._clock, self.judging, self._pace)

    def _is_being_made(self) -> bool:
        return False

    # -- up: each in place of what the run's interface does ----------------------------------------

    def on_edited(self, message: Edited) -> None:
        message.prevent_default()
        self._is_active()
        number, gesture = self.judging.evaluation.number, message.gesture
        if not self._knows_labels():
            self._ask_in_turn(lambda record: self.judging.make(record, gesture))
            return
        labels = self.judging.labels(self.view.verdicts)
        verdicts, instead = self.judging.said(labels, gesture(labels))
        self._record_and_show(
            0,
            lambda record: record.evaluations.say(number, verdicts, instead),
            lambda view: with_verdicts(view, verdicts),
        )

    def on_looked(self, message: Looked) -> None:
        message.prevent_default()
        pictures = [self.judging.order[place] for place in sorted(message.images)]
        if self._pace is not None:
            new = [each for each in pictures if each not in self.view.verdicts]
            self._pace.looked(self._clock(), len(new))
        number = self.judging.evaluation.number
        self._record_and_show(
            0,
            lambda record: record.evaluations.look(number, pictures),
            lambda view: with_verdicts(
                view, {each: "bad" for each in pictures if each not in view.verdicts}
            ),
        )

    def on_stepped(self, message: Stepped) -> None:
        message.prevent_default()
        self._is_active()
        number, way = self.judging.evaluation.number, message.way
        self._ask_in_turn(lambda record: record.evaluations.step(number, way))

    def on_turned(self, message: Turned) -> None:
        message.prevent_default()  # who comes back begins at what is still to be judged
        self._is_active()

    def on_pair_judged(self, message: PairJudged) -> None:
        self._is_active()
        pair = self.judging.order[message.place]
        said = self.judging.of_pair(message.place, message.left)
        number = self.judging.evaluation.number
        self._record_and_show(
            0,
            lambda record: record.evaluations.say(number, {pair: said}),
            lambda view: with_verdicts(view, {pair: said}),
        )

    def on_submitted(self, message: Submitted) -> None:
        message.prevent_default()
        judging = self.judging

        def close(record: Record) -> None:
            verdict.close(record, judging.what, judging.evaluation)

        self._client.ask(close)

    # -- keys that work everywhere -----------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self.OF_THE_RUN:
            return False
        return super().check_action(action, parameters)

    def exit_code(self) -> int:
        return 0 if self._is_closed else PAUSED
