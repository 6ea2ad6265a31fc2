"""The embedding phase against a per-item triplet loader: `python benchmarks/embedding.py`.

Both train the paper-size embedding on the same 64 latents of 4x64x64, with the same learning rate
and seed, in turns within one process. The loader is what published code does: a data set whose
items are (best, a random good, a random bad), so every step encodes three latents an item. Ours
encodes each latent once a step and takes every pair as a triplet.

The latents are drawings of black-cat at 256x256 through the embedded model's VAE (factor 4), with
their labels by construction.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hero_engine import embedding
from hero_engine.cartoons.drawing import draw
from hero_engine.cartoons.pipeline import WEIGHTS
from hero_engine.embedding import Embedder
from hero_engine.task import Embedding

Triplet = tuple[Tensor, Tensor, Tensor]


@torch.no_grad()
def labelled_latents(count: int) -> tuple[Tensor, Tensor]:
    """z_0 [count, 4, 64, 64] and whether each is good, [count]."""
    vae = AutoencoderKL.from_pretrained(WEIGHTS, subfolder="vae", dtype=torch.float32)
    rng = np.random.default_rng(0)
    drawings = [draw("black-cat", rng) for _ in range(count)]
    pictures = np.stack([np.asarray(d.image.resize((256, 256))) for d in drawings])
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    z_0 = torch.cat([vae.encode(part).latent_dist.mean for part in images.split(8)])
    return z_0 * vae.config.scaling_factor, torch.tensor([d.right for d in drawings])


class Triplets(Dataset[Triplet]):
    """One item a latent: the best, a random good, a random bad."""

    def __init__(self, best: Tensor, good: Tensor, bad: Tensor) -> None:
        self.best, self.good, self.bad = best, good, bad

    def __len__(self) -> int:
        return len(self.good) + len(self.bad)

    def __getitem__(self, index: int) -> Triplet:
        good = self.good[np.random.randint(len(self.good))]
        bad = self.bad[np.random.randint(len(self.bad))]
        return self.best, good, bad


def train_with_loader(embedder: Embedder, good: Tensor, bad: Tensor, settings: Embedding) -> float:
    """The straightforward way; returns the last loss."""
    optimizer = torch.optim.Adam(embedder.parameters(), lr=settings.learning_rate)
    loader = DataLoader(Triplets(good[0], good, bad), batch_size=2048, shuffle=True)
    criterion = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda a, b: (1 - F.cosine_similarity(a, b)) / 2, margin=settings.margin
    )
    value = float("nan")
    for _ in range(settings.steps):
        for batch in loader:
            loss = criterion(*(embedder(z_0) for z_0 in batch))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            value = float(loss.detach())
    return value


def train_vectorised(embedder: Embedder, good: Tensor, bad: Tensor, settings: Embedding) -> float:
    """Ours; returns the last loss."""
    optimizer = torch.optim.Adam(embedder.parameters(), lr=settings.learning_rate, fused=True)
    return embedding.train(embedder, optimizer, good[0], good, bad, settings)


def seconds(train: Callable[..., float], *arguments: object) -> tuple[float, float]:
    """(wall seconds, last loss) of one training of a fresh embedder."""
    embedder = Embedder((4, 64, 64), Embedding())
    embedding.initialise(embedder, torch.Generator().manual_seed(0))
    started = time.perf_counter()
    loss = train(embedder, *arguments)
    return time.perf_counter() - started, loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20, help="of the comparison at equal steps")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    z_0, is_good = labelled_latents(64)
    good, bad = z_0[is_good], z_0[~is_good]
    equal = Embedding(steps=arguments.steps, patience=10**6)
    ratios = []
    for _ in range(arguments.repeats):
        loader, _ = seconds(train_with_loader, good, bad, equal)
        ours, _ = seconds(train_vectorised, good, bad, equal)
        ratios.append(loader / ours)
        print(
            f"{arguments.steps} steps: loader {loader:.2f} s, vectorised {ours:.2f} s, "
            f"ratio {ratios[-1]:.2f}",
            flush=True,
        )
    a_step = loader / arguments.steps
    full = Embedding()
    ours, loss = seconds(train_vectorised, good, bad, full)
    print(f"median ratio at equal steps: {sorted(ratios)[len(ratios) // 2]:.2f}")
    print(
        f"a round of {full.steps} steps: loader {a_step * full.steps:.0f} s (from {a_step:.3f} s a "
        f"step), vectorised with early stopping {ours:.1f} s (last loss {loss:.3g}), "
        f"ratio {a_step * full.steps / ours:.1f}"
    )


if __name__ == "__main__":
    main()
