"""The pictures that a run begins with: as clean latents, and what they teach."""

import logging
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hero_engine.engine.context import Run
from hero_engine.engine.learning import masks, train_by_rewards
from hero_engine.engine.likeness import trains_embedding
from hero_engine.engine.training import train_embedding
from hero_engine.errors import EngineError
from hero_engine.method import state
from hero_engine.method.rollout import Rollout
from hero_engine.method.state import TrainingState
from hero_engine.model.diffusion import Model
from hero_engine.model.memory import in_chunks
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.methods import CLEAN_LATENTS
from hero_engine.run.pictures import read_picture
from hero_engine.run.record import START, Start

log = logging.getLogger(__name__)


def learn_from_start(run: Run, learned: TrainingState) -> None:
    """What the pictures that the run begins with teach before round 0, then its checkpoint.

    They train the embedding, and an objective that needs nothing but clean latents makes one
    update, in which the model as it is is the old policy. Without a best among them, their most
    central good picture is the anchor of that, and nothing more. They add nothing to the noise
    pool: nobody knows from which z_T they could have come.
    """
    start, task = run.record.start(), run.task
    if start is None or start.learned is not None:
        return
    started = time.monotonic()
    run.record.set_state("training")
    rollout = rollout_of(
        run.folder, start, learned.model, run.record.set_progress, run.interrupts.check_stop
    )
    good, bad = masks(start.labels, start.images)
    best = start.labels.best
    anchor = best if isinstance(best, int) else most_central(rollout.z_0, good)
    learned.best_z_0 = rollout.z_0[anchor]
    metrics: dict[str, float] = {}
    outcome = ""
    if trains_embedding(task):
        train_embedding(run, learned, rollout.z_0[good], rollout.z_0[bad], START)
    if task.update.objective in CLEAN_LATENTS:
        images = (good | bad).nonzero()[:, 0]
        metrics, outcome = train_by_rewards(run, learned, rollout, good, images, START)
    if best is None:
        learned.best_z_0 = None
    state.save(learned, run.folder, START)
    metrics["train_s"] = time.monotonic() - started
    run.record.finish_start(metrics, outcome)
    log.info("learned from %s in %.1f s. %s", start.words, metrics["train_s"], outcome)


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
