"""Figures about a batch of pictures, by name."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hero_engine.method.batch import Batch

BLOCK = 1 << 14
"""Values of each picture that are multiplied together: 8 MB as float64 for 64 pictures."""


def diversity(pictures: NDArray[np.uint8]) -> float:
    """Mean root-mean-square pixel difference over pairs, in [0, 1]; 0 for fewer than two pictures.

    In-batch diversity as in App. F, with pixels in place of CLIP embeddings, which need weights.

    Args:
        pictures: [N, H, W, 3].
    """
    count = len(pictures)
    if count < 2:
        return 0.0
    flat = pictures.reshape(count, -1)
    # Whole numbers below 2^53: the sums are exact, in whatever order.
    products = np.zeros((count, count))
    for first in range(0, flat.shape[1], BLOCK):
        block = flat[:, first : first + BLOCK].astype(np.float64)
        products += block @ block.T
    squares = products.diagonal()
    distances = squares[:, None] + squares[None, :] - 2 * products
    pairs = np.triu_indices(count, 1)
    return float(np.sqrt(distances[pairs] / flat.shape[1]).mean() / 255)


def cosine_diversity(features: NDArray[np.float64]) -> float:
    """Mean over pairs of 1 - cosine, as App. F has it; 0 for fewer than two pictures.

    Args:
        features: [N, D], each of length 1.
    """
    count = len(features)
    if count < 2:
        return 0.0
    # Over ordered pairs, the cosines sum to the square of the sum's length, less the diagonal's.
    total = features.sum(0)
    return float(1 - (total @ total - count) / (count * (count - 1)))


def latent_contrast(z_0: Tensor) -> float:
    """Mean over pictures and channels of the standard deviation over a latent's places.

    A model that has drifted off what it was pretrained on draws washed-out or glaring pictures; it
    costs next to nothing, unlike distances between distributions.

    Args:
        z_0: [N, C, H, W].
    """
    return float(z_0.flatten(2).std(2).mean())


MEASURES: Mapping[str, Callable[[Batch], float]] = {
    "diversity": lambda batch: diversity(batch.pictures),
    "latent_contrast": lambda batch: latent_contrast(batch.z_0),
}
"""What is measured of every round, by the name that it has in the record."""
