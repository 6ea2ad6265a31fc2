"""Where a run stands, as the one object that `hero-tui status --json` prints."""

from collections.abc import Mapping
from contextlib import closing
from typing import NotRequired, TypedDict

from hero_engine.run.collapse import figures, figures_of
from hero_engine.run.folder import RunFolder, engine_holder
from hero_engine.run.intervals import Rate
from hero_engine.run.labels import Best
from hero_engine.run.overtraining import find_overtraining
from hero_engine.run.record import Record, Round, RunState
from hero_engine.run.second_look import label_noise
from hero_engine.run.task import Task

ACTIVE_STATES = ("sampling", "labeling", "training")


class RoundStatus(TypedDict):
    """A submitted round. Seconds, and measures that the engine has not written, may be None.

    `success_rate`: good over good and bad; None if every picture is unsure.
    `fresh_images` and `fresh_good`: of those that started from fresh noise beside the pool, without
    the unsure ones; `fresh_good_diversity`: of the good ones among them, None for fewer than two.
    `reward_spread`: the rewards' standard deviation. `base_drift`: mean square difference of the
    trained model's predictions from the base model's (method/drift.py).
    `outcome`: in words, what was not as usual; "" for a usual round.
    """

    round: int
    images: int
    good: int
    bad: int
    unsure: int
    best: Best
    success_rate: float | None
    diversity: float | None
    good_diversity: float | None
    fresh_good_diversity: float | None
    noise_norm: float | None
    fresh_images: int
    fresh_good: int
    reward_spread: float | None
    base_drift: float | None
    sample_s: float | None
    label_s: float | None
    train_s: float | None
    wait_s: float | None
    outcome: str


class StartStatus(TypedDict):
    """The pictures that were labelled before the run began; they use nothing of its budget.

    `learned`: whether they have been learned from; `outcome` as of a round.
    """

    pictures: int
    good: int
    bad: int
    best: int | None
    learned: bool
    outcome: str


class OverTrainingStatus(TypedDict):
    """What the latest labelled round shows of it, and the trained round to go back to."""

    round: int
    said: str
    back_to: int


class CollapseStatus(TypedDict):
    """What the latest round shows of a collapse, and the trained round to go back to, if any."""

    round: int
    said: str
    back_to: int | None


class SecondLookStatus(TypedDict):
    """Labels that the engine doubted and the person looked at again, and how many were corrected.

    `low` and `high`: of their share, 95 % (Wilson).
    """

    pictures: int
    corrected: int
    low: float
    high: float


class FinalStatus(TypedDict):
    """Success of the final model from one noise, or of the base model, as `judge` found it.

    `good_diversity`: of the good pictures alone; None for fewer than two. `low` and `high`: of the
    rate, 95 % (Wilson).
    """

    images: int
    success_rate: float
    diversity: float
    good_diversity: float | None
    low: float
    high: float
    judge: str


class Status(TypedDict):
    """A run. `line` is how often it went back to an earlier round; all else is of its present line.

    `round` is the latest round begun, from 0; `labels_used` counts the pictures of submitted
    rounds, unsure ones too, which have used the budget; `final` is there once the
    final model has been judged from both noises (with the base model, but in earlier versions),
    `start` if the run began with labelled pictures, `collapse` if the latest round shows one, be it
    labelled or not, `over_training` if the latest labelled one shows it, `second_look` after one.
    """

    run: str
    task: str
    model: str
    state: RunState
    line: int
    round: int
    rounds: int
    labels_used: int
    labels_budget: int
    history: list[RoundStatus]
    start: NotRequired[StartStatus]
    collapse: NotRequired[CollapseStatus]
    over_training: NotRequired[OverTrainingStatus]
    second_look: NotRequired[SecondLookStatus]
    final: NotRequired[dict[str, FinalStatus]]


def status(folder: RunFolder) -> Status:
    """The run's status.

    Raises:
        InputError: its task or its record is missing or damaged.
    """
    task = folder.task()
    with closing(folder.open_record()) as record:
        rounds = record.rounds()
        found: Status = {
            "run": folder.name,
            "task": task.name,
            "model": task.model,
            "state": _live(record.state()[0], folder),
            "line": record.line(),
            "round": rounds[-1].number if rounds else 0,
            "rounds": task.feedback.rounds,
            "labels_used": sum(r.images for r in rounds if r.submitted is not None)
            if task.asks_for_labels
            else 0,
            "labels_budget": task.labels_budget,
            "history": _history(record, rounds, task),
        }
        start = record.start()
        if start is not None:
            best = start.labels.best
            found["start"] = {
                "pictures": len(start.numbers),
                "good": len(start.labels.good),
                "bad": len(start.numbers) - len(start.labels.good),
                "best": best if isinstance(best, int) else None,
                "learned": start.learned is not None,
                "outcome": start.outcome,
            }
        if rounds and rounds[-1].collapse:
            last = rounds[-1]
            found["collapse"] = {
                "round": last.number,
                "said": last.collapse,
                "back_to": last.back_to,
            }
        over = find_overtraining(figures(record, task))
        if over is not None:
            found["over_training"] = {
                "round": over.round,
                "said": over.words,
                "back_to": over.back_to,
            }
        noise = label_noise(record.second_looks())
        if noise is not None:
            low, high = noise.interval
            found["second_look"] = {
                "pictures": noise.pictures,
                "corrected": noise.corrected,
                "low": low,
                "high": high,
            }
        final = record.figures()
        if final.keys() >= {"pi", "fresh"}:
            judge = record.judge()
            found["final"] = {noise: _final(measured, judge) for noise, measured in final.items()}
    return found


def _live(written: RunState, folder: RunFolder) -> RunState:
    if written in ACTIVE_STATES and engine_holder(folder) is None:
        return "paused"
    return written


def _history(record: Record, rounds: list[Round], task: Task) -> list[RoundStatus]:
    history: list[RoundStatus] = []
    asked: float | None = None
    """Since when somebody waited for the round's pictures."""
    went_back = record.went_back()
    for r in rounds:
        if r.submitted is None:
            continue
        labels = record.labels(r.number)
        good, unsure = len(labels.good), len(labels.unsure)
        sure = r.images - unsure
        measured = {name: curve[0][1] for name, curve in record.metrics(r.number).items()}
        known = figures_of(r, labels, measured, task)
        history.append(
            {
                "round": r.number,
                "images": r.images,
                "good": good,
                "bad": sure - good,
                "unsure": unsure,
                "best": labels.best,
                "success_rate": good / sure if sure else None,
                "diversity": measured.get("diversity"),
                "good_diversity": measured.get("good_diversity"),
                "fresh_good_diversity": measured.get("fresh_good_diversity"),
                "noise_norm": measured.get("noise_norm"),
                "fresh_images": known.fresh,
                "fresh_good": known.fresh_good or 0,
                "reward_spread": measured.get("reward_std"),
                "base_drift": measured.get("base_drift"),
                "sample_s": measured.get("sample_s"),
                "label_s": _seconds(r.first_image, r.submitted),
                "train_s": measured.get("train_s"),
                "wait_s": _seconds(asked, r.first_image) if history else 0.0,
                "outcome": r.said,
            }
        )
        asked = went_back[1] if went_back and went_back[0] == r.number else r.submitted
    return history


def _seconds(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 3)


def _final(figures: Mapping[str, float], judge: str) -> FinalStatus:
    rate = Rate.of(figures)
    return {
        "images": rate.images,
        "success_rate": rate.share,
        "diversity": figures["diversity"],
        "good_diversity": figures.get("good_diversity"),
        "low": rate.interval[0],
        "high": rate.interval[1],
        "judge": judge,
    }
