"""DDPO with PPO's clip on the trained transitions of a rollout (Eq. 2 and 8; Black et al. 2024)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method.lesson import Lesson
from hero_engine.method.rollout import Rollout, prompts_of
from hero_engine.method.update import LearnsFrom, in_passes, until_it_fits
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.schedule import log_prob, transition
from hero_engine.run.task import Task

RATIO_TOLERANCE = 1e-5
"""How far a ratio may be from 1 before a round's first update, in float32."""


def clipped_loss(ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """PPO's pessimistic surrogate for `ratio` and `advantage` [B], one value each, to minimise."""
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return torch.maximum(-advantage * ratio, -advantage * clipped)


def log_probs(model: Model, rollout: Rollout, items: Tensor, task: Task) -> Tensor:
    """log p(z_prev | z_t, c) under the model as it is, [B], for B pairs (image, transition)."""
    images, transitions = items.unbind(1)
    z_t, z_prev, i = (
        values[images, transitions] for values in (rollout.z_t, rollout.z_prev, rollout.step)
    )
    z_t, z_prev = z_t.to(model.device), z_prev.to(model.device)
    prompts = prompts_of(images, task).to(model.device)
    scale = task.sampling.guidance_scale if task.update.guidance else 1.0
    mean, sigma = transition(model.schedule, z_t, model.predict(z_t, i, prompts, scale), i)
    return log_prob(z_prev, mean, sigma)


@dataclass(frozen=True)
class DDPO:
    """The objective: an optimizer step for every `update.batch_size` pictures, K transitions each.

    An item is a pair (image, transition). Metrics: clip_fraction, the share of ratios outside the
    clip; approx_kl; and ratio_error, the largest |ratio - 1|, which must be 0 in the first step.

    Attributes:
        advantage: [N].
        images: the pictures that are learned from, int64 [M], ascending; None: all.
        is_remeasured: the old log-probs were taken from training's own passes.
    """

    learns_from: ClassVar[LearnsFrom] = "rewards"
    mean_metrics: ClassVar[tuple[str, ...]] = ("clip_fraction", "approx_kl")
    max_metrics: ClassVar[tuple[str, ...]] = ("ratio_error",)

    rollout: Rollout
    advantage: Tensor
    task: Task
    round_number: int
    images: Tensor | None = None
    is_remeasured: bool = False

    @classmethod
    def of(cls, model: Model, lesson: Lesson) -> "DDPO":
        return cls(
            lesson.rollout, lesson.advantage, lesson.task, lesson.round_number, lesson.images
        )

    def steps(self) -> list[Tensor]:
        return items_of_steps(self.rollout, self.task, self.round_number, self.images)

    def losses(self, model: Model, items: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        images, transitions = items.unbind(1)
        old = self.rollout.log_prob[images, transitions].to(model.device)
        new = log_probs(model, self.rollout, items, self.task)
        ratio, clip_range = (new - old).exp(), self.task.update.clip_range
        off = (ratio.detach() - 1).abs()
        losses = clipped_loss(ratio, self.advantage[images].to(model.device), clip_range)
        return losses, {
            "clip_fraction": (off > clip_range).float(),
            "approx_kl": (new - old).detach() ** 2 / 2,
            "ratio_error": off,
        }

    def check(self, model: Model, metrics: Mapping[str, float]) -> "DDPO | None":
        """Before the first step old and new log-probs must agree about what the model is.

        Where sampling may have rounded otherwise, the old ones are measured again first.

        Raises:
            EngineError: they do not agree.
        """
        error, tolerance = metrics["ratio_error"], ratio_tolerance(model, self.task)
        if error <= tolerance:
            return None
        if self.is_remeasured:
            raise EngineError(
                "self-check: before the first update a ratio is off from 1 by "
                f"{error:.1e} in two passes over the same transitions, expected at most "
                f"{tolerance:.0e}: this machine's arithmetic is not stable enough; try without "
                "--compile, or write `precision: fp32` in the run's task.yaml"
            )
        if needs_remeasuring(model, self.task):
            rollout = remeasured(model, self.rollout, self.task, self.round_number, self.images)
            return replace(self, rollout=rollout, is_remeasured=True)
        raise EngineError(
            f"self-check: before the first update a ratio is off from 1 by {error:.1e}, expected "
            f"at most {tolerance:.0e}; the rollout does not belong to this model. Was a file of "
            "the run folder exchanged, or the round sampled on another kind of machine? Then write "
            "`precision: bf16` in its task.yaml"
        )


def needs_remeasuring(model: Model, task: Task) -> bool:
    """Whether the old log-probs are taken from the passes that training makes, not from sampling.

    Weights of half precision round otherwise in another batch shape, and a model trained without
    guidance is another than the one that was sampled with it. In float32 a ratio that is not 1 is
    a fault.
    """
    return model.dtype != torch.float32 or not task.update.guidance


def remeasured(
    model: Model,
    rollout: Rollout,
    task: Task,
    round_number: int,
    images: Tensor | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Rollout:
    """The rollout with its old log-probs measured again, in the shapes that training uses.

    The model must be as it was when it drew them: while the labels are waited for is a good time.
    With several processes each measures its own share.

    Args:
        images: as `DDPO.images`.
    """
    steps = items_of_steps(rollout, task, round_number, images)
    log_prob = measured_log_probs(model, rollout, steps, task, in_passes, on_step)
    return replace(rollout, log_prob=log_prob)


@torch.no_grad()
def measured_log_probs(
    model: Model,
    rollout: Rollout,
    groups: Sequence[Tensor],
    task: Task,
    split: Callable[[Model, Tensor], list[Tensor]],
    on_group: Callable[[], None] = lambda: None,
) -> Tensor:
    """The rollout's log-probs [N, K], under the model as it is where `groups` of pairs (image,
    transition) say so.

    Args:
        split: a group into passes: `update.in_passes` or `update.passes`.
        on_group: called after each group.
    """
    log_prob = rollout.log_prob.clone()

    def measure(items: Tensor) -> Tensor:
        for part in split(model, items):
            images, transitions = part.unbind(1)
            log_prob[images, transitions] = log_probs(model, rollout, part, task).cpu()
        return log_prob

    for items in groups:
        until_it_fits(model, items, lambda: measure(items), split)  # noqa: B023
        on_group()
    return log_prob


def items_of_steps(
    rollout: Rollout, task: Task, round_number: int, images: Tensor | None = None
) -> list[Tensor]:
    """The pairs (image, transition) of each optimizer step, int64 [I, 2]; pictures in any order.

    A step has `update.batch_size` of the `images`, however many are left out; the last, the rest.
    """
    count, transitions = rollout.step.shape
    order = torch.randperm(count, generator=seeds.generator(task.seed, "order", round_number))
    if images is not None:
        order = order[torch.isin(order, images)]
    return [
        torch.cartesian_prod(some, torch.arange(transitions))
        for some in order.split(task.update.batch_size)
    ]


def ratio_tolerance(model: Model, task: Task) -> float:
    """How far a ratio may be from 1 before a round's first update."""
    if model.dtype == torch.float32:
        return RATIO_TOLERANCE
    return task.update.clip_range / 5
