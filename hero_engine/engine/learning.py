"""What a round's labels teach: Algorithm 1 from the labels to the next noise pool."""

import logging
import math
import time
from functools import partial

import torch
from torch import Tensor

from hero_engine.engine.background import in_background
from hero_engine.engine.context import Run, earlier_than, labels_in
from hero_engine.engine.examples import train_on_examples
from hero_engine.engine.likeness import embed, likeness_to_best
from hero_engine.engine.measuring import batch_of, measure_good, tell_of_collapse
from hero_engine.engine.sampling import remeasure_log_probs
from hero_engine.engine.training import train_embedding, train_lora
from hero_engine.errors import EngineError
from hero_engine.method import state
from hero_engine.method.advantage import advantages, by_label
from hero_engine.method.batch import Batch, LabelledBatch
from hero_engine.method.drift import base_drift
from hero_engine.method.lesson import Lesson
from hero_engine.method.objectives import objective_of
from hero_engine.method.pool import NoisePool
from hero_engine.method.reward import REWARDS, by_function, uses_embedding
from hero_engine.method.rollout import Rollout, prompts_of
from hero_engine.method.state import TrainingState
from hero_engine.run.labels import Labels
from hero_engine.run.methods import NO_UPDATE
from hero_engine.run.task import Task

log = logging.getLogger(__name__)


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
