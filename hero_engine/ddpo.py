"""DDPO with PPO's clip on the trained transitions of a rollout (Eq. 2 and 8; Black et al. 2024)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hero_engine import ddim, seeds
from hero_engine.errors import EngineError
from hero_engine.models import Model
from hero_engine.rollout import Rollout, prompts_of
from hero_engine.task import Task

RATIO_TOLERANCE = 1e-5
"""How far a ratio may be from 1 before a round's first update, in float32."""

ALIKE = 1e-6
"""Rewards that spread less than this differ by rounding, which must not be taught."""


def advantages(rewards: Tensor, clip: float, groups: Tensor | None = None) -> Tensor:
    """Rewards [N] normalised and kept within +-clip; 0 where they are all alike.

    Args:
        groups: the group of each, [N], int64; each is normalised by itself, so that a prompt whose
            pictures are all better than another's does not teach by that alone (as ddpo-pytorch's
            statistics of each prompt). None: the batch is one group.
    """
    if groups is not None:
        found = torch.zeros_like(rewards)
        for group in groups.unique():
            found[groups == group] = advantages(rewards[groups == group], clip)
        return found
    spread = rewards.std(correction=0)
    if spread < ALIKE:
        return torch.zeros_like(rewards)
    return ((rewards - rewards.mean()) / spread).clamp(-clip, clip)


def clipped_loss(ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """PPO's pessimistic surrogate for `ratio` and `advantage` [B], one value each, to minimise."""
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return torch.maximum(-advantage * ratio, -advantage * clipped)


def update(
    model: Model,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    advantage: Tensor,
    task: Task,
    round_number: int,
    on_step: Callable[[int, int, Mapping[str, float]], None] = lambda step, total, metrics: None,
) -> dict[str, float]:
    """One pass over a round: an optimizer step for every `update.batch_size` pictures.

    Args:
        advantage: [N].
        on_step: called after each optimizer step with its number from 1, how many there are, and
            its metrics.

    Returns:
        The metrics' means over the pass: loss, clip_fraction (share of ratios outside the clip),
        approx_kl, grad_norm; and ratio_error, the largest |ratio - 1| before the first step.

    Raises:
        EngineError: before the first step a ratio is not 1, so old and new log-probs disagree
            about what the model is.
    """
    settings = task.update
    order = torch.randperm(
        len(advantage), generator=seeds.generator(task.seed, "order", round_number)
    )
    groups = order.split(settings.batch_size)
    history: list[dict[str, float]] = []
    for number, group in enumerate(groups, start=1):
        metrics = _accumulate(model, rollout, advantage, group, task)
        if number == 1 and metrics["ratio_error"] > _ratio_tolerance(model, task):
            rollout = _with_log_probs_of_training(model, rollout, groups, task, metrics)
            optimizer.zero_grad()
            metrics = _accumulate(model, rollout, advantage, group, task)
        norm = torch.nn.utils.clip_grad_norm_(list(model.lora().values()), settings.max_grad_norm)
        metrics["grad_norm"] = float(norm)
        optimizer.step()
        optimizer.zero_grad()
        history.append(metrics)
        on_step(number, len(groups), metrics)
    means = {name: sum(m[name] for m in history) / len(history) for name in history[0]}
    return means | {"ratio_error": history[0]["ratio_error"]}


def log_probs(
    model: Model, rollout: Rollout, images: Tensor, transitions: Tensor, task: Task
) -> Tensor:
    """log p(z_prev | z_t, c) under the model as it is, [B], for B pairs (image, transition)."""
    z_t, z_prev, i = (
        values[images, transitions] for values in (rollout.z_t, rollout.z_prev, rollout.step)
    )
    z_t, z_prev = z_t.to(model.device), z_prev.to(model.device)
    prompts = prompts_of(images, task).to(model.device)
    scale = task.sampling.guidance_scale if task.update.guidance else 1.0
    mean, sigma = ddim.transition(model.schedule, z_t, model.predict(z_t, i, prompts, scale), i)
    return ddim.log_prob(z_prev, mean, sigma)


def _accumulate(
    model: Model, rollout: Rollout, advantage: Tensor, group: Tensor, task: Task
) -> dict[str, float]:
    """Adds the gradient of a group's mean loss; micro-batches change memory, not the mean."""
    settings = task.update
    count = len(group) * rollout.step.shape[1]
    totals = dict.fromkeys(("loss", "clip_fraction", "approx_kl"), 0.0)
    ratio_error = 0.0
    for images, transitions in _micro_batches(rollout, group, settings.micro_batch_size):
        old = rollout.log_prob[images, transitions].to(model.device)
        new = log_probs(model, rollout, images, transitions, task)
        ratio = (new - old).exp()
        loss = clipped_loss(ratio, advantage[images].to(model.device), settings.clip_range)
        model.accelerator.backward(loss.sum() / count)
        with torch.no_grad():
            off = (ratio - 1).abs()
            ratio_error = max(ratio_error, float(off.max()))
            totals["loss"] += float(loss.sum()) / count
            totals["clip_fraction"] += float((off > settings.clip_range).sum()) / count
            totals["approx_kl"] += float(((new - old) ** 2 / 2).sum()) / count
    return totals | {"ratio_error": ratio_error}


def _micro_batches(rollout: Rollout, group: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    transitions = rollout.step.shape[1]
    images = group.repeat_interleave(transitions)
    positions = torch.arange(transitions).repeat(len(group))
    return list(zip(images.split(size), positions.split(size), strict=True))


def _ratio_tolerance(model: Model, task: Task) -> float:
    if model.dtype == torch.float32:
        return RATIO_TOLERANCE
    return task.update.clip_range / 5


def _with_log_probs_of_training(
    model: Model,
    rollout: Rollout,
    groups: Sequence[Tensor],
    task: Task,
    metrics: Mapping[str, float],
) -> Rollout:
    """The rollout with its old log-probs measured again, in the shapes that training uses.

    Half-precision weights round otherwise in another batch shape; in float32 a ratio that is not 1
    is a fault.
    """
    if model.dtype == torch.float32 and task.update.guidance:
        raise EngineError(
            f"self-check: before the first update a ratio is off from 1 by "
            f"{metrics['ratio_error']:.1e}, expected at most {RATIO_TOLERANCE:.0e}; the rollout "
            "does not belong to this model. Was a file of the run folder exchanged, or the round "
            "sampled on another kind of machine? Then write `precision: bf16` in its task.yaml"
        )
    measured = rollout.log_prob.clone()
    with torch.no_grad():
        for group in groups:
            for images, transitions in _micro_batches(rollout, group, task.update.micro_batch_size):
                values = log_probs(model, rollout, images, transitions, task)
                measured[images, transitions] = values.cpu()
    return replace(rollout, log_prob=measured)
