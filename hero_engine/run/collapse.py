"""Whether a run has collapsed: the model draws one picture, or none that is good any more.

Each round is held against the rounds before it, in two ways, and where few pictures leave a doubt
there is no verdict. Thresholds and what they were tried on: docs/method.md, "When a run collapses".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hero_engine.run.intervals import wilson
from hero_engine.run.labels import Labels
from hero_engine.run.record import Record, Round
from hero_engine.run.task import Task

LOST_SUCCESS = 1 / 2
"""Of the best success so far: with less left, beyond what so few pictures vary, it is lost."""

LOST_DIVERSITY = 1 / 3
"""Of round 0's diversity: with less left, the pictures are all alike."""

FIRST_JUDGED = 2
"""The first round whose success counts: until then, people find out what they call good."""

SOUND_DIVERSITY = 1 / 2
"""Of round 0's diversity: what a round has that is worth going back to."""

LOST_CONTRAST = 1 / 2
"""The latents' contrast has become so many times round 0's, or less; or 1 / that, or more."""


@dataclass(frozen=True)
class RoundFigures:
    """What is known of a round's pictures, which the model after the round before has drawn.

    Attributes:
        images: how many there are, once they are labelled without the unsure ones.
        good: of `images`; None before the labels are submitted, and where all are unsure.
        diversity: of the pictures; None where it is not measured (yet).
        contrast: of their latents: how far they have drifted from what a model draws; None as well.
    """

    round: int
    images: int
    good: int | None
    diversity: float | None
    contrast: float | None = None
    fresh: int = 0
    """Of `images`, those that started from fresh noise beside a pool."""
    fresh_good: int | None = None
    """Of `fresh`; None as `good`."""
    good_diversity: float | None = None
    """Of the good pictures; beside a pool, of those from fresh noise alone, if there are any, since
    a pool is less varied whatever the model draws. None for fewer than two, or not measured."""


@dataclass(frozen=True)
class Collapse:
    """What a round's pictures show, in words, and the round to go back to.

    `back_to` is the trained round whose model drew the last sound pictures; None: not even the
    first round's training left it sound.
    """

    words: str
    back_to: int | None


def find_collapse(rounds: Sequence[RoundFigures]) -> Collapse | None:
    """Whether the last of `rounds` shows a collapse against those before it; None: it doesn't."""
    *before, now = rounds
    tests = (_success_sign, _diversity_sign, _contrast_sign)
    signs = [sign for sign in (test(before, now) for test in tests) if sign]
    if not signs:
        return None
    sound = [r.round for r in before if r.round > 0 and _is_sound(before, r)]
    return Collapse(f"Collapse: {'; '.join(signs)}.", sound[-1] - 1 if sound else None)


FROM_POOL = "from_pool"
"""The measure that says how many of a round's pictures, its first, start from the noise pool."""


def fresh_images(
    number: int, images: int, measured: Mapping[str, float], task: Task
) -> frozenset[int]:
    """Which of a round's pictures start from fresh noise beside others that start from the pool.

    As they were drawn, whatever the task has become; rounds of earlier versions, which did not
    record that, as the task has it.
    """
    if FROM_POOL in measured:
        from_pool = int(measured[FROM_POOL])
        return frozenset(range(from_pool, images) if from_pool else ())
    return frozenset(task.fresh_images if number else ())


def figures_of(
    round_: Round, labels: Labels, measured: Mapping[str, float], task: Task
) -> RoundFigures:
    """What is known of a round. `measured`: of its pictures, by name."""
    fresh = fresh_images(round_.number, round_.images, measured, task)
    sure = round_.images - len(labels.unsure)
    is_judged = round_.submitted is not None and sure > 0
    return RoundFigures(
        round_.number,
        sure,
        len(labels.good) if is_judged else None,
        measured.get("diversity"),
        measured.get("latent_contrast"),
        len(fresh - labels.unsure),
        len(labels.good & fresh) if is_judged else None,
        measured.get("fresh_good_diversity" if fresh else "good_diversity"),
    )


def figures(record: Record, task: Task) -> list[RoundFigures]:
    """What the record knows of each round."""
    found = []
    for r in record.rounds():
        measured = {name: curve[0][1] for name, curve in record.metrics(r.number).items()}
        found.append(figures_of(r, record.labels(r.number), measured, task))
    return found


def way_back(back_to: int | None, run: str) -> str:
    """What to do about a collapse; `run` names the run in a command."""
    if back_to is None:
        return "Start again with a smaller update.learning_rate."
    return f"Go back to the model before it: hero-tui rollback {run} --round {back_to}"


def _success_sign(before: Sequence[RoundFigures], now: RoundFigures) -> str:
    best = max((r for r in before if r.good is not None), key=_surely_good, default=None)
    if (
        best is None
        or now.round < FIRST_JUDGED
        or now.good is None
        or not _success_is_lost(best, now)
    ):
        return ""
    return (
        f"{now.good} of {now.images} pictures are good, in round {best.round} it was "
        f"{best.good} of {best.images}"
    )


def _diversity_sign(before: Sequence[RoundFigures], now: RoundFigures) -> str:
    first = before[0].diversity if before else None
    if first is None or now.diversity is None or not now.diversity < first * LOST_DIVERSITY:
        return ""
    return (
        f"the pictures are all but the same (diversity {now.diversity:.2g}, in round "
        f"{before[0].round} it was {first:.2g})"
    )


def _contrast_sign(before: Sequence[RoundFigures], now: RoundFigures) -> str:
    first = before[0].contrast if before else None
    if not first or now.contrast is None:
        return ""
    ratio = now.contrast / first
    if not (ratio < LOST_CONTRAST or ratio > 1 / LOST_CONTRAST):
        return ""
    how = "washed out" if ratio < 1 else "glaring"
    return (
        f"the pictures are {how} (contrast of the latents {now.contrast:.2g}, in round "
        f"{before[0].round} it was {first:.2g})"
    )


def _is_sound(rounds: Sequence[RoundFigures], r: RoundFigures) -> bool:
    first = rounds[0].diversity
    varied = first is None or r.diversity is None or r.diversity >= first * SOUND_DIVERSITY
    succeeds = r.good is not None and not any(
        _success_is_lost(other, r) for other in rounds if other.good is not None
    )
    return varied and succeeds


def _success_is_lost(best: RoundFigures, now: RoundFigures) -> bool:
    assert now.good is not None
    return wilson(now.good, now.images)[1] < LOST_SUCCESS * _surely_good(best)


def _surely_good(r: RoundFigures) -> float:
    assert r.good is not None
    return wilson(r.good, r.images)[0]
