"""A batch of pictures as rewards and measures see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """N pictures.

    Attributes:
        z_0: clean latents [N, C, H, W], float32 on the CPU.
        prompts: the prompt of each.
        read_pictures: reads them when they are first asked for.
    """

    z_0: Tensor
    prompts: Sequence[str]
    read_pictures: Callable[[], NDArray[np.uint8]]

    @cached_property
    def pictures(self) -> NDArray[np.uint8]:
        """[N, H, W, 3]."""
        return self.read_pictures()


@dataclass(frozen=True)
class LabelledBatch(Batch):
    """A round with its labels.

    Attributes:
        good: bool [N].
        best_z_0: the reigning best's clean latent, [C, H, W]; it may be of an earlier round.
        embed: E_theta, from latents [M, C, H, W] to [M, D].
    """

    good: Tensor
    best_z_0: Tensor
    embed: Callable[[Tensor], Tensor]

    @cached_property
    def embedded(self) -> Tensor:
        """E_theta(z_0), [N, D]."""
        return self.embed(self.z_0)

    @cached_property
    def embedded_best(self) -> Tensor:
        """E_theta of the reigning best, [D]."""
        return self.embed(self.best_z_0[None])[0]
