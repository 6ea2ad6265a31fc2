"""Pictures of what a run has taught: any trained round, prompt and sampler, as PNG files.

Only a checkpoint and the task are read, so it may be done while the run goes on. diffusers' own
pipeline draws the pictures, so they differ from the engine's own sampling (`rollout`) where the
two do: latents between the steps have the weights' dtype, and guidance of at most 1 is off.
"""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hero_engine import __version__
from hero_engine.errors import EngineError, InputError
from hero_engine.method import state
from hero_engine.method.pool import sample_initial_noise
from hero_engine.model import diffusion, seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.family import picture_size
from hero_engine.model.samplers import a1111_name, check_steps, scheduler_of
from hero_engine.results.bar import PictureBar
from hero_engine.run.folder import RunFolder, trained_round, write_complete
from hero_engine.run.picture_request import PictureRequest, requested_prompts
from hero_engine.run.pictures import png_text, save_picture
from hero_engine.run.sheet import contact_sheet
from hero_engine.run.task import Task

SHEET = "sheet.png"


def generate(folder: RunFolder, request: PictureRequest, destination: Path | None) -> Path:
    """Draws the pictures and a contact sheet of them; returns the folder that they are in.

    The same request to the same run gives the same pictures. Numbers are of one request: from the
    noise pool, as in a round, the first `best_ratio` of them start around the best.

    Args:
        destination: a new or empty folder; None: the next in the run's `generated`.

    Raises:
        InputError: the round is not trained, the scheduler is not known or cannot take so many
            steps, the noise pool is empty, there are no transfer prompts, a prompt is too long for
            the model, the destination is taken, or the model cannot be found.
        EngineError: a file cannot be read or written, there is not enough memory, or the pictures
            are not finite.
    """
    number = trained_round(folder, request.round)
    if destination is not None and destination.exists() and not destination.is_dir():
        raise InputError(f"{destination}: it is no folder; name another with -o")
    if destination is not None and destination.is_dir() and any(destination.iterdir()):
        raise InputError(f"{destination}: there is something in it; name a new folder with -o")
    run_task = folder.task()
    task = with_request(run_task, request)
    # With the run's own steps, which its DDIM can take: the request's are the scheduler's below.
    model = diffusion.load(task.model_copy(update={"sampling": run_task.sampling}))
    checkpoint = folder.checkpoint(number)
    pool = state.load_result(model, checkpoint)
    which = "fresh" if task.noise.pool == "none" else request.noise
    if which == "pi" and pool is None:
        raise InputError(
            f"{folder.path}: no picture was good up to round {number}, so there is no noise pool; "
            "use --noise fresh"
        )
    model.pipeline.scheduler = scheduler_of(model.pipeline, request.scheduler)
    check_steps(model.pipeline.scheduler, task.sampling.steps)
    images = torch.arange(request.images)
    fresh = seeds.normal(task.seed, "generate", 0, images.tolist(), model.latent_shape)
    z_T = fresh if which == "fresh" else sample_initial_noise(pool, fresh, task.noise)
    sampler = a1111_name(model.pipeline.scheduler)
    settings = {"run": folder.name, "round": number, "noise": which, **_shown(model, task)}
    try:
        place = _new_folder(folder, destination)
        paths: dict[int, Path] = {}
        with PictureBar(request.images) as bar:
            for chunk in images.split(task.sampling.chunk_size):
                pictures = run_pipeline(
                    model, task, z_T[chunk], chunk, bar.within(len(chunk))
                ).numpy()
                for image, picture in zip(chunk.tolist(), pictures, strict=True):
                    paths[image] = place / f"{image:03d}.png"
                    prompt = task.prompts[image % len(task.prompts)]
                    text = png_text({"prompt": prompt, "number": image, **settings}, sampler)
                    save_picture(paths[image], picture, text)
                bar.advance(len(chunk))
        sheet = contact_sheet(paths)
        write_complete(place / SHEET, lambda path: sheet.save(path, format="PNG"))
    except OSError as error:
        raise EngineError(f"{error.filename or destination}: {error.strerror or error}") from error
    except torch.OutOfMemoryError as error:
        raise EngineError(
            f"{model.device}: not enough memory to draw {task.sampling.chunk_size} pictures at a "
            "time; if the run's engine is at work there, stop it (`hero-tui stop`), then try again"
        ) from error
    return place


def with_request(task: Task, request: PictureRequest) -> Task:
    """The run's task with what `request` changes.

    Raises:
        InputError: there are no transfer prompts.
    """
    changes: dict[str, Any] = {"prompts": requested_prompts(task, request)}
    if request.negative_prompt is not None:
        changes["negative_prompt"] = request.negative_prompt
    if request.seed is not None:
        changes["seed"] = request.seed
    sampling: dict[str, Any] = {}
    if request.steps is not None:
        sampling["steps"] = request.steps
    if request.guidance is not None:
        sampling["guidance_scale"] = request.guidance
    changes["sampling"] = task.sampling.model_copy(update=sampling)
    return task.model_copy(update=changes)


@torch.no_grad()
def run_pipeline(
    model: Model, task: Task, z_T: Tensor, images: Tensor, on_step: Callable[[float], None]
) -> Tensor:
    """Pictures by the pipeline's own call, uint8 [B, H, W, 3] on the CPU.

    Args:
        z_T: [B, C, h, w]. images: their numbers, [B], from which come their prompts, and the
            steps' noise where the scheduler draws any.
        on_step: is conditioning the share of the steps that is done.
    """
    pipeline = model.pipeline
    conditioning = model.prompts.rows(images % len(task.prompts))
    instead = model.negative.rows(torch.zeros_like(images))

    def ended(_: Any, step: int, __: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        on_step((step + 1) / pipeline.num_timesteps)
        return kwargs

    height, width = picture_size(pipeline)
    pipeline.set_progress_bar_config(disable=True)
    latents = pipeline(
        **model.family.drawing(pipeline, conditioning, instead, task.sampling),
        latents=z_T.to(model.device, model.dtype),
        height=height,
        width=width,
        num_inference_steps=task.sampling.steps,
        generator=[seeds.generator(task.seed, "generate", 1, i) for i in images.tolist()],
        output_type="latent",
        callback_on_step_end=ended,
    ).images
    return model.decode(model.family.drawn(pipeline.vae, latents.float()))


def _shown(model: Model, task: Task) -> dict[str, object]:
    scheduler = type(model.pipeline.scheduler)
    height, width = picture_size(model.pipeline)
    return {
        "negative_prompt": task.negative_prompt,
        "scheduler": scheduler.__name__,
        "steps": task.sampling.steps,
        "guidance": task.sampling.guidance_scale,
        **({"eta": task.sampling.eta} if "eta" in signature(scheduler.step).parameters else {}),
        "seed": task.seed,
        "width": width,
        "height": height,
        "model": task.model,
        "revision": task.revision,
        "hero_tui": __version__,
    }


def _new_folder(folder: RunFolder, wanted: Path | None) -> Path:
    """`wanted`, or else the next free number, made now, so that no other request can get it."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted
    folder.generated.mkdir(exist_ok=True)
    number = len(list(folder.generated.iterdir()))
    while True:
        try:
            place = folder.generated / f"{number:03d}"
            place.mkdir()
            return place
        except FileExistsError:
            number += 1
