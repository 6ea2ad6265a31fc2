"""Whether a run trains on where nothing is left to gain: seen before it costs success.

A model that has learned what it was asked for goes on learning from differences that mean nothing.
Its pictures become alike first, or those from fresh noise worse; success of the others falls later,
and then within a round or two. What this was tried on: docs/method.md, "Over-training".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hero_engine.run.collapse import RoundFigures
from hero_engine.run.intervals import wilson
from hero_engine.run.task import Task

TAUGHT = 0.9
"""Success in two rounds running of a model that has learned what it was asked for."""

LESS_VARIED = 2 / 3
"""Of the first good pictures' diversity (round 0's, if it has two): with less, variety is being
lost. Of the good ones alone, since what a model draws wrongly is varied, too, and is no loss."""


@dataclass(frozen=True)
class OverTraining:
    """What the latest labelled round shows, in words, and the round to go back to.

    `back_to`: the trained round whose model was the first to succeed.
    """

    round: int
    words: str
    back_to: int


def find_overtraining(rounds: Sequence[RoundFigures]) -> OverTraining | None:
    """Whether the last labelled one of `rounds` shows it; None: it doesn't."""
    labelled = [r for r in rounds if r.good is not None]
    if len(labelled) < 3 or not all(_succeeds(r) for r in labelled[-2:]):
        return None
    now = labelled[-1]
    signs = [sign for sign in (_variety_sign(labelled), _fresh_sign(labelled)) if sign]
    if not signs:
        return None
    first = next(r.round for r in labelled[1:] if _succeeds(r))
    before = labelled[-2]
    return OverTraining(
        now.round,
        f"Over-training: {before.good} of {before.images} and {now.good} of {now.images} pictures "
        f"of the last two rounds are good, so there is little left to gain from the run's own "
        f"noise, but {' and '.join(signs)}.",
        first - 1,
    )


def ways_out(found: OverTraining, latest: int, task: Task, run: str) -> str:
    """What to do about it, after training round `latest`; `run` names the run in a command."""
    back = (
        f"Go back to the model that succeeded first: hero-tui rollback {run} --round "
        f"{found.back_to}"
    )
    if latest == task.feedback.rounds - 1:
        return back
    return (
        f"{back}; or go on by half the step: hero-tui rollback {run} --round {latest} "
        f"--set update.learning_rate={task.update.learning_rate / 2:g}"
    )


def _succeeds(r: RoundFigures) -> bool:
    return r.good is not None and r.images > 0 and r.good >= TAUGHT * r.images


def _variety_sign(labelled: Sequence[RoundFigures]) -> str:
    first = next((r for r in labelled if r.good_diversity is not None), None)
    now = labelled[-1].good_diversity
    if first is None or first.good_diversity is None or now is None:
        return ""
    if now > LESS_VARIED * first.good_diversity:
        return ""
    return (
        f"the good ones become alike (diversity {now:.2g}, in round {first.round} it was "
        f"{first.good_diversity:.2g})"
    )


def _fresh_sign(labelled: Sequence[RoundFigures]) -> str:
    """Two rounds together are held against the best two together: each has few such pictures."""
    pairs = [
        (b.round, (a.fresh_good or 0) + (b.fresh_good or 0), a.fresh + b.fresh)
        for a, b in pairwise(labelled)
    ]
    *earlier, (_, good, count) = pairs
    if not earlier or not count:
        return ""
    number, most, of = max(earlier, key=lambda pair: wilson(pair[1], pair[2])[0] if pair[2] else 0)
    if not of or wilson(good, count)[1] >= wilson(most, of)[0]:
        return ""
    return (
        f"from fresh noise fewer are ({good} of {count}; in rounds {number - 1} and {number} it "
        f"was {most} of {of})"
    )
