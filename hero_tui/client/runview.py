"""One run as the interface shows it: an immutable snapshot, read from the record in one go.

Widgets are given a RunView and draw it; they never read the run folder themselves (but for the
pictures, whose paths it knows).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hero_engine.run.collapse import FROM_POOL, RoundFigures, figures_of
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_engine.run.overtraining import OverTraining, find_overtraining
from hero_engine.run.process import log_end
from hero_engine.run.record import (
    START,
    Noise,
    Progress,
    Record,
    Round,
    RunState,
    SecondLook,
    Start,
    Try,
)
from hero_engine.run.record.evaluations import Evaluation, Picture, Verdict
from hero_engine.run.second_look import doubted
from hero_engine.run.task import Task

Engine = Literal["running", "starting", "stopping", "none", "crashed"]
Stage = Literal["labeling", "working", "finished", "stopped"]
Curve = tuple[tuple[int, float], ...]

MEASURES = ("diversity", "good_diversity", "fresh_good_diversity", FROM_POOL)
"""A round's, of its pictures, of the good ones, and of those from fresh noise among them; and how
many of its pictures are from the pool."""


@dataclass(frozen=True)
class Outcome:
    """What a submitted round of a task's run came to."""

    task: Task
    round: Round
    labels: Labels
    measured: Mapping[str, float] = field(default_factory=dict)
    """Of its pictures: those of `MEASURES` that have been."""
    scores: Mapping[int, float] = field(default_factory=dict)
    """What the engine guessed of them before they were labelled."""

    @property
    def good(self) -> int:
        return len(self.labels.good)

    @property
    def sure(self) -> int:
        """Pictures that are good or bad."""
        return self.round.images - len(self.labels.unsure)

    @property
    def success_rate(self) -> float | None:
        """Good (the best included) over good and bad; None where every picture is unsure."""
        return self.good / self.sure if self.sure else None

    @property
    def figures(self) -> RoundFigures:
        """What it is held against other rounds by."""
        return figures_of(self.round, self.labels, self.measured, self.task)

    @property
    def training_seconds(self) -> float | None:
        """From submission to the trained model."""
        if self.round.submitted is None or self.round.trained is None:
            return None
        return self.round.trained - self.round.submitted


@dataclass(frozen=True)
class RunView:
    """Everything that is on the screen of one run, at one moment."""

    folder: RunFolder
    task: Task
    state: RunState
    error: str
    engine: Engine
    line: int
    """How often the run went back to an earlier round."""
    rounds: tuple[Round, ...]
    images: frozenset[int]
    seen: frozenset[int]
    labels: Labels
    scores: Mapping[int, float]
    start: Start | None
    """The labelled pictures that the run began with."""
    reigning_best: tuple[int, int] | None
    """(round, image); of the pictures that the run began with, the round is `START`."""
    second_looks: tuple[SecondLook, ...]
    """Of all rounds."""
    tries: tuple[Try, ...]
    outcomes: tuple[Outcome, ...]
    over_training: OverTraining | None
    """What the latest labelled round shows of it."""
    curves: Mapping[str, Curve]
    progress: Progress
    figures: Mapping[Noise, Mapping[str, float]]
    judge: str
    """Who found the figures."""
    evaluation: Evaluation | None
    """The one that is judged here, if one is."""
    verdicts: Mapping[Picture, Verdict]
    """What was said in it so far."""
    finishing: bool
    """Asked to end with the model as it is."""
    others: bool
    """Whether another interface is open on the run."""
    log: str
    problem: str

    @property
    def engine_lives(self) -> bool:
        """Whether something goes on without the person."""
        return self.engine not in {"none", "crashed"}

    @property
    def collapsed(self) -> Round | None:
        """The latest round, if it shows that the model has collapsed."""
        return self.rounds[-1] if self.rounds and self.rounds[-1].collapse else None

    def can_go_back_to(self, round_: Round) -> bool:
        """Whether the model after its training can be made the current one, from here."""
        is_last = round_.number == self.rounds[-1].number == self.task.feedback.rounds - 1
        settled = self.engine in {"running", "none", "crashed"}
        return round_.trained is not None and not is_last and settled

    @property
    def open_round(self) -> Round | None:
        """The round whose labels can still change."""
        if self.rounds and self.rounds[-1].submitted is None:
            return self.rounds[-1]
        return None

    @property
    def stage(self) -> Stage:
        """Which screen the run needs: someone to label, patience, or a decision."""
        if self.state == "finished":
            return "finished"
        labels_wanted = self.open_round is not None and not self.finishing
        if not self.engine_lives and not (labels_wanted and self.state == "labeling"):
            return "stopped"
        if labels_wanted and self.images:
            return "labeling"
        return "working"

    def as_of(self, number: int) -> "RunView":
        """The run as it was when round `number` was submitted, to look back at it."""
        outcomes = tuple(outcome for outcome in self.outcomes if outcome.round.number <= number)
        shown, bests = outcomes[-1], [(o.round.number, o.labels.best) for o in outcomes[:-1]]
        if self.start is not None:
            bests.insert(0, (START, self.start.labels.best))
        images = frozenset(range(shown.round.images))
        return replace(
            self,
            rounds=tuple(outcome.round for outcome in outcomes),
            images=images,
            seen=images,
            labels=shown.labels,
            scores=shown.scores,
            reigning_best=next(
                ((of, best) for of, best in reversed(bests) if isinstance(best, int)), None
            ),
            outcomes=outcomes,
            figures={},
        )

    @property
    def labels_used(self) -> int:
        """Labels given in submitted rounds."""
        return sum(outcome.round.images for outcome in self.outcomes)

    def image(self, number: int) -> Path | None:
        """The file of a picture of the last round, or None while there is none."""
        if number not in self.images:
            return None
        return self.folder.image(self.rounds[-1].number, number)

    @property
    def likely_first(self) -> Sequence[int]:
        """The last round's pictures by the engine's guess, highest first; by number without one."""
        images = range(self.rounds[-1].images)
        if len(self.scores) < len(images):
            return images
        return sorted(images, key=lambda image: -self.scores[image])

    @property
    def doubted(self) -> Sequence[int]:
        """The last round's pictures to look at again, once all have been looked at."""
        shown = self.rounds[-1]
        if len(self.seen) < shown.images:
            return []
        again = [look.image for look in self.second_looks if look.round == shown.number]
        return doubted(self.labels, self.scores, again)

    @property
    def reigning_best_image(self) -> Path | None:
        return self.folder.image(*self.reigning_best) if self.reigning_best else None


class RunReader:
    """Reads snapshots of one run; what can no longer change is read once."""

    def __init__(
        self, folder: RunFolder, record: Record, task: Task, judging: int | None = None
    ) -> None:
        """`judging`: the evaluation whose verdicts are of interest."""
        self._folder = folder
        self._judging = judging
        self._record = record
        self._task = task
        self._submitted: dict[int, tuple[Labels, Mapping[str, float], Mapping[int, float]]] = {}
        self._trained: set[int] = set()
        self._line = record.line()

    def read(self, engine: Engine, others: bool = False) -> RunView:
        """The run as it is now; `engine` and `others` are not in the record.

        Raises:
            InputError: the record cannot be read.
        """
        record = self._record
        if record.line() != self._line and record.unwritten_task() is None:
            self._line, self._task = record.line(), self._folder.task()
            self._submitted.clear()
            self._trained.clear()
        state, error = record.state()
        rounds = record.rounds()
        for round_ in rounds:
            number = round_.number
            if round_.submitted is None or number in self._trained:
                continue
            curves = record.metrics(number)
            measured = {name: curves[name][0][1] for name in MEASURES if name in curves}
            self._submitted[number] = record.labels(number), measured, record.scores(number)
            if round_.trained is not None:  # Until then it is measured.
                self._trained.add(number)
        outcomes = tuple(
            Outcome(self._task, round_, *self._submitted[round_.number])
            for round_ in rounds
            if round_.number in self._submitted
        )
        last = rounds[-1].number if rounds else None
        judging = self._judging
        gone = engine == "crashed" or (engine == "none" and state not in {"paused", "finished"})
        return RunView(
            folder=self._folder,
            task=self._task,
            state=state,
            error=error,
            engine=engine,
            line=self._line,
            rounds=tuple(rounds),
            images=frozenset() if last is None else frozenset(record.images(last)),
            seen=frozenset() if last is None else frozenset(record.seen(last)),
            labels=Labels() if last is None else record.labels(last),
            scores={} if last is None else record.scores(last),
            second_looks=tuple(record.second_looks()),
            tries=tuple(record.tries()),
            start=record.start(),
            reigning_best=None if last is None else record.reigning_best(last),
            outcomes=outcomes,
            over_training=find_overtraining([outcome.figures for outcome in outcomes]),
            curves=self._curves(outcomes),
            progress=record.progress(),
            figures=record.figures(),
            judge=record.judge(),
            evaluation=None if judging is None else record.evaluations.find(judging),
            verdicts={} if judging is None else record.evaluations.verdicts(judging),
            finishing=record.is_pending("finish"),
            others=others,
            log=log_end(self._folder.log_file) if gone else "",
            problem="",
        )

    def _curves(self, outcomes: tuple[Outcome, ...]) -> dict[str, Curve]:
        if not outcomes:
            return {}
        metrics = self._record.metrics(outcomes[-1].round.number)
        return {name: tuple(points) for name, points in metrics.items()}
