"""The run at work, as every part of the loop knows it, and what its record says of a round."""

from dataclasses import dataclass, field

from hero_engine.engine.interrupts import Finish, Interrupts
from hero_engine.engine.team import Team
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_engine.run.record import START, Record
from hero_engine.run.task import Task


@dataclass(frozen=True)
class Run:
    """A run and the engine that works on it."""

    folder: RunFolder
    record: Record
    task: Task
    interrupts: Interrupts
    options: EngineOptions = DEFAULT_OPTIONS
    team: Team = field(default_factory=Team)


def check(run: Run, round_number: int) -> None:
    """Raises Stop if one was asked for, and Finish before the round is submitted: its labels were
    given to be learned from.
    """
    try:
        run.interrupts.check()
    except Finish:
        if not is_submitted(run.record, round_number):
            raise


def is_submitted(record: Record, round_number: int) -> bool:
    """Whether the labels of a round are final."""
    return any(r.number == round_number and r.submitted is not None for r in record.rounds())


def earlier_than(run: Run, round_number: int) -> list[int]:
    """What was labelled before a round: `START` first, if the run began with pictures."""
    start = [] if run.record.start() is None else [START]
    return [*start, *range(round_number)]


def labels_in(run: Run, round_number: int) -> Labels:
    """Of a round, or of the pictures that the run began with."""
    start = run.record.start()
    if round_number == START and start is not None:
        return start.labels
    return run.record.labels(round_number)
