"""Sampling a batch, keeping what training will need of each trajectory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.memory import in_chunks
from hero_engine.model.schedule import log_prob, transition
from hero_engine.model.tensorfile import save_tensors
from hero_engine.run.task import Task

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
        save_tensors(tensors, path)

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

    The noise of picture n's steps comes from (seed, round, n), so chunks differ only in rounding.

    Raises:
        EngineError: there is not enough memory for one picture.
    """
    chunks = []
    for images in chunks_of(len(z_T), model.sizes.chunk):
        chunk, pictures = sample_chunk(model, task, z_T, round_number, images)
        on_chunk(images.tolist(), chunk.z_0, pictures)
        chunks.append(chunk)
    return concatenate(chunks)


def sample_chunk(
    model: Model, task: Task, z_T: Tensor, round_number: int, images: Tensor
) -> tuple[Rollout, Tensor]:
    """Trajectories and pictures, uint8 [B, H, W, 3], of the numbers `images` [B] of a round.

    In parts, where memory does not suffice for all at once.

    Raises:
        EngineError: it does not suffice for one picture.
    """

    def work(part: Tensor) -> tuple[Rollout, Tensor]:
        return _sample_together(model, task, z_T, round_number, part)

    parts = [drawn for _, drawn in in_chunks([images], model.sizes, work)]
    return concatenate([part for part, _ in parts]), torch.cat([drawn for _, drawn in parts])


@torch.no_grad()
def _sample_together(
    model: Model, task: Task, z_T: Tensor, round_number: int, images: Tensor
) -> tuple[Rollout, Tensor]:
    update = task.update
    trainable = model.schedule.trainable()
    chosen = torch.tensor(
        [
            trained_steps(
                update.steps, update.k, trainable,
                seeds.generator(task.seed, "steps", round_number, image),
            )
            for image in images.tolist()
        ],
        dtype=torch.int64,
    )  # fmt: skip
    epsilon = seeds.normal(
        task.seed, "eta", round_number, images.tolist(),
        (model.schedule.steps, *model.latent_shape),
    )  # fmt: skip
    trajectory, log_probs = denoise(model, task, z_T[images], epsilon, images)
    rows = torch.arange(len(images), device=trajectory.device)[:, None]
    kept = chosen.to(trajectory.device)
    chunk = Rollout(
        z_T=z_T[images],
        z_0=trajectory[:, -1].cpu(),
        z_t=trajectory[rows, kept].cpu(),
        z_prev=trajectory[rows, kept + 1].cpu(),
        log_prob=log_probs[rows, kept].cpu(),
        step=chosen,
    )
    return chunk, model.decode(trajectory[:, -1])


def concatenate(chunks: Sequence[Rollout]) -> Rollout:
    """The rollout of a batch, from its chunks in order."""
    return Rollout(
        **{f.name: torch.cat([getattr(chunk, f.name) for chunk in chunks]) for f in fields(Rollout)}
    )


@torch.no_grad()
def sample_pictures(
    model: Model, task: Task, z_T: Tensor, images: Tensor, purpose: seeds.Purpose
) -> Tensor:
    """Pictures outside the rounds, uint8 [B, H, W, 3] on the CPU, from `z_T` [B, C, h, w].

    Number 0 of `purpose` draws initial noise; the steps' noise here is its number 1.
    """
    return _outside_the_rounds(model, task, z_T, images, purpose, model.decode)


@torch.no_grad()
def sample_latents(
    model: Model, task: Task, z_T: Tensor, images: Tensor, purpose: seeds.Purpose
) -> Tensor:
    """`sample_pictures` before they are decoded: z_0 [B, C, h, w], float32 on the CPU."""
    return _outside_the_rounds(model, task, z_T, images, purpose, Tensor.cpu)


def _outside_the_rounds(
    model: Model,
    task: Task,
    z_T: Tensor,
    images: Tensor,
    purpose: seeds.Purpose,
    finish: Callable[[Tensor], Tensor],
) -> Tensor:
    def work(positions: Tensor) -> Tensor:
        numbers = images[positions]
        epsilon = seeds.normal(
            task.seed, purpose, 1, numbers.tolist(), (model.schedule.steps, *model.latent_shape)
        )
        trajectory, _ = denoise(model, task, z_T[positions], epsilon, numbers)
        return finish(trajectory[:, -1])

    positions = torch.arange(len(images)).split(model.sizes.chunk)
    return torch.cat([drawn for _, drawn in in_chunks(positions, model.sizes, work)])


def denoise(
    model: Model,
    task: Task,
    z_T: Tensor,
    epsilon: Tensor,
    images: Tensor,
) -> tuple[Tensor, Tensor]:
    """Whole trajectories of one chunk; between its steps nothing waits for the accelerator.

    Args:
        z_T: [B, C, H, W]. epsilon: the steps' noise, [B, T, C, H, W]. images: their numbers, [B].

    Returns:
        The latents z_T ... z_0, [B, T + 1, C, H, W], and the transitions' log-probs [B, T], both
        float32 on the model's device; a step without density has log-prob 0.
    """
    device, trainable = model.device, set(model.schedule.trainable())
    prompts = prompts_of(images, task).to(device)
    z_t, epsilon = z_T.to(device), epsilon.to(device)
    steps = torch.arange(model.schedule.steps, device=device)
    trajectory, log_probs = [z_t], []
    for position in range(model.schedule.steps):
        i = steps[position].expand(len(z_t))
        prediction = model.predict(z_t, i, prompts, task.sampling.guidance_scale)
        mean, sigma = transition(model.schedule, z_t, prediction, i)
        z_t = mean + sigma * epsilon[:, position]
        log_probs.append(
            log_prob(z_t, mean, sigma)
            if position in trainable
            else torch.zeros(len(z_t), device=device)
        )
        trajectory.append(z_t)
    return torch.stack(trajectory, dim=1), torch.stack(log_probs, dim=1)
