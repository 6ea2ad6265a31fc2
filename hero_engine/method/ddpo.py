"""DDPO with PPO's clip on the trained transitions of a rollout (Eq. 2 and 8; Black et al. 2024)."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method import sharding
from hero_engine.method.rollout import Rollout, prompts_of
from hero_engine.model import ddim, memory, seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.task import Task

OnStep = Callable[[int, int, Mapping[str, float]], None]
"""Called after an optimizer step with its number from 1, how many there are, and its metrics."""

RATIO_TOLERANCE = 1e-5
"""How far a ratio may be from 1 before a round's first update, in float32."""

FLOAT16_LOSS_SCALE = 2.0**14
"""With float16 weights: the loss of 40 transitions has gradients of 1e-6, which float16 rounds to
nothing, so that they are computed of a multiple and divided in float32."""

ALIKE = 1e-6
"""Rewards that spread less than this differ by rounding, which must not be taught."""


def advantages(
    rewards: Tensor, clip: float, groups: Tensor | None = None, floor: float = 0.0
) -> Tensor:
    """Rewards [N] normalised and kept within +-clip; 0 where they are all alike.

    Args:
        groups: the group of each, [N], int64; each is normalised by itself, so that a prompt whose
            pictures are all better than another's does not teach by that alone (as ddpo-pytorch's
            statistics of each prompt). None: the batch is one group.
        floor: rewards that deviate less than this are divided by it, not by their deviation. When
            nearly every picture is good, what is left are differences that mean nothing; divided by
            their own deviation they are taught at full strength, and a model that has succeeded
            falls apart (docs/method.md). 0: the paper's and published code's own form.
    """
    if groups is not None:
        found = torch.zeros_like(rewards)
        for group in groups.unique():
            found[groups == group] = advantages(rewards[groups == group], clip, floor=floor)
        return found
    deviation = rewards.std(correction=0)
    if deviation < ALIKE:
        return torch.zeros_like(rewards)
    return ((rewards - rewards.mean()) / deviation.clamp(min=floor)).clamp(-clip, clip)


def clipped_loss(ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """PPO's pessimistic surrogate for `ratio` and `advantage` [B], one value each, to minimise."""
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return torch.maximum(-advantage * ratio, -advantage * clipped)


def update(
    model: Model,
    optimizer: torch.optim.Optimizer | None,
    rollout: Rollout,
    advantage: Tensor,
    task: Task,
    round_number: int,
    on_step: OnStep = lambda step, total, metrics: None,
) -> dict[str, float]:
    """One pass over a round: an optimizer step for every `update.batch_size` pictures.

    A collective where the engine has several processes: each adds the gradient of its share.

    Args:
        optimizer: None in a helper, which is given the weights after each step.
        advantage: [N].

    Returns:
        The metrics' means over the pass: loss, clip_fraction (share of ratios outside the clip),
        approx_kl, grad_norm; and ratio_error, the largest |ratio - 1| before the first step.

    Raises:
        EngineError: before the first step a ratio is not 1, so old and new log-probs disagree
            about what the model is; or there is not enough memory for one transition.
    """
    settings = task.update
    parameters = list(model.lora().values())
    groups = _groups(len(advantage), task, round_number)
    history: list[dict[str, float]] = []
    for number, group in enumerate(groups, start=1):
        metrics = _gradient(model, rollout, advantage, group, task)
        if number == 1 and not metrics["ratio_error"] <= _ratio_tolerance(model, task):
            if not needs_remeasuring(model, task):
                _refuse_foreign(metrics["ratio_error"])
            rollout = remeasured(model, rollout, task, round_number)
            model.unet.zero_grad()
            metrics = _gradient(model, rollout, advantage, group, task)
            if not metrics["ratio_error"] <= _ratio_tolerance(model, task):
                raise EngineError(
                    "self-check: before the first update a ratio is off from 1 by "
                    f"{metrics['ratio_error']:.1e} in two passes over the same transitions, "
                    f"expected at most {_ratio_tolerance(model, task):.0e}: this machine's "
                    "arithmetic is not stable enough; try without --compile, or write "
                    "`precision: fp32` in the run's task.yaml"
                )
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        metrics["grad_norm"] = float(norm)
        if not norm.isfinite():
            raise EngineError(
                "the gradient is not finite; the weights' precision does not suffice for this "
                "model: write `precision: bf16` or `precision: fp32` in the run's task.yaml"
            )
        if optimizer is not None:
            optimizer.step()
        sharding.copy_from_main(parameters, model.accelerator)
        model.unet.zero_grad()
        history.append(metrics)
        on_step(number, len(groups), metrics)
    means = {name: sum(m[name] for m in history) / len(history) for name in history[0]}
    return means | {"ratio_error": history[0]["ratio_error"]}


def needs_remeasuring(model: Model, task: Task) -> bool:
    """Whether the old log-probs are taken from the passes that training makes, not from sampling.

    Weights of half precision round otherwise in another batch shape, and a model trained without
    guidance is another than the one that was sampled with it. In float32 a ratio that is not 1 is
    a fault.
    """
    return model.dtype != torch.float32 or not task.update.guidance


@torch.no_grad()
def remeasured(
    model: Model,
    rollout: Rollout,
    task: Task,
    round_number: int,
    on_group: Callable[[], None] = lambda: None,
) -> Rollout:
    """The rollout with its old log-probs measured again, in the shapes that training uses.

    The model must be as it was when it drew them: while the labels are waited for is a good time.
    """

    def measure(group: Tensor) -> Tensor:
        found = rollout.log_prob.clone()
        for images, transitions in _micro_batches(model, rollout, group):
            values = log_probs(model, rollout, images, transitions, task)
            found[images, transitions] = values.cpu()
        return found[group]

    log_prob = rollout.log_prob.clone()
    for group in _groups(len(log_prob), task, round_number):
        found = None
        while found is None:
            tried = _largest(model, rollout, group)
            found = memory.attempt(
                lambda group=group: measure(group),  # type: ignore[misc]
                model.sizes,
                "micro_batch",
                tried,
            )
        log_prob[group] = found
        on_group()
    return replace(rollout, log_prob=log_prob)


def _groups(count: int, task: Task, round_number: int) -> tuple[Tensor, ...]:
    """The pictures of each optimizer step."""
    order = torch.randperm(count, generator=seeds.generator(task.seed, "order", round_number))
    return torch.split(order, task.update.batch_size)


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


def _gradient(
    model: Model, rollout: Rollout, advantage: Tensor, group: Tensor, task: Task
) -> dict[str, float]:
    """Sets the gradient of a group's mean loss and returns the group's metrics.

    With several processes, what each adds of its share is summed.
    """
    found = _own_gradient(model, rollout, advantage, group, task)
    error = {"ratio_error": found.pop("ratio_error")}
    sharding.sum_gradients(model.lora().values(), model.accelerator)
    return sharding.combine(found, "sum", model.accelerator) | sharding.combine(
        error, "max", model.accelerator
    )


def _own_gradient(
    model: Model, rollout: Rollout, advantage: Tensor, group: Tensor, task: Task
) -> dict[str, float]:
    """Sets the gradient of this process's share of a group.

    A pass that ran out of memory, or overflowed float16, leaves nothing behind: the group is begun
    again, in smaller micro-batches or of a smaller multiple of the loss.
    """
    parameters = list(model.lora().values())
    scale = FLOAT16_LOSS_SCALE if model.dtype == torch.float16 else 1.0
    while True:
        tried = _largest(model, rollout, group)
        metrics = memory.attempt(
            lambda: _accumulate(model, rollout, advantage, group, task, scale),  # noqa: B023
            model.sizes,
            "micro_batch",
            tried,
        )
        if metrics is None:
            model.unet.zero_grad()
        elif scale == 1:
            return metrics
        elif all(bool(p.grad.isfinite().all()) for p in parameters if p.grad is not None):
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad /= scale
            return metrics
        else:
            model.unet.zero_grad()
            scale = max(1.0, scale / 16)


def _accumulate(
    model: Model, rollout: Rollout, advantage: Tensor, group: Tensor, task: Task, scale: float
) -> dict[str, float]:
    """Adds `scale` times the gradient of a group's mean loss, in micro-batches."""
    settings = task.update
    count = len(group) * rollout.step.shape[1]
    totals = dict.fromkeys(("loss", "clip_fraction", "approx_kl"), 0.0)
    ratio_error = 0.0
    for images, transitions in _micro_batches(model, rollout, group):
        old = rollout.log_prob[images, transitions].to(model.device)
        new = log_probs(model, rollout, images, transitions, task)
        ratio = (new - old).exp()
        loss = clipped_loss(ratio, advantage[images].to(model.device), settings.clip_range)
        # Not the accelerator's: the user's configuration of it must not scale the loss.
        (loss.sum() * scale / count).backward()
        with torch.no_grad():
            off = (ratio - 1).abs()
            ratio_error = float(torch.maximum(off.max(), off.new_tensor(ratio_error)))  # keeps NaN
            totals["loss"] += float(loss.sum()) / count
            totals["clip_fraction"] += float((off > settings.clip_range).sum()) / count
            totals["approx_kl"] += float(((new - old) ** 2 / 2).sum()) / count
    return totals | {"ratio_error": ratio_error}


def _micro_batches(model: Model, rollout: Rollout, group: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The transitions of a group that are this process's, as pairs of (images, positions)."""
    transitions, size = rollout.step.shape[1], model.sizes.micro_batch
    images = sharding.share(group.repeat_interleave(transitions), model.accelerator)
    positions = sharding.share(torch.arange(transitions).repeat(len(group)), model.accelerator)
    if not len(images):
        return []
    return list(zip(images.split(size), positions.split(size), strict=True))


def _largest(model: Model, rollout: Rollout, group: Tensor) -> int:
    """Transitions of this process's largest pass over a group."""
    return max((len(images) for images, _ in _micro_batches(model, rollout, group)), default=1)


def _ratio_tolerance(model: Model, task: Task) -> float:
    if model.dtype == torch.float32:
        return RATIO_TOLERANCE
    return task.update.clip_range / 5


def _refuse_foreign(ratio_error: float) -> None:
    raise EngineError(
        f"self-check: before the first update a ratio is off from 1 by {ratio_error:.1e}, expected "
        f"at most {RATIO_TOLERANCE:.0e}; the rollout does not belong to this model. Was a file of "
        "the run folder exchanged, or the round sampled on another kind of machine? Then write "
        "`precision: bf16` in its task.yaml"
    )
