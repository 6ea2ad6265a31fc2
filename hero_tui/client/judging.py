"""An evaluation as its judge sees it: one row of pictures, of which nothing says what made them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hero_engine.run.blind import is_pairs, order, taught_is_left
from hero_engine.run.labels import Labels
from hero_engine.run.record import Progress, Record, Round
from hero_engine.run.record.evaluations import Evaluation, Picture, Source, Verdict
from hero_engine.run.sources import Evaluated
from hero_tui.client.edits import Edit, Gesture
from hero_tui.client.runview import RunView


@dataclass(frozen=True)
class BlindView(RunView):
    """A run as if the pictures of the evaluation were its one round, numbered as they are shown.

    What was looked at is what something was said of.
    """

    paths: tuple[Path, ...] = ()

    def image(self, number: int) -> Path | None:
        return self.paths[number]


@dataclass(frozen=True)
class Judging:
    """What is judged, and in which order."""

    what: Evaluated
    evaluation: Evaluation

    @cached_property
    def order(self) -> tuple[Picture, ...]:
        return tuple(order(self.what, self.evaluation.kind))

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.what.path(*each) for each in self.order)

    @cached_property
    def _taught_is_left(self) -> Mapping[Picture, bool]:
        return taught_is_left(self.what, self.evaluation.kind)

    @property
    def of_pairs(self) -> bool:
        return is_pairs(self.evaluation.kind)

    @property
    def of_transfer(self) -> bool:
        return self.evaluation.kind.startswith("transfer")

    def prompt(self, place: int) -> str:
        return self.what.prompt(*self.order[place])

    def labels(self, verdicts: Mapping[Picture, Verdict]) -> Labels:
        """What was said, as if of one round."""
        said = [verdicts.get(each) for each in self.order]
        good, unsure = (
            frozenset(n for n, each in enumerate(said) if each == verdict)
            for verdict in ("good", "unsure")
        )
        return Labels(good, None, unsure)

    def view(self, view: RunView) -> BlindView:
        """The run as its judge sees it."""
        said = [view.verdicts.get(each) for each in self.order]
        here: dict[str, Any] = {
            "state": "labeling",
            "engine": "running",
            "rounds": (Round(0, len(said), 0.0, 0.0, 0.0, None, None, ""),),
            "images": frozenset(range(len(said))),
            "seen": frozenset(n for n, each in enumerate(said) if each is not None),
            "labels": self.labels(view.verdicts),
            "scores": {},
            "start": None,
            "reigning_best": None,
            "second_looks": (),
            "tries": (),
            "outcomes": (),
            "progress": Progress("nothing says which model", 0, 0, 0.0, 0.0),
        }
        every = {field.name: getattr(view, field.name) for field in fields(RunView)}
        return BlindView(**{**every, **here}, paths=self.paths)

    def said(self, labels: Labels, edit: Edit) -> tuple[dict[Picture, Verdict], bool]:
        """What an edit of the labels says of pictures, and whether in place of the last one."""
        instead = edit.in_place_of is not None and edit.in_place_of[1] == labels
        before = edit.in_place_of[0] if instead and edit.in_place_of else labels
        after = edit(before)
        verdicts: dict[Picture, Verdict] = {
            each: after.label(place)
            for place, each in enumerate(self.order)
            if before.label(place) != after.label(place)
        }
        return verdicts, instead

    def make(self, record: Record, gesture: Gesture) -> None:
        """Says what is meant by a gesture on the labels as they are recorded."""
        number = self.evaluation.number
        labels = self.labels(record.evaluations.verdicts(number))
        record.evaluations.say(number, *self.said(labels, gesture(labels)))

    # -- pairs -----------------------------------------------------------------------------------

    def sides(self, place: int) -> tuple[Path, Path]:
        """The pictures of a pair, as they are shown on the left and on the right."""
        source, image = self.order[place]
        base: Source = "transfer-base" if source == "transfer-fresh" else "base"
        both = self.paths[place], self.what.path(base, image)
        return both if self._taught_is_left[self.order[place]] else (both[1], both[0])

    def of_pair(self, place: int, left: bool | None) -> Verdict:
        """What it says of a pair that the left one is better, the right one, or neither (None)."""
        if left is None:
            return "tied"
        return "won" if left == self._taught_is_left[self.order[place]] else "lost"

    def said_of_pair(self, view: RunView, place: int) -> str:
        """What was said of a pair, in words."""
        said = view.verdicts.get(self.order[place])
        if said in (None, "tied"):
            return "" if said is None else "neither"
        return "left" if (said == "won") == self._taught_is_left[self.order[place]] else "right"


def with_verdicts(view: RunView, verdicts: Mapping[Picture, Verdict]) -> RunView:
    """The run as it is once these are recorded."""
    return replace(view, verdicts={**view.verdicts, **verdicts})
