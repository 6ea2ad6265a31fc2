"""Algorithm 1: rounds of sampling, labels and learning, until the feedback budget is used.

Labels come through the record, whoever gives them. Every round ends in a checkpoint, and a run
that was interrupted anywhere goes on from the latest one.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hero_engine.engine import fitting, startlatents, tryout
from hero_engine.engine.background import in_background
from hero_engine.engine.idle import IdleOffload
from hero_engine.engine.interrupts import Finish, Interrupts
from hero_engine.engine.team import Team
from hero_engine.errors import EngineError, InputError
from hero_engine.method import ddpo, embedding, state
from hero_engine.method.advantage import advantages, by_label
from hero_engine.method.batch import Batch, LabelledBatch
from hero_engine.method.drift import base_drift
from hero_engine.method.lesson import Lesson
from hero_engine.method.objectives import objective_of
from hero_engine.method.pool import NoisePool, norm_ratio, round_noise
from hero_engine.method.reward import REWARDS, by_function, similarity_to_best, uses_embedding
from hero_engine.method.rollout import Rollout, prompts_of
from hero_engine.method.state import TrainingState
from hero_engine.model import diffusion, seeds
from hero_engine.model.memory import Size
from hero_engine.model.samplers import check_steps
from hero_engine.results import evaluation, export
from hero_engine.results.measures import MEASURES
from hero_engine.run import collapse
from hero_engine.run.diversity import good_diversity_of
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.functions import load_function
from hero_engine.run.labels import Labels
from hero_engine.run.methods import CLEAN_LATENTS, NO_UPDATE, PICKSCORE
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_engine.run.pictures import read_picture, save_picture
from hero_engine.run.record import START, Record
from hero_engine.run.task import Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What every part of the loop needs."""

    folder: RunFolder
    record: Record
    task: Task
    interrupts: Interrupts
    options: EngineOptions = DEFAULT_OPTIONS
    team: Team = field(default_factory=Team)


def run_to_the_end(run: Run) -> None:
    """Samples, waits for labels and learns until the budget is used or the person is satisfied.

    Raises:
        Stop: a stop was asked for; the run can be continued.
        HeroError: why the engine cannot go on.
    """
    task = run.task
    run.record.set_progress("loading", 0, 1)
    with run.interrupts.at_once():
        model = diffusion.load(task, run.options.is_small)
    if not run.record.rounds():
        # A run that has begun goes on as it was.
        check_steps(model.pipeline.scheduler, task.sampling.steps)
    if task.update.objective != NO_UPDATE:
        objective_of(task)  # what is wrong with one of the user's own is said before any work
    if task.reward.function is not None:
        load_function(task.reward.function, "reward.function")
    if task.reward.function == PICKSCORE:
        check_pickscore()
    learned = state.initial_state(model, task)
    fit_to_machine(run, learned)
    first_round = resume(run, learned)
    learn_from_start(run, learned)
    try:
        for round_number in range(first_round, task.feedback.rounds):
            check(run, round_number)
            z_T = round_noise(learned.pool, fresh_noise(run, learned, round_number), task)
            rollout = collect(run, learned, z_T, round_number)
            with in_background() as hand_over:
                hand_over(partial(measure, run, rollout, round_number))
                rollout = remeasure_log_probs(run, learned, rollout, round_number)
                labels = labels_of(run, learned, round_number)
            learn(run, learned, rollout, labels, round_number)
    except Finish:
        log.info("asked to finish")
        learn_before_the_end(run, learned)
    evaluation.evaluate(run.folder, run.record, task, learned, run.interrupts.check_stop)
    if any(r.trained for r in run.record.rounds()):
        export.export(run.folder, run.folder.exports)
    run.team.dismiss(learned.model)
    run.record.set_state("finished")


def check_pickscore() -> None:
    """Loads it before a round is drawn for it.

    Raises:
        InputError: its weights are not on this machine.
    """
    from hero_engine.results import scorers  # with transformers' models, for who needs them

    try:
        scorers.pickscore([], [])
    except scorers.Unavailable as error:
        raise InputError(f"reward.function {PICKSCORE}: {error}") from None


def check(run: Run, round_number: int) -> None:
    """Raises Stop if one was asked for, and Finish before the round is submitted: its labels were
    given to be learned from.
    """
    try:
        run.interrupts.check()
    except Finish:
        if not is_submitted(run.record, round_number):
            raise


def fit_to_machine(run: Run, learned: TrainingState) -> None:
    """Makes the model work as this engine's options say; a shortage of memory shows in the record.

    Raises:
        EngineError: there is not enough memory to try one transition.
    """
    model = learned.model

    def show(which: Size) -> None:
        now = run.record.progress()
        phase = now.phase.partition(",")[0] + model.sizes.remark(which)
        run.record.set_progress(phase, now.done, now.total)

    model.sizes.on_halved = show
    fitting.apply_options(model, run.task, run.options, state.bytes_held(learned))


def resume(run: Run, learned: TrainingState) -> int:
    """Loads the latest checkpoint, if there is one, and returns the round to do next."""
    trained = [r.number for r in run.record.rounds() if r.trained is not None]
    start = run.record.start()
    if not trained and start is not None and start.learned is not None:
        state.load(learned, run.folder, START)
    if not trained:
        return 0
    went_back = run.record.went_back()
    rolled_back = went_back is not None and went_back[0] == trained[-1]
    state.load(learned, run.folder, trained[-1], rolled_back)
    if learned.begun_anew:
        log.info("%s", learned.begun_anew)
    return trained[-1] + 1


def learn_from_start(run: Run, learned: TrainingState) -> None:
    """What the pictures that the run begins with teach before round 0, then its checkpoint.

    They train the embedding, and an objective that needs nothing but clean latents makes one
    update, in which the model as it is is the old policy. Without a best among them, their most
    central good picture is the anchor of that, and nothing more. They add nothing to the noise
    pool: nobody knows from which z_T they could have come.
    """
    start, task = run.record.start(), run.task
    if start is None or start.learned is not None:
        return
    started = time.monotonic()
    run.record.set_state("training")
    rollout = startlatents.rollout_of(run.folder, start, learned.model, run.record.set_progress,
                                      run.interrupts.check_stop)  # fmt: skip
    good, bad = masks(start.labels, start.images)
    best = start.labels.best
    anchor = best if isinstance(best, int) else startlatents.most_central(rollout.z_0, good)
    learned.best_z_0 = rollout.z_0[anchor]
    metrics: dict[str, float] = {}
    outcome = ""
    if trains_embedding(task):
        train_embedding(run, learned, rollout.z_0[good], rollout.z_0[bad], START)
    if task.update.objective in CLEAN_LATENTS:
        images = (good | bad).nonzero()[:, 0]
        metrics, outcome = train_by_rewards(run, learned, rollout, good, images, START)
    if best is None:
        learned.best_z_0 = None
    state.save(learned, run.folder, START)
    metrics["train_s"] = time.monotonic() - started
    run.record.finish_start(metrics, outcome)
    log.info("learned from %s in %.1f s. %s", start.words, metrics["train_s"], outcome)


def fresh_noise(run: Run, learned: TrainingState, round_number: int) -> Tensor:
    """Standard normal draws for a round, [batch_size, C, H, W]."""
    images = range(run.task.feedback.batch_size)
    return seeds.normal(run.task.seed, "z_T", round_number, images, learned.model.latent_shape)


def collect(run: Run, learned: TrainingState, z_T: Tensor, round_number: int) -> Rollout:
    """The round's pictures and trajectories, sampled now or before an interruption.

    A picture enters the record when its file is complete; the round, when its rollout is.
    """
    folder, record = run.folder, run.record
    if _is_sampled(record, round_number):
        record.set_state("labeling")
        return Rollout.load(folder.rollout(round_number))
    started = time.monotonic()
    saved = 0
    record.begin_round(round_number, len(z_T))
    record.set_progress("sampling", 0, len(z_T))

    def save(images: Sequence[int], drawn: np.ndarray, scores: list[float] | None) -> None:
        for image, picture in zip(images, drawn, strict=True):
            save_picture(folder.image(round_number, image), picture)
        record.add_images(round_number, images, scores)
        nonlocal saved
        saved += len(images)
        record.set_progress("sampling" + learned.model.sizes.remark("chunk"), saved, len(z_T))

    def wait() -> None:
        run.interrupts.check()
        run.interrupts.wait(0.02)

    with in_background() as hand_over:

        def keep(images: Sequence[int], z_0: Tensor, decoded: Tensor) -> None:
            scores = guesses(learned, run.task, z_0)
            hand_over(partial(save, images, decoded.numpy(), scores))
            run.interrupts.check()

        rollout = run.team.sample(learned.model, run.task, z_T, round_number, keep, folder, wait)
        write_complete(folder.rollout(round_number), rollout.save)
    metrics = {
        "noise_norm": norm_ratio(z_T),
        "sample_s": time.monotonic() - started,
        collapse.FROM_POOL: run.task.fresh_images.start
        if learned.pool is not None and run.task.has_pool
        else 0,
    }
    record.finish_sampling(round_number, metrics)
    log.info("round %d: sampled %d pictures in %.1f s", round_number, len(z_T), metrics["sample_s"])
    return rollout


def measure(run: Run, rollout: Rollout, round_number: int) -> None:
    """Records the figures about a round's pictures, if they are not there yet.

    They take seconds for large pictures, which somebody who labels need not wait for; from the
    files, so that they are the same after an interruption.
    """
    if not MEASURES.keys() <= run.record.metrics(round_number).keys():
        batch = Batch(*batch_of(run, rollout, round_number, torch.arange(len(rollout.z_0))))
        try:
            found = {name: of(batch) for name, of in MEASURES.items()}
        except (OSError, ValueError) as error:
            # A picture was removed or damaged: nothing is learned from it, only its latent counts.
            log.warning("round %d: its pictures cannot be measured: %s", round_number, error)
            return
        run.record.add_metrics(round_number, 0, found)
    tell_of_collapse(run)


def measure_good(run: Run, labels: Labels, round_number: int) -> None:
    """Records the diversity of the round's good pictures, and of those from fresh noise alone, if
    others started from the pool.
    """

    def of(images: Set[int]) -> dict[str, float]:
        paths = (run.folder.image(round_number, image) for image in sorted(images))
        return good_diversity_of(paths)

    found = of(labels.good)
    measured = {name: curve[0][1] for name, curve in run.record.metrics(round_number).items()}
    count = run.task.feedback.batch_size
    fresh = of(labels.good & collapse.fresh_images(round_number, count, measured, run.task))
    found |= {f"fresh_{name}": value for name, value in fresh.items()}
    run.record.add_metrics(round_number, 0, found)


def batch_of(
    run: Run, rollout: Rollout, round_number: int, images: Tensor
) -> tuple[Tensor, list[str], Callable[[], NDArray[np.uint8]]]:
    """Clean latents, prompts and what reads the pictures, of those of the round whose numbers are
    `images`: a `Batch`'s first fields.
    """
    prompts = [run.task.prompts[prompt] for prompt in prompts_of(images, run.task).tolist()]
    paths = [run.folder.image(round_number, image) for image in images.tolist()]
    return rollout.z_0[images], prompts, lambda: np.stack([read_picture(path) for path in paths])


def remeasure_log_probs(
    run: Run,
    learned: TrainingState,
    rollout: Rollout,
    round_number: int,
    images: Tensor | None = None,
) -> Rollout:
    """The rollout as training will need it: what can be done while the person labels.

    Also when the labels are there already, so that a run that goes on has the same bits.

    Args:
        images: the pictures that are learned from, int64 [M], when the labels are there; None: all.

    Raises:
        Stop, Finish: see `check`.
    """
    if run.task.update.objective != "ddpo":
        return rollout
    if run.team.size > 1 or not ddpo.needs_remeasuring(learned.model, run.task):
        # Each process measures its share of the transitions when it trains.
        return rollout
    if learned.model.device.type == "cpu" and run.task.update.guidance:
        # A picture's arithmetic does not depend on its neighbours there: the old ones mostly hold.
        return rollout
    return ddpo.remeasured(
        learned.model, rollout, run.task, round_number, images, partial(check, run, round_number)
    )


@torch.no_grad()
def guesses(learned: TrainingState, task: Task, z_0: Tensor) -> list[float] | None:
    """Similarity to the reigning best (Eq. 4) before the labels: what the person may find good.

    None before there is a best, or if the reward has no use for the embedding, which is not trained
    then.
    """
    if learned.best_z_0 is None or not trains_embedding(task):
        return None
    embedded_best = embed(learned, learned.best_z_0[None])[0]
    return similarity_to_best(embed(learned, z_0), embedded_best).tolist()


def _is_sampled(record: Record, round_number: int) -> bool:
    return any(r.number == round_number and r.sampled is not None for r in record.rounds())


def is_submitted(record: Record, round_number: int) -> bool:
    """Whether the labels of a round are final."""
    return any(r.number == round_number and r.submitted is not None for r in record.rounds())


def trains_embedding(task: Task) -> bool:
    """Whether anything of the method asks for the embedding."""
    if task.update.objective == NO_UPDATE or objective_of(task).learns_from != "rewards":
        return False
    return uses_embedding(task.reward.name)


def labels_of(run: Run, learned: TrainingState, round_number: int) -> Labels:
    """The round's labels, when they are there; where a function rewards, there are none to come.

    Raises:
        Stop, Finish: see `check`.
    """
    if run.task.asks_for_labels:
        return wait_for_labels(run, learned, round_number)
    check(run, round_number)
    nobody = Labels(unsure=frozenset(range(run.task.feedback.batch_size)))
    if not is_submitted(run.record, round_number):
        run.record.submit(round_number, nobody)
    return nobody


def wait_for_labels(run: Run, learned: TrainingState, round_number: int) -> Labels:
    """Waits until the round is submitted, drawing what is asked for on the side.

    Raises:
        Stop, Finish: see `check`.
    """
    run.record.set_progress("waiting for labels", 0, 0)
    idle = IdleOffload(learned, run.options.idle_offload)
    seen = None
    try:
        while True:
            check(run, round_number)
            changes = run.record.changes()
            if changes != seen:
                seen = changes
                idle.news()
                if any(not each.finished for each in run.record.tries()):
                    idle.come_back()
                    tryout.answer(
                        run.folder, run.record, run.task, learned.model, learned.pool, round_number
                    )
                if is_submitted(run.record, round_number):
                    idle.come_back()
                    return run.record.labels(round_number)
            idle.tick()
            run.interrupts.wait(0.02)
    except Finish:
        idle.come_back()
        raise


def tell_of_collapse(run: Run) -> None:
    """Says in the record and the log if what is known of the latest round shows a collapse."""
    found = collapse.find_collapse(collapse.figures(run.record, run.task))
    latest = run.record.rounds()[-1]
    if found is not None and found.words != latest.collapse:
        run.record.set_collapse(latest.number, found.words, found.back_to)
        todo = collapse.way_back(found.back_to, str(run.folder.path))
        log.warning("round %d: %s %s", latest.number, found.words, todo)


def learn(
    run: Run, learned: TrainingState, rollout: Rollout, labels: Labels, round_number: int
) -> None:
    """Embedding, reward, update and noise pool from one round's labels, then its checkpoint."""
    started = time.monotonic()
    tell_of_collapse(run)
    run.record.set_state("training")
    good, bad = masks(labels, len(rollout.z_0))

    said = update_best_and_pool(learned, rollout, good, labels, run.task)
    with in_background() as hand_over:
        hand_over(partial(measure_good, run, labels, round_number))
        metrics, outcome = train(run, learned, rollout, good, bad, round_number)

    outcome = " ".join(filter(None, (learned.begun_anew, said, outcome)))
    learned.begun_anew = ""
    state.save(learned, run.folder, round_number)
    if run.task.update.objective != NO_UPDATE:
        metrics["base_drift"] = base_drift(learned.model, run.task)
    metrics["train_s"] = time.monotonic() - started
    run.record.finish_training(round_number, metrics, outcome)
    log.info("round %d: %d good, trained in %.1f s. %s", round_number, len(labels.good),
             metrics["train_s"], outcome)  # fmt: skip


def masks(labels: Labels, count: int) -> tuple[Tensor, Tensor]:
    """The good and the bad of a round's pictures, bool [count] each; an unsure one is neither."""
    good, sure = torch.zeros(count, dtype=torch.bool), torch.ones(count, dtype=torch.bool)
    good[sorted(labels.good)] = True
    sure[sorted(labels.unsure)] = False
    return good, sure & ~good


def update_best_and_pool(
    learned: TrainingState, rollout: Rollout, good: Tensor, labels: Labels, task: Task
) -> str:
    """Carries the reigning best over or replaces it, and builds the next round's noise pool.

    A round without a good picture leaves both as they are. Returns what is not as usual, in words.
    """
    if not good.any():
        return ""
    said = ""
    if isinstance(labels.best, int):
        learned.best_z_0 = rollout.z_0[labels.best]
        best_z_T = rollout.z_T[labels.best]
    elif learned.pool is not None:
        best_z_T = learned.pool.best
    else:
        # It is of the pictures that the run began with, whose noise nobody knows.
        most_like_it = likeness_to_best(learned, task, rollout.z_0).masked_fill(~good, -math.inf)
        nearest = int(most_like_it.argmax())
        best_z_T = rollout.z_T[nearest]
        said = (
            f"The reigning best was not drawn here and has no noise: that of picture {nearest}, "
            "the good one most like it, stands in for it in the noise pool."
        )
    goods = good.clone()
    if isinstance(labels.best, int) and good.sum() > 1 and task.noise.best_ratio > 0:
        # As the official code: the best has its own share, unless that share is 0.
        goods[labels.best] = False
    learned.pool = NoisePool(best_z_T, rollout.z_T[goods])
    return said


@torch.no_grad()
def likeness_to_best(learned: TrainingState, task: Task, z_0: Tensor) -> Tensor:
    """Cosine of each of `z_0` [N, C, H, W] to the reigning best, [N]: as Eq. 4 where there is an
    embedding, else of the latents.
    """
    assert learned.best_z_0 is not None
    guessed = guesses(learned, task, z_0)
    if guessed is not None:
        return torch.tensor(guessed)
    return similarity_to_best(z_0.flatten(1), learned.best_z_0.flatten())


def train(
    run: Run, learned: TrainingState, rollout: Rollout, good: Tensor, bad: Tensor, round_number: int
) -> tuple[dict[str, float], str]:
    """Trains the embedding and the LoRA; returns metrics, and why less was done than usual."""
    task = run.task
    if task.update.objective == NO_UPDATE:
        return {}, ""
    if objective_of(task).learns_from == "examples":
        return train_on_examples(run, learned, rollout, round_number)
    if not task.asks_for_labels:
        return train_by_rewards(run, learned, rollout, good, torch.arange(len(good)), round_number)
    if not good.any():
        where = "the same noise pool" if learned.pool else "fresh noise"
        what = "No good picture" if bad.any() else "Every picture is unsure"
        return {}, f"{what}: nothing is learned, the next round starts from {where}."
    assert learned.best_z_0 is not None, "a submitted round with goods has a best"
    outcome = ""
    if uses_embedding(task.reward.name):
        good_z_0, bad_z_0 = triplet_latents(run, rollout, good, bad, round_number)
        if len(bad_z_0):
            train_embedding(run, learned, good_z_0, bad_z_0, round_number)
        else:
            which = "All good" if good.all() else "All good but the unsure ones"
            outcome = f"{which}: there are no triplets, the reward uses the embedding as it is."
    images = (good | bad).nonzero()[:, 0]
    metrics, said = train_by_rewards(run, learned, rollout, good, images, round_number)
    return metrics, f"{outcome} {said}".strip()


def train_by_rewards(
    run: Run,
    learned: TrainingState,
    rollout: Rollout,
    good: Tensor,
    images: Tensor,
    round_number: int,
) -> tuple[dict[str, float], str]:
    """Trains the LoRA by the rewards of the pictures `images` [M]; returns as `train`."""
    rewards = compute_rewards(run, learned, rollout, good, images, round_number)
    metrics = {"reward_mean": float(rewards.mean())}
    if len(images) > 1:
        metrics["reward_std"] = float(rewards.std())
    update = run.task.update
    prompts = prompts_of(images, run.task) if update.advantages == "prompt" else None
    earned = advantages(rewards, update.advantage_clip, prompts, update.deviation_floor)
    if update.signs == "labels" and run.task.asks_for_labels:
        earned = by_label(earned, good[images], update.advantage_clip, prompts)
    if not earned.any():
        return metrics, "Nothing tells the pictures apart: the model is unchanged."
    advantage = torch.zeros(len(rollout.z_0))
    advantage[images] = earned
    if len(images) < len(advantage):
        # With pictures left out, the passes have other shapes than while the labels were given.
        rollout = remeasure_log_probs(run, learned, rollout, round_number, images)
    train_lora(run, learned, Lesson(rollout, advantage, images, run.task, round_number))
    return metrics, ""


EXAMPLES = "examples"
"""The metric of a round after which the LoRA was trained on so many of them."""


def train_on_examples(
    run: Run, learned: TrainingState, rollout: Rollout, round_number: int
) -> tuple[dict[str, float], str]:
    """Trains the LoRA on the best pictures of all rounds, and on that which the run began with,
    after the last round, or when the person is satisfied; returns as `train`.
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


def triplet_latents(
    run: Run, rollout: Rollout, good: Tensor, bad: Tensor, round_number: int
) -> tuple[Tensor, Tensor]:
    """The goods' and the bads' z_0, of this round or of all so far (`embedding.data`)."""
    goods, bads = [rollout.z_0[good]], [rollout.z_0[bad]]
    if run.task.embedding.data == "all":
        for earlier in earlier_than(run, round_number):
            z_0 = Rollout.load(run.folder.rollout(earlier)).z_0
            was_good, was_bad = masks(labels_in(run, earlier), len(z_0))
            goods.append(z_0[was_good])
            bads.append(z_0[was_bad])
    return torch.cat(goods), torch.cat(bads)


def earlier_than(run: Run, round_number: int) -> list[int]:
    """What was labelled before a round: `START` first, if the run began with pictures."""
    start = [] if run.record.start() is None else [START]
    return [*start, *range(round_number)]


def labels_in(run: Run, round_number: int) -> Labels:
    """Of a round, or of the pictures that the run began with."""
    start = run.record.start()
    if round_number == START and start is not None:
        return start.labels
    return run.record.labels(round_number)


def train_embedding(
    run: Run, learned: TrainingState, good_z_0: Tensor, bad_z_0: Tensor, round_number: int
) -> None:
    """Trains E_theta and its head by triplets around the reigning best."""
    settings, device = run.task.embedding, learned.model.device
    run.record.set_progress("training the embedding", 0, settings.steps)

    def report(step: int, loss: float) -> None:
        if step % 10 == 0:
            run.record.add_metrics(round_number, step, {"embedding_loss": loss})
            run.record.set_progress("training the embedding", step, settings.steps)
            run.interrupts.check_stop()

    assert learned.best_z_0 is not None
    embedding.train(
        learned.embedder,
        learned.embedder_optimizer,
        learned.best_z_0.to(device),
        good_z_0.to(device),
        bad_z_0.to(device),
        settings,
        report,
    )


@torch.no_grad()
def compute_rewards(
    run: Run,
    learned: TrainingState,
    rollout: Rollout,
    good: Tensor,
    images: Tensor,
    round_number: int,
) -> Tensor:
    """The reward of each of the M pictures `images` that are good or bad, [M], on the CPU.

    Raises:
        EngineError: one is not finite.
    """
    name, function = run.task.reward.name, run.task.reward.function
    round_ = batch_of(run, rollout, round_number, images)
    if function is not None:
        rewards = by_function(function, Batch(*round_))
    else:
        assert learned.best_z_0 is not None
        labelled = LabelledBatch(*round_, good[images], learned.best_z_0, partial(embed, learned))
        rewards = REWARDS[name].of(labelled)
    if not rewards.isfinite().all():
        raise EngineError(
            f"the reward {name} of {int((~rewards.isfinite()).sum())} pictures is not a finite "
            "number; lower `embedding.learning_rate` in the run's task.yaml, or take another "
            "`reward.name` there, and continue the run"
        )
    return rewards


def embed(learned: TrainingState, z_0: Tensor) -> Tensor:
    """E_theta of `z_0` [N, C, H, W]: [N, D], on the CPU."""
    return learned.embedder.network(z_0.to(learned.model.device)).cpu()  # type: ignore[no-any-return]


def train_lora(run: Run, learned: TrainingState, lesson: Lesson) -> None:
    """Updates the LoRA by the task's objective."""
    run.record.set_progress("training the LoRA", 0, 1)

    def report(step: int, total: int, metrics: Mapping[str, float]) -> None:
        run.record.add_metrics(lesson.round_number, step, metrics)
        phase = "training the LoRA" + learned.model.sizes.remark("micro_batch")
        run.record.set_progress(phase, step, total)
        run.interrupts.check_stop()

    run.team.update(lesson, learned.model, learned.lora_optimizer, report)
