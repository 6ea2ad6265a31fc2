"""Learning from examples (DreamBooth): the best pictures of all rounds, once they are known."""

import time

import torch

from hero_engine.engine.context import Run, earlier_than, labels_in
from hero_engine.engine.training import train_lora
from hero_engine.method import state
from hero_engine.method.drift import base_drift
from hero_engine.method.lesson import Lesson
from hero_engine.method.objectives import objective_of
from hero_engine.method.rollout import Rollout
from hero_engine.method.state import TrainingState
from hero_engine.run.methods import NO_UPDATE

EXAMPLES = "examples"
"""The metric of a round after which the LoRA was trained on so many of them."""


def train_on_examples(
    run: Run, learned: TrainingState, rollout: Rollout, round_number: int
) -> tuple[dict[str, float], str]:
    """Trains the LoRA on the best pictures of all rounds, and on that which the run began with,
    after the last round, or when the person is satisfied; returns as `learning.train`.
    """
    if round_number < run.task.feedback.rounds - 1 and not run.record.is_pending("finish"):
        return {}, "Nothing is learned before the best picture of the last round is known."
    bests = bests_until(run, round_number)
    if not bests:
        return {}, "No round has a best picture: nothing is learned."
    nothing = torch.zeros(len(rollout.z_0))
    lesson = Lesson(
        rollout,
        nothing,
        nothing.nonzero()[:, 0],
        run.task,
        round_number,
        torch.stack([Rollout.load(run.folder.rollout(n)).z_0[best] for n, best in bests.items()]),
        torch.tensor(list(bests.values())),
    )
    train_lora(run, learned, lesson)
    return {EXAMPLES: float(len(bests))}, ""


def bests_until(run: Run, round_number: int) -> dict[int, int]:
    """The best picture of each round until this one that has one, `START`'s too."""
    rounds = [*earlier_than(run, 0), *range(round_number + 1)]
    bests = {number: labels_in(run, number).best for number in rounds}
    return {number: best for number, best in bests.items() if isinstance(best, int)}


def learn_before_the_end(run: Run, learned: TrainingState) -> None:
    """What would have been learned after the last round, from the examples that there are when the
    person is satisfied; its checkpoint is that of the latest trained round.
    """
    trained = [r.number for r in run.record.rounds() if r.trained is not None]
    if not trained or run.task.update.objective == NO_UPDATE:
        return
    if objective_of(run.task).learns_from != "examples":
        return
    latest = trained[-1]
    taught = [number for number in trained if EXAMPLES in run.record.metrics(number)]
    if latest in taught:
        return
    started = time.monotonic()
    if learned.model.is_untaught or taught:
        run.record.set_state("training")
        rollout = Rollout.load(run.folder.rollout(latest))
        metrics, outcome = train_on_examples(run, learned, rollout, latest)
        state.save(learned, run.folder, latest)
    else:  # an engine was ended after it had saved that, and before it said so
        metrics, outcome = {EXAMPLES: float(len(bests_until(run, latest)))}, ""
    metrics["base_drift"] = base_drift(learned.model, run.task)
    metrics["train_s"] = time.monotonic() - started
    run.record.finish_training(latest, metrics, outcome)
