"""The final evaluation: success of the model from pi_HERO and from N(0, I), by the oracle.

Both noises are reported, because a model can owe its success to its initial noise alone.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from hero_engine.cartoons import oracle
from hero_engine.method.pool import NoisePool, sample_initial_noise
from hero_engine.method.rollout import sample_pictures
from hero_engine.method.state import TrainingState
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.results import measures
from hero_engine.run.folder import RunFolder
from hero_engine.run.judges import is_evaluated
from hero_engine.run.pictures import save_picture
from hero_engine.run.record import Noise, Record
from hero_engine.run.task import Task

log = logging.getLogger(__name__)


def evaluate(
    folder: RunFolder,
    record: Record,
    task: Task,
    learned: TrainingState,
    check: Callable[[], None],
) -> None:
    """Samples `evaluation.images` pictures from each noise, judges them and records the result.

    Does nothing when no oracle can judge the task's pictures. `check` is called after each chunk of
    them; whatever it raises ends the evaluation, and evaluating again gives the same pictures.
    """
    if not is_evaluated(task):
        return
    record.set_state("sampling")
    noises: dict[Noise, NoisePool | None] = {"pi": learned.pool, "fresh": None}
    for which, pool in noises.items():
        record.set_figures(which, _evaluate(folder, record, task, learned, check, which, pool))


def as_taught(model: Model, task: Task) -> tuple[Model, Task]:
    """Both as the taught model is asked: with the identifier before the prompts, if any."""
    asked = torch.arange(len(task.prompts)) + len(task.all_prompts) - len(task.prompts)
    taught = task.model_copy(update={"prompts": task.taught_prompts})
    return replace(model, prompts=model.prompts.rows(asked.to(model.device))), taught


def _evaluate(
    folder: RunFolder,
    record: Record,
    task: Task,
    learned: TrainingState,
    check: Callable[[], None],
    which: Noise,
    pool: NoisePool | None,
) -> dict[str, float]:
    model, task = as_taught(learned.model, task)
    count = task.evaluation.images
    purpose: seeds.Purpose = "final-pi" if which == "pi" else "final-fresh"
    fresh = seeds.normal(task.seed, purpose, 0, range(count), model.latent_shape)
    z_T = sample_initial_noise(pool, fresh, task.noise)
    phase = f"evaluating from {'pi_HERO' if which == 'pi' else 'fresh noise'}"
    record.set_progress(phase, 0, count)
    pictures: list[np.ndarray] = []
    good = 0
    for images in torch.arange(count).split(task.sampling.chunk_size):
        drawn = sample_pictures(model, task, z_T[images], images, purpose).numpy()
        for image, picture in zip(images.tolist(), drawn, strict=True):
            save_picture(folder.final_image(which, image), picture)
            pictures.append(picture)
            good += oracle.judge(str(task.oracle), picture).good
        record.set_progress(phase, len(pictures), count)
        check()
    log.info("%s: %d of %d good", phase, good, count)
    diversity = measures.diversity(np.stack(pictures))
    return {"images": count, "good": good, "diversity": diversity}
