"""The pictures that a run begins with, as clean latents."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method.rollout import Rollout
from hero_engine.model.diffusion import Model
from hero_engine.model.memory import in_chunks
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.pictures import read_picture
from hero_engine.run.record import START, Start


def rollout_of(
    folder: RunFolder,
    start: Start,
    model: Model,
    show: Callable[[str, int, int], None],
    check: Callable[[], None],
) -> Rollout:
    """Their latents by the VAE, as a rollout without noise and without transitions.

    It is kept in the run's folder, where the engine's other processes and later rounds read it.
    A number that no picture has gets a latent of zeros.

    Args:
        show: told the phase, and how many of how many are done.
        check: called between chunks; it may raise.

    Raises:
        EngineError: a copy is missing or damaged, or not of the model's size; memory ran out.
    """
    z_0 = torch.zeros(start.images, *model.latent_shape)
    numbers = torch.tensor(start.numbers)
    show("encoding the pictures to start from", 0, len(numbers))
    done = 0

    def encode(images: Tensor) -> Tensor:
        return model.encode(torch.from_numpy(_read(folder, images.tolist())))

    for images, latents in in_chunks(numbers.split(model.sizes.chunk), model.sizes, encode):
        z_0[images] = latents
        done += len(images)
        show("encoding the pictures to start from", done, len(numbers))
        check()
    rollout = without_trajectory(z_0)
    write_complete(folder.rollout(START), rollout.save)
    return rollout


def _read(folder: RunFolder, images: list[int]) -> np.ndarray:
    paths = [folder.image(START, image) for image in images]
    try:
        return np.stack([read_picture(path) for path in paths])
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{folder.round(START)}: the run's copies of the pictures to start from cannot be "
            f"read: {error}; restore the folder from a copy, or start again"
        ) from error


def without_trajectory(z_0: Tensor) -> Rollout:
    """Pictures that were not drawn here: clean latents `z_0` [N, C, H, W] and nothing else."""
    none = z_0[:, None][:, :0]
    nothing = torch.zeros(len(z_0), 0)
    return Rollout(z_0[:, :0], z_0, none, none, nothing, nothing.long())


def most_central(z_0: Tensor, good: Tensor) -> int:
    """Of the pictures that are `good`, bool [N], the one whose latent in `z_0` [N, C, H, W] has
    the highest mean cosine to the others; the first, if there are several.
    """
    unit = F.normalize(z_0[good].flatten(1), dim=1)
    return int(good.nonzero()[:, 0][(unit @ unit.sum(0)).argmax()])
