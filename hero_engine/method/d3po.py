"""D3PO: labels as preferences, a good picture over a bad one (Yang et al. 2024b).

Of a pair and a time: -log sigmoid(beta log r_good - beta log r_bad), with r the ratio of the
policy's to the pretrained model's density of the transition, clipped to 1 +- eps; densities are
means over the latent's elements, as everywhere here and in D3PO's code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method.ddpo import log_probs, measured_log_probs, ratio_tolerance
from hero_engine.method.lesson import Lesson
from hero_engine.method.rollout import prompts_of
from hero_engine.method.update import LearnsFrom, passes
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model


def preference_loss(good: Tensor, bad: Tensor, beta: float, clip_range: float) -> Tensor:
    """The loss above of B pairs, [B], of the log-ratios `good` and `bad` [B]."""
    low, high = 1 - clip_range, 1 + clip_range
    gap = good.exp().clamp(low, high).log() - bad.exp().clamp(low, high).log()
    return -F.logsigmoid(beta * gap)


@dataclass(frozen=True)
class D3PO:
    """The objective: for `update.batch_size` pairs at a time, a step for each of the K times.

    An item is (good picture, bad picture, transition). A picture whose advantage is positive is
    preferred to one of the same prompt whose is negative; each has about as many pairs as any
    other of its kind. Metrics: clip_fraction, of the ratios outside the clip; preference, how often
    the policy has moved towards the good one of a pair; ratio_error, as DDPO's.

    Attributes:
        pairs: (good, bad), int64 [P, 2].
        reference: the transitions' log-probs under the pretrained model, [N, K], of the pictures
            in pairs.
    """

    learns_from: ClassVar[LearnsFrom] = "rewards"
    mean_metrics: ClassVar[tuple[str, ...]] = ("clip_fraction", "preference")
    max_metrics: ClassVar[tuple[str, ...]] = ("ratio_error",)

    lesson: Lesson
    pairs: Tensor
    reference: Tensor

    @classmethod
    def of(cls, model: Model, lesson: Lesson) -> "D3PO":
        """Makes the pairs, and measures the pretrained model's log-probs."""
        pairs = make_pairs(lesson)
        transitions = torch.arange(lesson.rollout.log_prob.shape[1])
        groups = torch.cartesian_prod(pairs.unique(), transitions).split(model.sizes.micro_batch)
        with model.adapter_off():
            # All of them in every process: a picture is in several pairs, and those are shared.
            reference = measured_log_probs(model, lesson.rollout, groups, lesson.task, passes)
        return cls(lesson, pairs, reference)

    def steps(self) -> list[Tensor]:
        task = self.lesson.task
        generator = seeds.generator(task.seed, "times", self.lesson.round_number)
        count = self.reference.shape[1]
        return [
            torch.cat([pairs, time.expand(len(pairs), 1)], dim=1)
            for pairs in self.pairs.split(task.update.batch_size)
            for time in torch.randperm(count, generator=generator)
        ]

    def losses(self, model: Model, items: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        task, rollout = self.lesson.task, self.lesson.rollout
        good, bad, times = items.unbind(1)
        both = torch.stack([torch.cat([good, bad]), torch.cat([times, times])], dim=1)
        images, steps = both.unbind(1)
        now = log_probs(model, rollout, both, task)
        old, reference = (
            values[images, steps].to(now.device) for values in (rollout.log_prob, self.reference)
        )
        of_good, of_bad = (now - reference).chunk(2)
        losses = preference_loss(of_good, of_bad, task.update.beta, task.update.clip_range)
        with torch.no_grad():
            off = ((now - reference).exp() - 1).abs() > task.update.clip_range
            error = ((now - old).exp() - 1).abs()
            return losses, {
                "clip_fraction": off.float().view(2, -1).mean(0),
                "preference": (of_good > of_bad).float(),
                "ratio_error": error.view(2, -1).amax(0),
            }

    def check(self, model: Model, metrics: Mapping[str, float]) -> None:
        """Before the first step the policy is the one that drew the round.

        Not where it is trained without guidance, and so is another than the one that was sampled.

        Raises:
            EngineError: its densities are others.
        """
        tolerance = ratio_tolerance(model, self.lesson.task)
        if self.lesson.task.update.guidance and metrics["ratio_error"] > tolerance:
            raise EngineError(
                "self-check: before the first update a ratio is off from 1 by "
                f"{metrics['ratio_error']:.1e}, expected at most {tolerance:.0e}; the rollout does "
                "not belong to this model. Was a file of the run folder exchanged?"
            )


def make_pairs(lesson: Lesson) -> Tensor:
    """(good, bad) pictures of one prompt each, int64 [P, 2], in any order.

    Of each prompt as many as the larger of the two kinds has pictures; the smaller goes round.
    """
    task = lesson.task
    generator = seeds.generator(task.seed, "pairs", lesson.round_number)
    prompts, found = prompts_of(lesson.images, task), []
    for prompt in prompts.unique():
        images = lesson.images[prompts == prompt]
        kinds = [images[lesson.advantage[images] > 0], images[lesson.advantage[images] < 0]]
        good, bad = (kind[torch.randperm(len(kind), generator=generator)] for kind in kinds)
        if len(good) and len(bad):
            turns = torch.arange(max(len(good), len(bad)))
            found.append(torch.stack([good[turns % len(good)], bad[turns % len(bad)]], dim=1))
    if not found:
        return torch.zeros((0, 2), dtype=torch.int64)
    pairs = torch.cat(found)
    return pairs[torch.randperm(len(pairs), generator=generator)]
