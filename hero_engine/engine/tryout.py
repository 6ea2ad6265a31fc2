"""A few pictures of any prompt from the model as it is, on the side of a run.

They are drawn with random numbers of their own, so the run ends in the same bits with them or
without. Every try uses the same noise: pictures of the same prompt show what a round changed.
"""

from dataclasses import replace

import numpy as np
import torch

from hero_engine.errors import InputError
from hero_engine.method.pool import NoisePool, sample_initial_noise
from hero_engine.method.rollout import sample_pictures
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.family import family_of
from hero_engine.run.folder import RunFolder
from hero_engine.run.pictures import save_picture
from hero_engine.run.record import Record
from hero_engine.run.task import Task

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
    """Draws the pictures that were asked for and are not there yet."""
    for each in record.tries():
        if each.finished:
            continue
        try:
            pictures = pictures_of(model, task, each.prompt, pool)
        except InputError as error:
            record.finish_try(each.number, round_number, 0, str(error))
            continue
        for image, picture in enumerate(pictures):
            save_picture(folder.try_image(each.number, image), picture)
        record.finish_try(each.number, round_number, len(pictures))


def pictures_of(model: Model, task: Task, prompt: str, pool: NoisePool | None) -> np.ndarray:
    """Pictures of `prompt`, uint8 [N, H, W, 3]: from fresh noise, then from `pool`.

    Raises:
        InputError: the prompt is longer than the text encoder reads.
    """
    with model.at_work(*model.text_encoders):
        encode = family_of(model.pipeline).encode
        encoded, _ = encode(model.pipeline, [prompt], task.negative_prompt)
    model = replace(model, prompts=encoded)
    task = task.model_copy(update={"prompts": (prompt,)})
    images = torch.arange(FROM_EACH)
    fresh = seeds.normal(task.seed, "try", 0, images.tolist(), model.latent_shape)
    starts = [fresh] if pool is None else [fresh, sample_initial_noise(pool, fresh, task.noise)]
    return torch.cat([sample_pictures(model, task, z_T, images, "try") for z_T in starts]).numpy()
