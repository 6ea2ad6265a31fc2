"""Figures about a batch of pictures."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def diversity(pictures: NDArray[np.uint8]) -> float:
    """Mean root-mean-square pixel difference over pairs, in [0, 1]; 0 for fewer than two pictures.

    In-batch diversity as in App. F, with pixels in place of CLIP embeddings, which need weights.

    Args:
        pictures: [N, H, W, 3].
    """
    count = len(pictures)
    if count < 2:
        return 0.0
    flat = pictures.reshape(count, -1).astype(np.float64) / 255
    squares = (flat**2).sum(1)
    distances = squares[:, None] + squares[None, :] - 2 * flat @ flat.T
    pairs = np.triu_indices(count, 1)
    return float(np.sqrt(distances[pairs].clip(0) / flat.shape[1]).mean())


def latent_contrast(z_0: Tensor) -> float:
    """Mean over pictures and channels of the standard deviation over a latent's places.

    A model that has drifted off what it was pretrained on draws washed-out or glaring pictures; it
    costs next to nothing, unlike distances between distributions.

    Args:
        z_0: [N, C, H, W].
    """
    return float(z_0.flatten(2).std(2).mean())
