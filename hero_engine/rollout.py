"""Sampling a batch with DDIM, keeping what training will need of each trajectory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hero_engine import ddim, seeds
from hero_engine.errors import EngineError
from hero_engine.models import Model
from hero_engine.task import Task

OnChunk = Callable[[Sequence[int], Tensor, Tensor], None]
"""Called with the numbers of the pictures just decoded, their z_0 [B, C, h, w], and the pictures,
uint8 [B, H, W, 3]."""


@dataclass(frozen=True)
class Rollout:
    """A batch of N trajectories, float32 on the CPU; K transitions of each can be trained.

    Attributes:
        z_T: [N, C, H, W]. z_0: [N, C, H, W].
        z_t, z_prev: a transition's two ends, [N, K, C, H, W].
        log_prob: log p(z_prev | z_t, c) under the model that drew it, [N, K].
        step: the position of each transition in the schedule, [N, K], int64.
    """

    z_T: Tensor
    z_0: Tensor
    z_t: Tensor
    z_prev: Tensor
    log_prob: Tensor
    step: Tensor

    def save(self, path: Path) -> None:
        tensors = {field.name: getattr(self, field.name).contiguous() for field in fields(self)}
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> "Rollout":
        """Reads what `save` wrote.

        Raises:
            EngineError: the file is missing or damaged.
        """
        try:
            return cls(**load_file(path))
        except (OSError, SafetensorError, TypeError) as error:
            raise EngineError(
                f"{path}: the round's trajectories cannot be read: {error}; restore the folder "
                "from a copy, or start again and replay the labels (`hero-tui labels`)"
            ) from error


def trained_steps(
    which: str, k: int, trainable: Sequence[int], generator: torch.Generator
) -> list[int]:
    """Positions in the schedule of a picture's trained transitions, ascending.

    Args:
        which: last (Eq. 8), first (the noisiest), spread (evenly over all), random (drawn from
            `generator`), or all.
        trainable: the positions that have a density (`Schedule.trainable`).
    """
    k = min(k, len(trainable))
    match which:
        case "last":
            return list(trainable[len(trainable) - k :])
        case "first":
            return list(trainable[:k])
        case "spread":
            return [trainable[int((j + 0.5) * len(trainable) / k)] for j in range(k)]
        case "random":
            drawn = torch.randperm(len(trainable), generator=generator)[:k]
            return sorted(trainable[j] for j in drawn.tolist())
        case "all":
            return list(trainable)
    raise ValueError(f"update.steps is {which}")


def prompts_of(images: Tensor, task: Task) -> Tensor:
    """Which of the task's P prompts the pictures of these numbers have: n mod P."""
    return images % len(task.prompts)


def chunks_of(count: int, size: int) -> list[Tensor]:
    """The numbers 0 to count - 1 in chunks of `size`, after a first one of a quarter of that.

    Large chunks are quick, but somebody waits for the first picture.
    """
    images, first = torch.arange(count), max(1, size // 4)
    return [chunk for chunk in (images[:first], *images[first:].split(size)) if len(chunk)]


@torch.no_grad()
def sample(
    model: Model,
    task: Task,
    z_T: Tensor,
    round_number: int,
    on_chunk: OnChunk,
) -> Rollout:
    """A round's pictures from the initial noises `z_T` [N, C, H, W], in chunks.

    The noise of its steps comes from (seed, round, n), so chunks
    differ only in rounding.
    """
    update = task.update
    trainable = model.schedule.trainable()
    steps = torch.tensor(
        [
            trained_steps(
                update.steps, update.k, trainable,
                seeds.generator(task.seed, "steps", round_number, image),
            )
            for image in range(len(z_T))
        ]
    )  # fmt: skip
    chunks: list[Rollout] = []
    for images in chunks_of(len(z_T), task.sampling.chunk_size):
        epsilon = seeds.normal(
            task.seed, "eta", round_number, images.tolist(),
            (model.schedule.steps, *model.latent_shape),
        )  # fmt: skip
        trajectory, log_probs = denoise(model, task, z_T[images], epsilon, images)
        chosen = steps[images]
        rows = torch.arange(len(images))[:, None]
        chunk = Rollout(
            z_T=z_T[images],
            z_0=trajectory[:, -1],
            z_t=trajectory[rows, chosen],
            z_prev=trajectory[rows, chosen + 1],
            log_prob=log_probs[rows, chosen],
            step=chosen,
        )
        on_chunk(images.tolist(), chunk.z_0, model.decode(chunk.z_0.to(model.device)))
        chunks.append(chunk)
    return Rollout(
        **{f.name: torch.cat([getattr(chunk, f.name) for chunk in chunks]) for f in fields(Rollout)}
    )


@torch.no_grad()
def draw(model: Model, task: Task, z_T: Tensor, images: Tensor, purpose: seeds.Purpose) -> Tensor:
    """Pictures outside the rounds, uint8 [B, H, W, 3] on the CPU, from `z_T` [B, C, h, w].

    Number 0 of `purpose` draws initial noise; the steps' noise here is its number 1.
    """
    epsilon = seeds.normal(
        task.seed, purpose, 1, images.tolist(), (model.schedule.steps, *model.latent_shape)
    )
    trajectory, _ = denoise(model, task, z_T, epsilon, images)
    return model.decode(trajectory[:, -1].to(model.device))


def denoise(
    model: Model,
    task: Task,
    z_T: Tensor,
    epsilon: Tensor,
    images: Tensor,
) -> tuple[Tensor, Tensor]:
    """Whole trajectories of one chunk.

    Args:
        z_T: [B, C, H, W]. epsilon: the steps' noise, [B, T, C, H, W]. images: their numbers, [B].

    Returns:
        The latents z_T ... z_0, [B, T + 1, C, H, W], and the transitions' log-probs [B, T], both
        float32 on the CPU; a step without density has log-prob 0.
    """
    prompts = prompts_of(images, task).to(model.device)
    z_t = z_T.to(model.device)
    trajectory, log_probs = [z_T], []
    for position in range(model.schedule.steps):
        i = torch.full((len(z_t),), position)
        prediction = model.predict(z_t, i, prompts, task.sampling.guidance_scale)
        mean, sigma = ddim.transition(model.schedule, z_t, prediction, i)
        z_t = mean + sigma * epsilon[:, position].to(model.device)
        has_density = model.schedule.sigma[position] > 0
        log_probs.append(
            ddim.log_prob(z_t, mean, sigma)
            if has_density
            else torch.zeros(len(z_t), device=z_t.device)
        )
        trajectory.append(z_t.cpu())
    return torch.stack(trajectory, dim=1), torch.stack(log_probs, dim=1).cpu()
