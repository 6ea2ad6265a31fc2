"""In-batch diversity: how different pictures are from each other.

Of the good ones alone as well: what a base model draws wrongly is diverse, too, and a model that
draws nothing wrong any more has lost that, which is no loss.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hero_engine.run.pictures import read_picture

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


def good_diversity(pictures: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
    """Of good pictures, [H, W, 3] each, under the name that it has in the record.

    Nothing where there are fewer than two.
    """
    return {"good_diversity": diversity(np.stack(pictures))} if len(pictures) > 1 else {}


def good_diversity_of(paths: Iterable[Path]) -> dict[str, float]:
    """The same of their PNG files; nothing, too, where one cannot be read any more, or has another
    size: nobody is kept from going on by a figure.
    """
    try:
        return good_diversity([read_picture(path) for path in paths])
    except (OSError, ValueError):
        return {}
