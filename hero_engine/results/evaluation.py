"""The final evaluation: success of the model from pi_HERO and from N(0, I), by the oracle.

Both noises are reported, because a model can owe its success to its initial noise alone; and the
base model from the same noise, because round 0, which it drew too, is other pictures.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hero_engine.cartoons import oracle
from hero_engine.method.pool import NoisePool, sample_initial_noise
from hero_engine.method.rollout import sample_pictures
from hero_engine.method.state import TrainingState
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.diversity import diversity, good_diversity
from hero_engine.run.folder import RunFolder, copy_linked
from hero_engine.run.judges import is_evaluated
from hero_engine.run.pictures import read_picture, save_picture
from hero_engine.run.record import Noise, Record
from hero_engine.run.record.evaluations import Source
from hero_engine.run.sources import OF_THE_BASE, TRANSFERRED, most_of
from hero_engine.run.task import Task

log = logging.getLogger(__name__)

PHASES: dict[Noise, str] = {
    "pi": "evaluating from pi_HERO",
    "fresh": "evaluating from fresh noise",
    "base": "evaluating the base model",
}


def evaluate(
    folder: RunFolder,
    record: Record,
    task: Task,
    learned: TrainingState,
    check: Callable[[], None],
) -> None:
    """Samples `evaluation.images` pictures of each source, judges them and records the result.

    Does nothing when no oracle can judge the task's pictures. `check` is called after each chunk of
    them; whatever it raises ends the evaluation, and evaluating again gives the same pictures.
    """
    if not is_evaluated(task):
        return
    record.set_state("sampling")
    count = task.evaluation.images
    for noise, phase in PHASES.items():
        record.set_progress(phase, 0, count)
        done = 0

        def drawn(pictures: int, made: bool, phase: str = phase) -> None:
            nonlocal done
            done += pictures
            record.set_progress(phase, done, count)
            check()

        paths = [folder.final_image(noise, image) for image in range(count)]
        if noise == "base" and learned.model.is_untaught and task.taught_prompts == task.prompts:
            _take_fresh_for_base(folder)
        draw(learned.model, task, learned.pool, noise, list(range(count)), paths, drawn)
        pictures = np.stack([read_picture(path) for path in paths])
        good = [each for each in pictures if oracle.judge(str(task.oracle), each).good]
        log.info("%s: %d of %d good", phase, len(good), count)
        figures = {"images": count, "good": len(good), "diversity": diversity(pictures)}
        record.set_figures(noise, figures | good_diversity(good))


def _take_fresh_for_base(folder: RunFolder) -> None:
    """A model that learned nothing has drawn the base model's pictures already."""
    fresh, base = (folder.final_image(noise, 0).parent for noise in ("fresh", "base"))
    if not base.exists():
        copy_linked(fresh, base)


def as_taught(model: Model, task: Task) -> tuple[Model, Task]:
    """Both as the taught model is asked: with the identifier before the prompts, if any."""
    asked = torch.arange(len(task.prompts)) + len(task.all_prompts) - len(task.prompts)
    taught = task.model_copy(update={"prompts": task.taught_prompts})
    return replace(model, prompts=model.prompts.rows(asked.to(model.device))), taught


def draw(
    model: Model,
    task: Task,
    pool: NoisePool | None,
    source: Source,
    images: list[int],
    paths: list[Path],
    drawn: Callable[[int, bool], None],
) -> None:
    """Draws those of a source's pictures that are not there, by chunks.

    Args:
        model: conditioned on the prompts that the source's pictures have; as `task`, but for those
            that the taught model is asked by.
        images: their numbers, ascending. paths: of each.
        drawn: is told of each chunk how many it has, and whether it was made now.
    """
    if source in ("fresh", "pi"):
        model, task = as_taught(model, task)
    purpose: seeds.Purpose = "final-pi" if source == "pi" else "final-fresh"
    purpose = "transfer" if source in TRANSFERRED else purpose
    # The pool's parts are shares of all its pictures, and not of those that are drawn now.
    total = most_of(task) if source == "pi" else images[-1] + 1
    fresh = seeds.normal(task.seed, purpose, 0, range(total), model.latent_shape)
    z_T = sample_initial_noise(pool, fresh, task.noise) if source == "pi" else fresh
    with model.adapter_off() if source in OF_THE_BASE else nullcontext():
        for chunk in torch.arange(len(images)).split(task.sampling.chunk_size):
            places = chunk.tolist()
            missing = not all(paths[place].is_file() for place in places)
            if missing:
                numbers = torch.tensor([images[place] for place in places])
                pictures = sample_pictures(model, task, z_T[numbers], numbers, purpose).numpy()
                for place, picture in zip(places, pictures, strict=True):
                    if not paths[place].is_file():
                        save_picture(paths[place], picture)
            drawn(len(places), missing)
