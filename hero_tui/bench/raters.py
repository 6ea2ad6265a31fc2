"""Who labels where the oracle alone would not do: raters who err, and raters with a taste.

Each is a labeler, `hero_tui.bench.raters:NAME`. A taste is another thing than success: a picture
pleases who has one if the task's oracle calls it good and it is to that taste.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hero_engine.run.labels import KEEP, Best
from hero_engine.run.task import Task

if TYPE_CHECKING:
    from hero_tui.headless.labelers import RoundView

Answer = tuple[list[int], Best]
Judge = Callable[[Task, Path], float]
"""How good a picture file is; 0: not good."""


def quality(task: Task, path: Path) -> float:
    """What the task's oracle says: 0 for a bad picture, and over 0 for a good one."""
    from hero_engine.cartoons.oracle import judge
    from hero_engine.run.pictures import read_picture

    verdict = judge(str(task.oracle), read_picture(path))
    # A good picture of no quality at all is a good one.
    return max(float(verdict.quality), 1e-9) if verdict.good else 0.0


def _to_taste(taste: str, task: Task, path: Path) -> float:
    return quality(task, path) if _shows(taste, path) else 0.0


def _shows(taste: str, path: Path) -> bool:
    from hero_engine.cartoons.judges.tastes import TASTES
    from hero_engine.cartoons.vision import read
    from hero_engine.run.pictures import read_picture

    return TASTES[taste](read(read_picture(path)))


def _seen(taste: str, task: Task, path: Path) -> float:
    return float(_shows(taste, path))


JUDGES: dict[str, Judge] = {
    "good": quality,
    "warm room": partial(_to_taste, "warm room"),
    "cool room": partial(_to_taste, "cool room"),
    # A hiker is no train window, so the oracle is not asked.
    "green": partial(_seen, "green"),
    "snowy": partial(_seen, "snowy"),
}
"""What can be asked of a picture after its run."""


def _by(judge: Judge, paths: Sequence[Path], task: Task, view: "RoundView") -> Answer:
    """As the oracle labels (`headless.labelers.from_oracle`), with another judge."""
    return _answer([judge(task, path) for path in paths], None, judge, task, view)


def _erring(share: float, paths: Sequence[Path], task: Task, view: "RoundView") -> Answer:
    """As the oracle, but that each label is wrong with a probability of `share`.

    Which are, is drawn from the seed, the round and the picture's number alone; the best is still
    the best of those that are called good.
    """
    verdicts = [quality(task, path) for path in paths]
    good = [
        number
        for number, found in enumerate(verdicts)
        if (found > 0) != is_wrong(share, task.seed, view.number, number)
    ]
    return _answer(verdicts, good, quality, task, view)


def is_wrong(share: float, seed: int, round_number: int, picture: int) -> bool:
    """Whether the label of a picture is wrong."""
    told = f"label noise {seed} {round_number} {picture}".encode()
    drawn = int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big")
    return drawn < share * 2**64


def _answer(
    verdicts: Sequence[float],
    good: list[int] | None,
    judge: Judge,
    task: Task,
    view: "RoundView",
) -> Answer:
    if good is None:
        good = [number for number, found in enumerate(verdicts) if found > 0]
    if not good:
        return [], None
    best = max(good, key=lambda number: verdicts[number])
    if view.reigning_best is not None and judge(task, view.reigning_best) >= verdicts[best]:
        return good, KEEP
    return good, best


errs_in_5 = partial(_erring, 0.05)
errs_in_10 = partial(_erring, 0.10)
errs_in_20 = partial(_erring, 0.20)
warm_room = partial(_by, JUDGES["warm room"])
cool_room = partial(_by, JUDGES["cool room"])
green = partial(_by, partial(_to_taste, "green"))
snowy = partial(_by, partial(_to_taste, "snowy"))
