"""Figures about a batch of pictures, by name."""

from collections.abc import Callable, Mapping

from torch import Tensor

from hero_engine.method.batch import Batch
from hero_engine.run.diversity import diversity


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
