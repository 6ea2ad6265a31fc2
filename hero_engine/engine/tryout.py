"""A few pictures of any prompt from the model as it is, on the side of a run.

They are drawn with random numbers of their own, so the run ends in the same bits with them or
without. Every try uses the same noise: pictures of the same prompt show what a round changed.
"""

import logging
import shutil
from dataclasses import replace

import numpy as np
import torch

from hero_engine.engine.failures import explained
from hero_engine.method.pool import NoisePool, sample_initial_noise
from hero_engine.method.rollout import sample_pictures
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.memory import Sizes
from hero_engine.run.folder import RunFolder
from hero_engine.run.pictures import save_picture
from hero_engine.run.record import Record
from hero_engine.run.task import Task

log = logging.getLogger(__name__)

FROM_EACH = 4
"""Pictures from fresh noise; as many again come from the run's noise pool, once there is one."""


def answer(
    folder: RunFolder,
    record: Record,
    task: Task,
    model: Model,
    pool: NoisePool | None,
    round_number: int,
) -> None:
    """Draws the pictures that were asked for and are not there yet.

    One that fails, for whatever reason, does so alone: the reason is in the record. One that an
    engine did not survive is not tried again.
    """
    for each in record.tries():
        if each.finished:
            continue
        if each.round is not None:
            record.finish_try(each.number, each.round, 0, "The engine ended over it; ask again.")
            continue
        record.begin_try(each.number, round_number)
        try:
            pictures = pictures_of(model, task, each.prompt, pool)
            for image, picture in enumerate(pictures):
                save_picture(folder.try_image(each.number, image), picture)
        except Exception as error:
            log.warning("the pictures of %r failed", each.prompt, exc_info=True)
            shutil.rmtree(folder.try_image(each.number, 0).parent, ignore_errors=True)
            record.finish_try(each.number, round_number, 0, str(explained(error)))
        else:
            record.finish_try(each.number, round_number, len(pictures))


def pictures_of(model: Model, task: Task, prompt: str, pool: NoisePool | None) -> np.ndarray:
    """Pictures of `prompt`, uint8 [N, H, W, 3]: from fresh noise, then from `pool`.

    Raises:
        InputError: the prompt is longer than the text encoder reads.
        EngineError: there is not enough memory for one picture.
    """
    with model.at_work(*model.text_encoders):
        encoded, _ = model.family.encode(
            model.pipeline, [prompt], task.negative_prompt, task.long_prompts == "cut"
        )
    # Sizes of its own: what memory did not suffice for here changes nothing in the run.
    sizes = Sizes(model.sizes.chunk, model.sizes.micro_batch)
    model = replace(model, prompts=encoded, sizes=sizes)
    task = task.model_copy(update={"prompts": (prompt,)})
    images = torch.arange(FROM_EACH)
    fresh = seeds.normal(task.seed, "try", 0, images.tolist(), model.latent_shape)
    starts = [fresh] if pool is None else [fresh, sample_initial_noise(pool, fresh, task.noise)]
    return torch.cat([sample_pictures(model, task, z_T, images, "try") for z_T in starts]).numpy()
