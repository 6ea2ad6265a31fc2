"""What a person can do to a round's labels, as pure functions on `Labels`.

An edit says what is meant, not which key was pressed: two people who mark the same picture good at
the same time both get what they meant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hero_engine.run.labels import Best, Label, Labels
from hero_engine.run.record import Record


@dataclass(frozen=True)
class Mark:
    """Makes pictures good, and others bad or unsure (and then not the best).

    `in_place_of`: the labels before and after the edit whose place this takes (`Record.edit`).
    """

    good: frozenset[int] = frozenset()
    bad: frozenset[int] = frozenset()
    unsure: frozenset[int] = frozenset()
    in_place_of: tuple[Labels, Labels] | None = None

    def __call__(self, labels: Labels) -> Labels:
        labels = labels.marked(self.good, "good").marked(self.bad, "bad")
        return labels.marked(self.unsure, "unsure")


@dataclass(frozen=True)
class Choose:
    """Chooses the best: a picture (which is good, then), `keep`, or nothing."""

    best: Best
    in_place_of: ClassVar[None] = None  # an edit of its own

    def __call__(self, labels: Labels) -> Labels:
        return labels.with_best(self.best)


Edit = Mark | Choose
# What a key means depends on the labels at its turn: keys can arrive faster than they are handled.
Gesture = Callable[[Labels], Edit]


def make(record: Record, number: int, gesture: Gesture) -> None:
    """Makes the edit that is meant by a gesture on the labels as they are recorded."""
    edit = gesture(record.labels(number))
    record.edit(number, edit, edit.in_place_of)


def mark(images: frozenset[int], label: Label) -> Gesture:
    """Labels pictures so."""
    return lambda labels: _mark(images, label)


def toggle(image: int, label: Label = "good") -> Gesture:
    """Labels a picture so, or bad if it is so labelled."""
    images = frozenset({image})
    return lambda labels: _mark(images, "bad" if labels.label(image) == label else label)


def _mark(images: frozenset[int], label: Label) -> Mark:
    match label:
        case "good":
            return Mark(good=images)
        case "bad":
            return Mark(bad=images)
        case "unsure":
            return Mark(unsure=images)


def invert(images: frozenset[int]) -> Gesture:
    """Makes the good ones of some pictures bad and the bad ones good."""
    return lambda labels: Mark(good=images - labels.good - labels.unsure, bad=images & labels.good)


class Made:
    """A gesture that can be taken back as long as nothing else has been done after it."""

    def __init__(self, gesture: Gesture) -> None:
        self._gesture = gesture
        self._made: tuple[Labels, Labels] | None = None

    def __call__(self, labels: Labels) -> Edit:
        edit = self._gesture(labels)
        self._made = (labels, edit(labels))
        return edit

    def taken_back(self, labels: Labels) -> Edit:
        """The gesture that does so."""
        return Mark(in_place_of=self._made)


class Stretch:
    """A range of good pictures that a person makes longer and shorter: one edit in the end."""

    def __init__(self) -> None:
        self._before = Labels()
        self._made: Labels | None = None

    def to(self, images: frozenset[int]) -> Gesture:
        """The range is `images` now; what it has left is as it was before."""

        def edit(labels: Labels) -> Mark:
            if labels != self._made:  # the first time, or somebody else has labelled
                self._before = labels
            left = labels.good - self._before.good - images
            extended = Mark(
                good=images,
                bad=left - self._before.unsure,
                unsure=left & self._before.unsure,
                in_place_of=None if labels == self._before else (self._before, labels),
            )
            self._made = extended(labels)
            return extended

        return edit


def choose(best: Best) -> Gesture:
    """Chooses the best."""
    return lambda labels: Choose(best)


def toggle_best(best: Best) -> Gesture:
    """Chooses the best, or takes the choice back."""
    return lambda labels: Choose(None if labels.best == best else best)
