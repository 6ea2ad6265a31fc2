"""How an update of the LoRA is carried out, whatever it is that is learned.

An objective says what an update is: its items, their loss, its self-check. Optimizer steps,
micro-batches as large as memory allows, float16's scale, the gradient's norm and the sums over
processes are here, once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method import sharding
from hero_engine.method.lesson import Lesson
from hero_engine.model import memory
from hero_engine.model.diffusion import Model
from hero_engine.run.task import Task

OnStep = Callable[[int, int, Mapping[str, float]], None]
"""Called after an optimizer step with its number from 1, how many there are, and its metrics."""

FLOAT16_LOSS_SCALE = 2.0**14
"""With float16 weights: the loss of 40 transitions has gradients of 1e-6, which float16 rounds to
nothing, so that they are computed of a multiple and divided in float32."""


LearnsFrom = Literal["rewards", "examples"]


class Objective(Protocol):
    """What one update over a round is.

    Attributes:
        learns_from: rewards, each round; or, when the last round is labelled, the best pictures of
            all rounds.
        mean_metrics: of these an optimizer step has the mean over its items.
        max_metrics: of these it has the largest.
    """

    learns_from: ClassVar[LearnsFrom]
    mean_metrics: ClassVar[tuple[str, ...]]
    max_metrics: ClassVar[tuple[str, ...]]

    @classmethod
    def of(cls, model: Model, lesson: Lesson) -> Self:
        """The objective of a round; what it has to know of the model as it is before the update,
        it measures here.
        """

    def steps(self) -> Sequence[Tensor]:
        """The items of each optimizer step, int64 [I, ...]; an item's numbers are the objective's.

        The same in every process, and after an interruption.
        """

    def losses(self, model: Model, items: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of each of `items` [B, ...] under the model as it is, [B], whose mean is to be
        minimised; and of each every metric, [B], without a gradient.
        """

    def check(self, model: Model, metrics: Mapping[str, float]) -> Self | None:
        """The self-check, with the first step's metrics, before the weights change.

        Returns:
            None if all is well; or an objective to begin the step again with, and to check again.

        Raises:
            EngineError: what is to be learned does not belong to the model.
        """


def update(
    objective: Objective,
    model: Model,
    optimizer: torch.optim.Optimizer | None,
    task: Task,
    on_step: OnStep = lambda step, total, metrics: None,
) -> list[dict[str, float]]:
    """One pass over an objective's items.

    A collective where the engine has several processes: each adds the gradient of its share.

    Args:
        optimizer: None in a helper, which is given the weights after each step.

    Returns:
        The metrics of each optimizer step: loss, grad_norm, and the objective's.

    Raises:
        EngineError: the objective's self-check failed; a loss or its gradient is not finite; or
            there is not enough memory for one item.
    """
    parameters = list(model.lora().values())
    scale = FLOAT16_LOSS_SCALE if model.dtype == torch.float16 else 1.0
    steps = objective.steps()
    history: list[dict[str, float]] = []
    for number, items in enumerate(steps, start=1):
        metrics, scale = set_gradient(objective, model, items, scale)
        _check_finite(metrics["loss"])
        if number == 1 and (corrected := objective.check(model, metrics)) is not None:
            objective = corrected
            model.denoiser.zero_grad()
            metrics, scale = set_gradient(objective, model, items, scale)
            objective.check(model, metrics)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, task.update.max_grad_norm))
        _check_finite(norm)
        if optimizer is not None:
            optimizer.step()
        sharding.copy_from_main(parameters, model.accelerator)
        model.denoiser.zero_grad()
        history.append(metrics | {"grad_norm": norm})
        on_step(number, len(steps), history[-1])
    return history


def _check_finite(value: float) -> None:
    """Raises EngineError, with the way out, if a loss or the norm of its gradient is no number."""
    if not math.isfinite(value):
        raise EngineError(
            "training the LoRA: the loss or its gradient is not finite, and nothing of this "
            "step was learned; the weights' precision does not suffice for this model: write "
            "`precision: bf16` or `precision: fp32` in the run's task.yaml, or a smaller "
            "`update.learning_rate`, then continue the run"
        )


def in_passes(model: Model, items: Tensor) -> list[Tensor]:
    """This process's share of `items`, in the micro-batches that training makes of them."""
    own = sharding.share(items, model.accelerator)
    return passes(model, own)


def passes(model: Model, items: Tensor) -> list[Tensor]:
    """All of `items`, in micro-batches."""
    return list(items.split(model.sizes.micro_batch)) if len(items) else []


def until_it_fits(
    model: Model,
    items: Tensor,
    work: Callable[[], memory.T],
    split: Callable[[Model, Tensor], list[Tensor]] = in_passes,
) -> memory.T:
    """What `work` returns, which goes through `items` as `split`.

    Where memory runs out it is done again from the beginning, in smaller passes.

    Raises:
        EngineError: memory does not suffice for one item.
    """
    while True:
        largest = max((len(part) for part in split(model, items)), default=1)
        done = memory.attempt(work, model.sizes, "micro_batch", largest)
        if done is not None:
            return done
        model.denoiser.zero_grad()


def set_gradient(
    objective: Objective, model: Model, items: Tensor, scale: float = 1.0
) -> tuple[dict[str, float], float]:
    """Sets the gradient of the items' mean loss.

    With several processes, what each adds of its share is summed. A pass that overflowed float16
    leaves nothing behind: it is begun again, with a smaller multiple of the loss.

    Args:
        scale: the multiple of the loss that is computed with.

    Returns:
        The items' metrics, and the scale that did not overflow.
    """
    parameters = list(model.lora().values())
    while True:
        loss_scale = scale
        means, largest = until_it_fits(
            model,
            items,
            lambda: _accumulate(objective, model, items, loss_scale),  # noqa: B023
        )
        gradients = [p.grad for p in parameters if p.grad is not None]
        if scale == 1 or all(bool(gradient.isfinite().all()) for gradient in gradients):
            break
        model.denoiser.zero_grad()
        scale = max(1.0, scale / 16)
    for gradient in gradients:
        gradient /= scale
    sharding.sum_gradients(model.lora().values(), model.accelerator)
    means = sharding.combine(means, "sum", model.accelerator)
    return means | sharding.combine(largest, "max", model.accelerator), scale


def _accumulate(
    objective: Objective, model: Model, items: Tensor, scale: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Adds `scale` times the gradient of the items' mean loss, of this process's share.

    Returns:
        Its share of the metrics' means, and the largest.
    """
    means = dict.fromkeys(("loss", *objective.mean_metrics), 0.0)
    largest = dict.fromkeys(objective.max_metrics, -math.inf)
    for part in in_passes(model, items):
        losses, metrics = objective.losses(model, part)
        # Not the accelerator's: the user's configuration of it must not scale the loss.
        (losses.sum() * scale / len(items)).backward()
        metrics = {"loss": losses.detach(), **metrics}
        for name in means:
            means[name] += float(metrics[name].sum()) / len(items)
        for name, so_far in largest.items():
            values = metrics[name]
            largest[name] = float(torch.maximum(values.max(), values.new_tensor(so_far)))  # or NaN
    return means, largest
