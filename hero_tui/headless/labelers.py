"""Who labels when nobody sits at a terminal: a label file, the oracle, or one's own function."""

import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hero_engine.errors import InputError
from hero_engine.run import labelfile
from hero_engine.run.functions import USERS_ERRORS, load_function, where
from hero_engine.run.judges import why_no_oracle
from hero_engine.run.labels import KEEP, Labels, problem_with
from hero_engine.run.task import Task


@dataclass(frozen=True)
class RoundView:
    """What a labeler is shown of a round.

    Attributes:
        number: of the round, from 0.
        paths: the pictures' PNG files; a picture's number is its place.
        task: what the pictures should show.
        reigning_best: the picture that is the best so far, None before there is one.
    """

    number: int
    paths: Sequence[Path]
    task: Task
    reigning_best: Path | None
    wants_best: bool = True
    """Whether one of the good pictures has to be the best: not where nothing is learned."""


Labeler = Callable[[RoundView], Labels | None]
"""Labels a round; None: there are no labels for it, the run has to pause."""


def from_file(
    path: Path, task: Task, submitted: Sequence[Labels] = (), has_best: bool = False
) -> Labeler:
    """Labels as the label file says (`labelfile.load`, whose errors this raises)."""
    rounds = labelfile.load(path, task, submitted, has_best)

    def label(view: RoundView) -> Labels | None:
        return rounds[view.number] if view.number < len(rounds) else None

    return label


def from_oracle(task: Task) -> Labeler:
    """Labels by the task's oracle; the best is the good picture of the highest quality.

    Raises:
        InputError: the task has no oracle, or its model's pictures are not the oracle's.
    """
    from hero_engine.cartoons.oracle import Verdict, judge
    from hero_engine.run.pictures import open_picture

    problem = why_no_oracle(task)
    if problem is not None:
        raise InputError(f"--oracle: {problem}")
    subject = str(task.oracle)

    def label(view: RoundView) -> Labels:
        def verdict(path: Path) -> Verdict:
            return judge(subject, open_picture(path))

        verdicts = [verdict(path) for path in view.paths]
        good = [number for number, found in enumerate(verdicts) if found.good]
        if not good:
            return Labels()
        best = max(good, key=lambda number: verdicts[number].quality)
        if view.reigning_best is not None:
            reigning = verdict(view.reigning_best)
            if reigning.quality >= verdicts[best].quality:
                return Labels.of(good, KEEP)
        return Labels.of(good, best)

    return label


def from_function(name: str) -> Labeler:
    """Labels by the function `module:function`, imported from the current folder too.

    It is called with the pictures' paths (a list) and the task, and returns the numbers of the
    good pictures and the best: one of them, "keep" (the reigning best stays), or None; and, if it
    likes, the numbers of those that it is unsure about. One that has a parameter `view` is given
    the `RoundView`, too, which knows the round and the reigning best.

    Raises:
        InputError: there is no such function; the labeler raises it when the function fails or
            returns something else.
    """
    function = load_function(name, "--labeler")
    wants_view = _has_parameter(function, "view")

    def label(view: RoundView) -> Labels:
        more = {"view": view} if wants_view else {}
        try:
            returned = function(list(view.paths), view.task, **more)
            labels, shown = _understood(returned), _shortened(returned)
        except USERS_ERRORS as error:
            raise InputError(f"--labeler {name}: {where(error)}") from error
        problem = (
            "expected (numbers of the good pictures, best), or with the unsure ones after them"
            if labels is None
            else problem_with(labels, len(view.paths), has_best(view))
        )
        if labels is None or problem:
            raise InputError(f"--labeler {name}: it returned {shown}: {problem}")
        return labels

    return label


def has_best(view: RoundView) -> bool:
    """Whether labels need not name one."""
    return view.reigning_best is not None or not view.wants_best


def _has_parameter(function: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # of some that are written in C, nobody knows
        return False


def _understood(returned: Any) -> Labels | None:
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 3):
        return None
    good, best, unsure = (*returned, ()) if len(returned) == 2 else returned
    if any(not isinstance(of, Iterable) or isinstance(of, str | bytes) for of in (good, unsure)):
        return None
    try:
        return Labels.of(
            [_number(n) for n in good],
            best if best in (None, KEEP) else _number(best),
            [_number(n) for n in unsure],
        )
    except (TypeError, ValueError):
        return None


def _number(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    return operator.index(value)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
