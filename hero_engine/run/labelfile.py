"""The label file: a run's labels as YAML, to replay them or to label without a terminal.

The rules of what a round's labels may be are in `labels`; this module reads, writes and checks.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, StrictInt, ValidationError, field_validator

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.labels import KEEP, Labels, problem_with
from hero_engine.run.record import Record
from hero_engine.run.resolve import describe
from hero_engine.run.task import Task


class _Round(BaseModel):
    model_config = ConfigDict(extra="forbid")

    good: list[StrictInt]
    best: int | Literal["keep"] | None = None
    unsure: list[StrictInt] = []

    @field_validator("good", "unsure")
    @classmethod
    def _each_once(cls, images: list[int]) -> list[int]:
        twice = [image for image, count in Counter(images).items() if count > 1]
        if twice:
            raise ValueError(f"picture {twice[0]} is given twice")
        return images

    @field_validator("best", mode="before")
    @classmethod
    def _number_or_keep(cls, best: Any) -> Any:
        if best is None or best == KEEP or (isinstance(best, int) and not isinstance(best, bool)):
            return best
        raise ValueError("expected a picture's number, or keep")


class _LabelFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: str
    rounds: list[_Round]


def load(
    path: Path, task: Task, submitted: Sequence[Labels] = (), has_best: bool = False
) -> list[Labels]:
    """The labels of each round, from round 0, as they would be submitted.

    Args:
        path: the label file.
        task: the task of the run that they are for.
        submitted: the labels of the run's rounds that are submitted already; the file has to
            agree with them, since they cannot be changed.
        has_best: whether there is a reigning best before round 0: of the pictures that the run
            begins with.

    Raises:
        InputError: names the file, the round and what is wrong with it.
    """
    try:
        found = _LabelFile.model_validate(yamlfile.read_mapping(path))
    except ValidationError as error:
        raise InputError(describe(error, str(path))) from None
    if found.task != task.name:
        raise InputError(
            f"{path}: task: these labels are for '{found.task}', the run is '{task.name}'"
        )
    if len(found.rounds) > task.feedback.rounds:
        raise InputError(
            f"{path}: rounds: {len(found.rounds)} rounds, the run has {task.feedback.rounds}"
        )
    rounds: list[Labels] = []
    has_reigning_best = has_best
    for number, written in enumerate(found.rounds):
        labels = Labels.of(written.good, written.best, written.unsure)
        problem = problem_with(labels, task.feedback.batch_size, has_reigning_best)
        if problem:
            raise InputError(f"{path}: round {number}: {problem}")
        labels = labels.as_submitted(has_reigning_best)
        if number < len(submitted) and labels != submitted[number]:
            raise InputError(
                f"{path}: round {number}: the run has other labels for this round, and they are "
                "submitted; `hero-tui labels` writes a file that begins with the run's own"
            )
        rounds.append(labels)
        has_reigning_best = has_reigning_best or isinstance(labels.best, int)
    return rounds


def submitted_labels(record: Record) -> list[Labels]:
    """The labels of the run's submitted rounds, from round 0."""
    return [record.labels(r.number) for r in record.rounds() if r.submitted is not None]


def dump(task_name: str, rounds: Sequence[Labels]) -> str:
    """The text of a label file that `load` reads as the same labels."""
    lines = [yamlfile.dump({"task": task_name}).rstrip(), "rounds:" if rounds else "rounds: []"]
    for labels in rounds:
        lines.append(f"  - good: {sorted(labels.good)}")
        if labels.best is not None:
            lines.append(f"    best: {labels.best}")
        if labels.unsure:
            lines.append(f"    unsure: {sorted(labels.unsure)}")
    return "\n".join(lines) + "\n"
