"""What is read from a record: values, and rows that are checked when they become one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hero_engine.run.labels import KEEP, Label, Labels

RunState = Literal["sampling", "labeling", "training", "paused", "finished", "failed"]
Command = Literal["stop", "finish"]
Noise = Literal["pi", "fresh", "base"]
"""What the final evaluation's pictures are of: the final model from its pool or from fresh noise,
or the base model from the same fresh noise."""

START = -1
"""In the place of a round's number: the pictures that were labelled before the run began."""


@dataclass(frozen=True)
class Start:
    """The pictures that were labelled before the run began.

    Numbers that no picture has count as unsure in `labels`, so that, as in a round, nothing is
    learned from them (picture n has prompt n mod P, and prompts may have unequal numbers).
    """

    labels: Labels
    images: int
    """One more than the largest number."""
    learned: float | None = None
    """When they had been learned from; None: not yet."""
    outcome: str = ""
    """What was not as usual, in words for the person."""

    @property
    def numbers(self) -> list[int]:
        """Of the pictures that there are."""
        return sorted(frozenset(range(self.images)) - self.labels.unsure)

    @property
    def words(self) -> str:
        """How many there are, for the person."""
        good = len(self.labels.good)
        return start_words(good, len(self.numbers) - good)


def start_words(good: int, bad: int) -> str:
    """Pictures that were labelled before a run, in words: they are no part of its budget."""
    count = good + bad
    pictures = f"{count} labelled picture{'s' * (count != 1)}"
    return f"{pictures} ({good} good, {bad} bad), apart from the budget"


@dataclass(frozen=True)
class Round:
    """A round's size and times (seconds since the epoch; None: not yet)."""

    number: int
    images: int
    started: float
    first_image: float | None
    sampled: float | None
    submitted: float | None
    trained: float | None
    outcome: str
    """Why training did less than usual, in words for the person; empty otherwise."""
    collapse: str = ""
    """What shows in its pictures that the model has collapsed, in words; empty: nothing does."""
    back_to: int | None = None
    """The trained round to go back to then; None: there is none that was sound."""

    @property
    def said(self) -> str:
        """What was not as usual, in words; "" for a usual round."""
        return f"{self.collapse} {self.outcome}".strip()


@dataclass(frozen=True)
class Progress:
    """What the engine is doing: `done` of `total` from `started` to `updated`, in seconds since the
    epoch.
    """

    phase: str
    done: int
    total: int
    started: float
    updated: float

    def seconds_left(self, now: float) -> float | None:
        """An estimate, once something is done; it runs down until there is news."""
        if self.done == 0:
            return None
        pace = (self.updated - self.started) / self.done
        return max(0.0, pace * (self.total - self.done) - (now - self.updated))


@dataclass(frozen=True)
class Try:
    """Pictures of `prompt` asked for on the side, from the model as it is in `round`.

    `round` is None until the engine begins; `images` of them are there; `error` says why there
    are none.
    """

    number: int
    prompt: str
    round: int | None
    images: int
    error: str
    finished: bool


@dataclass(frozen=True)
class SecondLook:
    """A label that was looked at again: as it was at `first`, and what it should have been."""

    round: int
    image: int
    first: Label
    second: Label

    @property
    def corrected(self) -> bool:
        return self.first != self.second


def round_of(*row: Any) -> Round:
    """A row of `rounds`, in the order of `Round`'s fields."""
    number, images, started, first_image, sampled, submitted, trained, *said = row
    outcome, collapse, back_to = said
    if int(images) < 1:
        raise ValueError(f"a round of {images} pictures")
    return Round(
        number=int(number),
        images=int(images),
        started=float(started),
        first_image=_time_of(first_image),
        sampled=_time_of(sampled),
        submitted=_time_of(submitted),
        trained=_time_of(trained),
        outcome=str(outcome),
        collapse=str(collapse),
        back_to=_number_of(back_to),
    )


def _time_of(value: Any) -> float | None:
    return None if value is None else float(value)


def _number_of(value: Any) -> int | None:
    return None if value is None else int(value)


def try_of(*row: Any) -> Try:
    """A row of `tries`, in the order of `Try`'s fields."""
    number, prompt, of, images, error, finished = row
    return Try(
        number=int(number),
        prompt=str(prompt),
        round=_number_of(of),
        images=int(images),
        error=str(error),
        finished=finished is not None,
    )


def labels_of(good: str, best: str, unsure: str) -> Labels:
    """A row of `edits`."""
    goods, chosen, unsures = (json.loads(text) for text in (good, best, unsure))
    if not all(isinstance(image, int) for image in (*goods, *unsures)):
        raise ValueError(f"labels {good!r}, {unsure!r}")
    if chosen is not None and chosen != KEEP and not isinstance(chosen, int):
        raise ValueError(f"best {best!r}")
    return Labels.of(goods, chosen, unsures)


def start_of(
    rows: Sequence[tuple[int, int, int]], learned: float | None, outcome: str
) -> Start | None:
    """The rows of `start`, and what came of them; None: the run began without."""
    good = {int(image) for image, is_good, _ in rows if is_good}
    best = [int(image) for image, _, is_best in rows if is_best]
    images = 1 + max((int(image) for image, _, _ in rows), default=-1)
    if images == 0:
        return None
    if len(best) > 1 or not good.issuperset(best) or min(image for image, _, _ in rows) < 0:
        raise ValueError("the labels of the pictures to start from")
    unsure = set(range(images)) - {int(image) for image, _, _ in rows}
    labels = Labels.of(good, best[0] if best else None, unsure)
    return Start(labels, images, _time_of(learned), str(outcome))


def second_look_of(number: int, image: int, first: str, second: str) -> SecondLook:
    """A row of `second_looks`, with what it should have been."""
    return SecondLook(int(number), int(image), _label_of(first), _label_of(second))


def _label_of(text: str) -> Label:
    for label in get_args(Label):
        if text == label:
            return label  # type: ignore[no-any-return]
    raise ValueError(f"label {text!r}")
