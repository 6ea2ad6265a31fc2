"""DiffusionNFT: an update on clean latents, through the forward process (Zheng et al. 2025).

It needs neither transitions nor log-probs. Of the published two-branch loss without its adaptive
weights, what depends on the weights is (tests/test_objectives.py shows it in float64)

    2 c <v_old - target, v - v_old> + beta |v - v_old|^2,    c = 2 r - 1 in [-1, 1],

with r the picture's optimality: a picture with c = 1 draws the prediction towards its own target,
one with c = -1 away from it, and beta holds it near the policy that drew the round. As in their
code, kl_weight |v - v_base|^2 can be added, which holds it near the pretrained model; here, as far
as a round's labels leave it to itself. Measured in the space of what the network predicts, epsilon
or a velocity, since in that of z_0, where the published form is, epsilon's errors at the noisy
times weigh without bound.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method.lesson import Lesson
from hero_engine.method.rollout import prompts_of
from hero_engine.method.update import LearnsFrom, in_passes, until_it_fits
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.schedule import noised, target

DRIFT_TOLERANCE = {torch.float32: 1e-8, torch.bfloat16: 1e-3, torch.float16: 1e-4}
"""Of mean |v - v_old|^2 before the first step, where it is 0 but for rounding; predictions are
about 1."""


def forward_loss(
    prediction: Tensor, old: Tensor, target: Tensor, optimality: Tensor, beta: float
) -> Tensor:
    """The loss above of each of B draws, [B]; the tensors [B, C, H, W], `optimality` c [B]."""
    difference, error = prediction - old, old - target
    weight = optimality.view(-1, *[1] * (prediction.ndim - 1))
    return (2 * weight * error * difference + beta * difference**2).flatten(1).mean(1)


def balanced(advantage: Tensor) -> Tensor:
    """A round's advantages with the heavier side, good or bad, scaled to the other's, [N].

    Advantages sum to 0, but clipped ones need not: a few bad pictures among many good ones are cut,
    and what is left over draws the model towards its own pictures, whatever is good about them.
    They were sampled with guidance, so that each round would sharpen them again, until all are
    alike (docs/method.md, Over-training).
    """
    sides = advantage.clamp(min=0.0), advantage.clamp(max=0.0)
    weights = [side.abs().sum() for side in sides]
    least = min(weights)
    return sum(
        (side * (least / weight) for side, weight in zip(sides, weights, strict=True) if weight),
        torch.zeros_like(advantage),
    )


FULL_WEIGHT = 1 / 2
"""Mean |advantage|, balanced, of a round that is worth all steps: what was tried is in
docs/evidence.md, "The search for hero+"."""


def worth(balanced_advantage: Tensor) -> float:
    """How much a round has to teach, in [0, 1], by the advantages [N] that its labels leave.

    It takes that share of its steps: Adam goes as far on a small gradient as on a large one, so
    that a round in which nearly all is good would move the model as far as any other, by what
    little tells those pictures apart. By the rest of it the pretrained model holds: held from the
    first round on, a model learns slower; held by nothing, it goes on to lose variety.
    """
    return min(1.0, balanced_advantage.abs().mean().item() / FULL_WEIGHT)


@dataclass(frozen=True)
class NFT:
    """The objective: at most `update.optimizer_steps` steps of `update.batch_size` draws.

    An item is the number of a draw: a picture, a time and noise. A picture's c is its advantage
    over `update.advantage_clip`, `balanced` over the round. Metrics: drift, mean |v - v_old|^2;
    old_error, mean |v_old - target|^2.

    Attributes:
        optimality: c of the round's pictures, [N].
        image, position: each draw's picture and place in the schedule, int64 [D].
        epsilon: its noise, [D, C, H, W].
        old: what the policy that drew the round predicts, [D, C, H, W]; only of this process's
            draws, if there are several.
        base: the same of the pretrained model; None where it holds nothing.
        kl_weight: how strongly it holds: `update.kl_weight`, less what the round is worth.
    """

    learns_from: ClassVar[LearnsFrom] = "rewards"
    mean_metrics: ClassVar[tuple[str, ...]] = ("drift", "old_error")
    max_metrics: ClassVar[tuple[str, ...]] = ()

    lesson: Lesson
    optimality: Tensor
    image: Tensor
    position: Tensor
    epsilon: Tensor
    old: Tensor
    base: Tensor | None = None
    kl_weight: float = 0.0

    @classmethod
    def of(cls, model: Model, lesson: Lesson) -> "NFT":
        """Draws pictures, times and noise, and notes what the model predicts before it learns, and
        what the pretrained one does if that is to hold it.

        For as many steps as the round is `worth`; every picture is drawn as often as any other, but
        for one.
        """
        task = lesson.task
        advantage = balanced(lesson.advantage)
        taught = worth(advantage[lesson.images])
        steps = max(1, round(taught * task.update.optimizer_steps))
        draws = steps * task.update.batch_size
        generator = seeds.generator(task.seed, "forward", lesson.round_number)
        turns = -(-draws // len(lesson.images))
        image = torch.cat(
            [
                lesson.images[torch.randperm(len(lesson.images), generator=generator)]
                for _ in range(turns)
            ]
        )[:draws]
        times = max(1, round(task.update.noisy_share * model.schedule.steps))
        position = torch.randint(times, (draws,), generator=generator)
        epsilon = torch.randn((draws, *model.latent_shape), generator=generator)
        optimality = advantage / task.update.advantage_clip
        drawn = cls(lesson, optimality, image, position, epsilon, torch.zeros_like(epsilon))
        kl_weight = (1 - taught) * task.update.kl_weight
        base = drawn._predicted_before(model, pretrained=True) if kl_weight else None
        return replace(drawn, old=drawn._predicted_before(model), base=base, kl_weight=kl_weight)

    @torch.no_grad()
    def _predicted_before(self, model: Model, pretrained: bool = False) -> Tensor:
        before = torch.zeros_like(self.epsilon)

        def measure(items: Tensor) -> Tensor:
            with model.adapter_off() if pretrained else nullcontext():
                for part in in_passes(model, items):
                    before[part] = self._prediction(model, part)[0].cpu()
            return before

        for items in self.steps():
            until_it_fits(model, items, lambda: measure(items))  # noqa: B023
        return before

    def steps(self) -> list[Tensor]:
        return list(torch.arange(len(self.image)).split(self.lesson.task.update.batch_size))

    def losses(self, model: Model, items: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        update = self.lesson.task.update
        prediction, target = self._prediction(model, items)
        old = self.old[items].to(prediction.device)
        optimality = self.optimality[self.image[items]].to(old.device)
        losses = forward_loss(prediction, old, target, optimality, update.beta)
        if self.base is not None:
            away = prediction - self.base[items].to(prediction.device)
            losses = losses + self.kl_weight * away.pow(2).flatten(1).mean(1)
        return losses, {
            "drift": (prediction.detach() - old).pow(2).flatten(1).mean(1),
            "old_error": (old - target).pow(2).flatten(1).mean(1),
        }

    def _prediction(self, model: Model, items: Tensor) -> tuple[Tensor, Tensor]:
        """What the model as it is predicts for the draws `items` [B], and what is right, both
        [B, C, H, W].
        """
        task, images = self.lesson.task, self.image[items]
        z_0, epsilon, i, prompts = (
            values.to(model.device)
            for values in (
                self.lesson.rollout.z_0[images],
                self.epsilon[items],
                self.position[items],
                prompts_of(images, task),
            )
        )
        level = model.schedule.levels.at(i, z_0)
        scale = task.sampling.guidance_scale if task.update.guidance else 1.0
        prediction = model.predict(noised(z_0, epsilon, level), i, prompts, scale)
        return prediction, target(model.schedule.prediction_type, z_0, epsilon, level)

    def check(self, model: Model, metrics: Mapping[str, float]) -> None:
        """Before the first step the model must predict what it predicted a moment ago.

        Raises:
            EngineError: it does not.
        """
        tolerance = DRIFT_TOLERANCE[model.dtype] * max(1.0, metrics["old_error"])
        if metrics["drift"] > tolerance:
            raise EngineError(
                "self-check: before the first update the model's predictions are off from its own "
                f"by {metrics['drift']:.1e} (mean square) in two passes over the same latents, "
                f"expected at most {tolerance:.0e}: this machine's arithmetic is not stable "
                "enough; try without --compile, or write `precision: fp32` in the run's task.yaml"
            )
