"""The columns of the tables: what is read from one cell's result, and means over seeds.

A result is the dictionary that `results.result_of` makes and the JSON file has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean, stdev
from typing import Any, Literal

from hero_engine.run.collapse import RoundFigures
from hero_engine.run.overtraining import TAUGHT, find_overtraining
from hero_tui.bench.experiments import RATES

Result = Mapping[str, Any]
Kind = Literal["share", "seconds", "labels", "number", "round"]

FALLEN = 0.1
"""Of success: so much below the best round before it, a model that had succeeded has lost some."""


@dataclass(frozen=True)
class Column:
    """A figure of a finished cell; None: it has none."""

    heading: str
    kind: Kind
    of: Callable[[Result], float | None]


@dataclass(frozen=True)
class Mean:
    """Over seeds; `deviation` is the sample's, None for a single one. Of `seeds` values."""

    mean: float
    deviation: float | None
    seeds: int


def mean_of(values: Sequence[float | None]) -> Mean | None:
    """Of those that are there; None if none is."""
    found = [value for value in values if value is not None]
    if not found:
        return None
    return Mean(mean(found), stdev(found) if len(found) > 1 else None, len(found))


def _final(noise: str, figure: str, result: Result) -> float | None:
    # Without a pool, what begins "from the pool" is more fresh noise.
    if noise == "pi" and not result["has_pool"]:
        return None
    found = result.get("final", {}).get(noise)
    return None if found is None else found.get(figure)


def _diversity_kept(result: Result) -> float | None:
    found = [_final(noise, "good_diversity", result) for noise in ("fresh", "base")]
    return found[0] / found[1] if found[0] is not None and found[1] else None


def _last(figure: str, result: Result) -> float | None:
    history = result["history"]
    if not history or (figure == "success_rate" and not result["labelled"]):
        return None
    value: float | None = history[-1][figure]
    return value


def _judged(judge: str, noise: str, result: Result) -> float | None:
    if noise == "pi" and not result["has_pool"]:
        return None
    found = result.get("measured", {}).get(noise, {})
    return found[judge] / found["images"] if found.get("images") and judge in found else None


def _seconds(result: Result) -> float | None:
    value: float | None = result["seconds"]
    return value


def _training(result: Result) -> float | None:
    seconds = [r["train_s"] for r in result["history"] if r["train_s"] is not None]
    return mean(seconds) if seconds else None


def labels_to(rate: float, result: Result) -> float | None:
    """The labels given before the pictures that reach `rate`; None: they never do.

    A round is taken together with the round before it, as one more sample of a model that changes
    little between them; the first stands alone. After the last round come the pictures of the
    final evaluation, from the noise that rounds start from.
    """
    if not result["labelled"]:
        return None
    steps = [(r["good"], r["good"] + r["bad"], r["images"]) for r in result["history"]]
    after = _after_the_last_round(result)
    if after is not None:
        # Weighs as much as a round does, however many pictures it is of.
        weight = steps[-1][2] if steps else 1
        steps.append((after * weight, weight, 0))
    labels = 0
    before = (0.0, 0)
    for good, judged, images in steps:
        if judged + before[1] and (good + before[0]) / (judged + before[1]) >= rate:
            return labels
        before = (good, judged)
        labels += images
    return None


def warned_in(result: Result) -> float | None:
    """The first round that was warned of over-training (`overtraining`); None: none was."""
    rounds = _figures(result)
    for seen in range(len(rounds)):
        if find_overtraining(rounds[: seen + 1]):
            return rounds[seen].round
    return None


def fell_in(result: Result) -> float | None:
    """The first round that is good by `FALLEN` less often than the best before it; None: none is.

    Of those after the model has succeeded. The final evaluation, from the noise that rounds start
    from, counts as the round after the last.
    """
    rates = [(r.round, r.good / r.images) for r in _figures(result) if r.good is not None]
    after = _after_the_last_round(result)
    if after is not None and rates:
        rates.append((rates[-1][0] + 1, after))
    best = 0.0
    for number, rate in rates:
        if best >= TAUGHT and rate < best - FALLEN:
            return number
        best = max(best, rate)
    return None


def _after_the_last_round(result: Result) -> float | None:
    """Success of the final evaluation, from the noise that rounds start from."""
    final = result.get("final", {}).get("pi" if result["has_pool"] else "fresh")
    return None if final is None else final["success_rate"]


def _figures(result: Result) -> list[RoundFigures]:
    judged = [r for r in result["history"] if result["labelled"] and r["good"] + r["bad"]]
    return [
        RoundFigures(
            r["round"],
            r["good"] + r["bad"],
            r["good"],
            r["diversity"],
            fresh=r.get("fresh_images", 0),
            fresh_good=r.get("fresh_good", 0),
            good_diversity=r.get(
                "fresh_good_diversity" if r.get("fresh_images") else "good_diversity"
            ),
        )
        for r in judged
    ]


_NOISES = (("pool", "pi"), ("fresh", "fresh"))
_JUDGES = ("good", "green", "snowy", "warm room", "cool room")

COLUMNS: Mapping[str, Column] = {
    "pool": Column("from the pool", "share", partial(_final, "pi", "success_rate")),
    "fresh": Column("from fresh noise", "share", partial(_final, "fresh", "success_rate")),
    "last round": Column("last round's pictures", "share", partial(_last, "success_rate")),
    "last norm": Column("last round's norm of z_T", "number", partial(_last, "noise_norm")),
    "diversity": Column("diversity (fresh)", "number", partial(_final, "fresh", "diversity")),
    "diversity kept": Column(
        "the good ones' diversity, of the base model's good ones'", "share", _diversity_kept
    ),
    "seconds": Column("seconds a run", "seconds", _seconds),
    "warned": Column("warned in round", "round", warned_in),
    "fell": Column("success fell in round", "round", fell_in),
    "train seconds": Column("seconds of training a round", "seconds", _training),
    **{
        f"labels to {rate:.0%}": Column(f"labels to {rate:.0%}", "labels", partial(labels_to, rate))
        for rate in RATES
    },
    **{
        f"{judge}, {name}": Column(f"{judge}, {name}", "share", partial(_judged, judge, noise))
        for judge in _JUDGES
        for name, noise in _NOISES
    },
}
"""By the name that an experiment calls them."""
