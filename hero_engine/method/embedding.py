"""E_theta and g_theta: a representation of clean latents, learned from labels (Sec. 4.2.1).

The round is encoded once a step and every (good, bad) pair of it is a triplet, so the loss is the
expectation of Eq. 3 itself rather than a sample of it.
"""

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hero_engine.errors import EngineError
from hero_engine.run.task import Embedding

FEATURE_SIZE = 8
"""Height and width of the convolutions' output (App. D.2)."""


class EmbeddingNetwork(nn.Module):
    """E_theta: latents [N, C, H, W] of any size to representations [N, width] (App. D.2)."""

    def __init__(self, latent_shape: tuple[int, int, int], settings: Embedding) -> None:
        super().__init__()
        channels, height, width = latent_shape
        layers: list[nn.Module] = []
        for out_channels in settings.channels:
            # Halve only while the result is at least 8x8, so that small latents keep their detail.
            stride = 2 if min(height, width) // 2 >= FEATURE_SIZE else 1
            layers += [nn.Conv2d(channels, out_channels, 3, stride, padding=1), nn.ReLU()]
            channels = out_channels
            height, width = math.ceil(height / stride), math.ceil(width / stride)
        self.convolutions = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(FEATURE_SIZE))
        self.linear = nn.Linear(channels * FEATURE_SIZE**2, settings.width)

    def forward(self, z_0: Tensor) -> Tensor:
        return self.linear(self.convolutions(z_0).flatten(1))  # type: ignore[no-any-return]


class Embedder(nn.Module):
    """E_theta followed by its head g_theta, which only the triplet loss uses."""

    def __init__(self, latent_shape: tuple[int, int, int], settings: Embedding) -> None:
        super().__init__()
        self.network = EmbeddingNetwork(latent_shape, settings)
        widths = [settings.width, *settings.head]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.ReLU(), nn.Linear(before, after)]
        self.head = nn.Sequential(*layers[1:])

    def forward(self, z_0: Tensor) -> Tensor:
        """g_theta(E_theta(z_0)): [N, C, H, W] to [N, head[-1]]."""
        return self.head(self.network(z_0))  # type: ignore[no-any-return]


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own initial distribution for convolutions and linear layers, from `generator`."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            if layer.bias is not None:
                bound = 1 / math.sqrt(layer.weight[0].numel())
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def triplet_loss(best: Tensor, good: Tensor, bad: Tensor, margin: float) -> Tensor:
    """Eq. 3 over every pair of `good` [G, D] and `bad` [B, D] with the anchor `best` [D].

    S is used as the distance (1 - cos) / 2, in [0, 1], for which the equation's sign is right.
    """
    to_good = (1 - F.cosine_similarity(good, best[None])) / 2
    to_bad = (1 - F.cosine_similarity(bad, best[None])) / 2
    return F.relu(to_good[:, None] - to_bad[None, :] + margin).mean()


def train(
    embedder: Embedder,
    optimizer: torch.optim.Optimizer,
    best: Tensor,
    good: Tensor,
    bad: Tensor,
    settings: Embedding,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> float:
    """Trains on one set of latents; stops early after `settings.patience` steps of zero loss.

    A zero loss has an exactly zero gradient: the early stop leaves out only Adam's coasting.

    Args:
        best: the anchor's z_0, [C, H, W]; with it among `good`, a round whose only good picture is
            the best still pushes the bad ones away.
        good, bad: clean latents [G, C, H, W] and [B, C, H, W], at least one each.
        on_step: called with the step's number, from 0, and its loss.

    Returns:
        The last step's loss.

    Raises:
        EngineError: a loss is not finite.
    """
    latents = torch.cat([best[None], good, bad])
    zero_steps, value = 0, math.nan
    for step in range(settings.steps):
        embedded = embedder(latents)
        anchor, goods, bads = embedded.split([1, len(good), len(bad)])
        loss = triplet_loss(anchor[0], goods, bads, settings.margin)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise EngineError(
                f"the embedding's loss is {value} at step {step}: its training has diverged. Lower "
                f"`embedding.learning_rate` (it is {settings.learning_rate:g}) in the run's "
                "task.yaml and continue the run; if that does not help, its latents are not finite"
            )
        on_step(step, value)
        zero_steps = zero_steps + 1 if value == 0 else 0
        if zero_steps > settings.patience:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return value
