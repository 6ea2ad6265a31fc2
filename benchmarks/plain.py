"""A round of HERO written straightforwardly, to compare the engine with.

This is how published DDPO and HERO code goes about it: pictures are sampled eight at a time and all
of them before the first is shown; the embedding sees triplets that a DataLoader makes one item at a
time; the LoRA is trained two pictures at a time, one denoising step after the other, with gradients
accumulated over four such batches. Attention is not fused, tensors keep torch's default layout. The
network, its LoRA, the prompts and the VAE are the engine's (`Model.predict`, `Model.decode`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hero_engine.method.embedding import Embedder
from hero_engine.model.diffusion import Model
from hero_engine.run.task import Embedding, Task

SAMPLE_BATCH = 8
TRAIN_BATCH = 2
EMBEDDING_BATCH = 2048

Triplet = tuple[Tensor, Tensor, Tensor]


@dataclass
class Samples:
    """Whole trajectories on the model's device: latents [N, T + 1, C, H, W], log_probs [N, T]."""

    latents: Tensor
    log_probs: Tensor


def unfuse(model: Model) -> Model:
    """The model with attention as separate operations and in the default memory layout."""
    model.denoiser.set_attn_processor(AttnProcessor())
    for module in (model.denoiser, model.vae):
        module.to(memory_format=torch.contiguous_format)
    return model


class Sampler:
    """diffusers' DDIM scheduler, asked for the log-prob of the step it takes."""

    def __init__(self, scheduler_config: Any, task: Task) -> None:
        self.scheduler = DDIMScheduler.from_config(scheduler_config)
        self.scheduler.set_timesteps(task.sampling.steps)
        self.eta = task.sampling.eta

    def step(
        self, prediction: Tensor, position: int, z_t: Tensor, noise: Tensor, z_prev: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(z_prev, log-prob) of one step for a batch; with `z_prev` given, the log-prob of that."""
        t = self.scheduler.timesteps[position]
        before = t - self.scheduler.config.num_train_timesteps // len(self.scheduler.timesteps)
        mean = self.scheduler.step(
            prediction, t, z_t, eta=self.eta, variance_noise=torch.zeros_like(z_t)
        ).prev_sample
        sigma = self.eta * self.scheduler._get_variance(t, before).sqrt().to(z_t.device)
        if z_prev is None:
            z_prev = mean + sigma * noise
        density = -((z_prev - mean) ** 2) / (2 * sigma**2) - sigma.log()
        density = density - 0.5 * torch.log(torch.tensor(2 * torch.pi))
        return z_prev, density.mean(dim=(1, 2, 3))


@torch.no_grad()
def sample(model: Model, sampler: Sampler, task: Task, z_T: Tensor, noise: Tensor) -> Samples:
    """Pictures' trajectories from `z_T` [N, C, H, W] with the steps' `noise` [N, T, C, H, W]."""
    batches: list[Samples] = []
    for images in torch.arange(len(z_T)).split(SAMPLE_BATCH):
        z_t = z_T[images].to(model.device)
        prompts = (images % len(task.prompts)).to(model.device)
        latents, log_probs = [z_t], []
        for position in range(task.sampling.steps):
            i = torch.full((len(z_t),), position)
            prediction = model.predict(z_t, i, prompts, task.sampling.guidance_scale)
            drawn = noise[images, position].to(model.device)
            z_t, log_prob = sampler.step(prediction, position, z_t, drawn, None)
            latents.append(z_t)
            log_probs.append(log_prob)
        batches.append(Samples(torch.stack(latents, dim=1), torch.stack(log_probs, dim=1)))
    return Samples(
        torch.cat([batch.latents for batch in batches]),
        torch.cat([batch.log_probs for batch in batches]),
    )


@torch.no_grad()
def save(model: Model, z_0: Tensor, folder: Path) -> None:
    """Decodes the round and writes its pictures."""
    folder.mkdir(parents=True)
    for start in range(0, len(z_0), SAMPLE_BATCH):
        pictures = model.decode(z_0[start : start + SAMPLE_BATCH]).numpy()
        for offset, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{start + offset:03d}.png")


class Triplets(Dataset[Triplet]):
    """One item a picture: the best, a random good, a random bad."""

    def __init__(self, best: Tensor, good: Tensor, bad: Tensor) -> None:
        self.best, self.good, self.bad = best, good, bad

    def __len__(self) -> int:
        return len(self.good) + len(self.bad)

    def __getitem__(self, index: int) -> Triplet:
        good = self.good[np.random.randint(len(self.good))]
        bad = self.bad[np.random.randint(len(self.bad))]
        return self.best, good, bad


def triplet_criterion(margin: float) -> torch.nn.TripletMarginWithDistanceLoss:
    """Eq. 3 by torch's own loss."""
    return torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda a, b: (1 - F.cosine_similarity(a, b)) / 2, margin=margin
    )


def train_embedding(
    embedder: Embedder,
    best: Tensor,
    good: Tensor,
    bad: Tensor,
    settings: Embedding,
    device: torch.device,
) -> None:
    """All of `settings.steps`, one batch of freshly drawn triplets each."""
    optimizer = torch.optim.Adam(embedder.parameters(), lr=settings.learning_rate)
    loader = DataLoader(Triplets(best, good, bad), batch_size=EMBEDDING_BATCH, shuffle=True)
    criterion = triplet_criterion(settings.margin)
    for _ in range(settings.steps):
        for batch in loader:
            loss = criterion(*(embedder(z_0.to(device)) for z_0 in batch))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def train_lora(
    model: Model,
    sampler: Sampler,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    advantage: Tensor,
    order: Tensor,
    positions: Sequence[int],
    task: Task,
) -> list[float]:
    """One pass of DDPO; returns each optimizer step's loss.

    Args:
        advantage: [N]. order: the pictures in the order of training, [N].
        positions: the trained denoising steps, the same of every picture.
    """
    update = task.update
    losses: list[float] = []
    for group in order.split(update.batch_size):
        total = 0.0
        for images in group.split(TRAIN_BATCH):
            prompts = (images % len(task.prompts)).to(model.device)
            for position in positions:
                z_t, z_prev = (
                    samples.latents[images, position],
                    samples.latents[images, position + 1],
                )
                i = torch.full((len(images),), position)
                prediction = model.predict(z_t, i, prompts, task.sampling.guidance_scale)
                _, new = sampler.step(prediction, position, z_t, z_t, z_prev)
                ratio = (new - samples.log_probs[images, position]).exp()
                gain = advantage[images].to(model.device)
                clipped = ratio.clamp(1 - update.clip_range, 1 + update.clip_range)
                loss = torch.maximum(-gain * ratio, -gain * clipped).sum()
                loss = loss / (len(group) * len(positions))
                loss.backward()
                total += loss.item()
        torch.nn.utils.clip_grad_norm_(list(model.lora().values()), update.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses
