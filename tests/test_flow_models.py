"""Flow models: they are sampled as diffusers samples them, and taught."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hero_engine.method import rollout
from hero_engine.model import diffusion, seeds
from hero_engine.model.families import flux_2, z_image
from hero_engine.run.task import Task
from tests.engine_runs import tiny_task_of
from tests.tiny_flow_pipelines import SIDE, save_tiny_flux_2, save_tiny_sd3, save_tiny_z_image

pytestmark = pytest.mark.slow

FAMILIES = {"sd3": save_tiny_sd3, "z-image": save_tiny_z_image, "flux2-klein": save_tiny_flux_2}
PROMPT, NEGATIVE = "a cat on a mat", "dog"


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (z_image, flux_2):
        monkeypatch.setattr(family, "SIDE", SIDE)


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in FAMILIES.items()}


@pytest.fixture(params=FAMILIES)
def task(request: pytest.FixtureRequest, pipelines: dict[str, Path]) -> Callable[..., Task]:
    """A task on a family's pipeline."""
    folder = pipelines[request.param]

    def task(**changes: Any) -> Task:
        given = {
            "prompts": (PROMPT, "a dog"),
            "negative_prompt": NEGATIVE,
            "update": {"objective": "nft"},
        }
        return tiny_task_of(folder, **given | changes)

    return task


def test_a_trajectory_is_the_one_that_diffusers_takes(task: Callable[..., Task]) -> None:
    """From the prompts as text, by the pipeline's own call."""
    settings = task(sampling={"eta": 0.0, "steps": 4, "guidance_scale": 3.0})
    model = diffusion.load(settings)
    images = torch.arange(2)
    z_T = seeds.normal(0, "z_T", 0, images.tolist(), model.latent_shape)
    epsilon = torch.zeros(2, 4, *model.latent_shape)
    trajectory, _ = rollout.denoise(model, settings, z_T, epsilon, images)
    pipeline = model.pipeline
    pipeline.set_progress_bar_config(disable=True)
    guidance = model.family.drawing(pipeline, model.prompts, model.negative, settings.sampling)
    negative = {"negative_prompt": [NEGATIVE] * 2}
    if settings.model.endswith("flux2-klein") or "flux" in type(pipeline).__name__.lower():
        # Its call takes no negative prompt as text.
        given = model.negative.rows(torch.zeros(2, dtype=torch.int64))
        negative = {"negative_prompt_embeds": given.states}
    height, width = (SIDE, SIDE)
    latents = pipeline(
        prompt=list(settings.prompts),
        **negative,
        latents=z_T,
        height=height,
        width=width,
        num_inference_steps=4,
        guidance_scale=guidance["guidance_scale"],
        output_type="latent",
    ).images
    theirs = model.family.drawn(pipeline.vae, latents)
    torch.testing.assert_close(trajectory[:, -1], theirs, rtol=1e-3, atol=1e-4)
