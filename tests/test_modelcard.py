"""The lines of a model card draw, with diffusers alone, what the engine draws."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hero_engine.method.pool import POOL_FILE, NoisePool, sample_initial_noise
from hero_engine.method.rollout import denoise
from hero_engine.model import diffusion, lora
from hero_engine.model.lora import LoraBase
from hero_engine.results.modelcard import DIFFUSERS_FILE, use
from hero_engine.run.task import Task
from tests.engine_runs import tiny_task_of
from tests.single_file import save_single_file
from tests.tiny_pipeline import save_tiny_pipeline, save_tiny_v2_pipeline, save_tiny_xl_pipeline

pytestmark = pytest.mark.slow

ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@dataclass(frozen=True)
class Kind:
    """A kind of model: how it is written, and what its scheduler's configuration says.

    Attributes:
        as_file: it is one file, whose `config` is the folder that it was made from.
        marks: tensors by which the file says what it predicts.
        variant: of all the weights that the folder has.
        task: changes of the task, so that the kinds take every form of the lines together.
    """

    save: Callable[..., Path]
    prediction_type: str = "epsilon"
    scheduler: dict[str, Any] = field(default_factory=dict)
    as_file: bool = False
    marks: tuple[str, ...] = ()
    variant: str | None = None
    task: dict[str, Any] = field(default_factory=dict)
    with_pool: bool = True


KINDS = {
    "1.x": Kind(save_tiny_pipeline, task={"negative_prompt": "a dog"}),
    "1.x without a pool": Kind(save_tiny_pipeline, with_pool=False),
    "1.x as fp16 alone": Kind(save_tiny_pipeline, variant="fp16"),
    "2.x of v": Kind(
        save_tiny_v2_pipeline, "v_prediction", task={"noise": {"pool": "additive", "s": 0.3}}
    ),
    "xl": Kind(save_tiny_xl_pipeline, task={"negative_prompt": "a dog"}),
    "xl of v from zero SNR": Kind(save_tiny_xl_pipeline, "v_prediction", ZERO_SNR),
    "a file with config": Kind(save_tiny_pipeline, "v_prediction", as_file=True),
    "a file of xl with config": Kind(
        save_tiny_xl_pipeline, as_file=True, task={"noise": {"pool": "none"}}
    ),
    "a file of xl with marks": Kind(
        save_tiny_xl_pipeline,
        as_file=True,
        marks=("v_pred", "ztsnr"),
        task={"sampling": {"eta": 0.5}},
    ),
}


def write(kind: Kind, where: Path) -> dict[str, str]:
    """Writes the kind's model; the task's settings that name it."""
    folder = kind.save(where, kind.prediction_type)
    settings = folder / "scheduler" / "scheduler_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | kind.scheduler))
    if kind.variant:
        for weights in folder.glob("*/*.safetensors"):
            weights.rename(weights.with_suffix(f".{kind.variant}.safetensors"))
    if not kind.as_file:
        return {"model": str(folder)}
    file = save_single_file(folder, where / "one.safetensors")
    if kind.marks:
        save_file(load_file(file) | {mark: torch.zeros(0) for mark in kind.marks}, file)
    return {"model": str(file), "config": str(folder)}


def taught(task: Task, export: Path) -> tuple[diffusion.Model, torch.Tensor]:
    """A model whose LoRA is not zero, and a pool's best z_T [C, H, W]; both written to `export`."""
    model = diffusion.load(task)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.lora().values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    tensors = lora.diffusers_state_dict(
        lora.peft_state_dict(model.lora()), LoraBase.of(model.pipeline)
    )
    save_file({n: t.detach() for n, t in tensors.items()}, export / DIFFUSERS_FILE)
    mu = torch.randn(model.latent_shape, generator=generator)
    save_file({"best_z_T": mu}, export / POOL_FILE)
    return model, mu


@pytest.mark.parametrize("name", KINDS)
def test_the_lines_draw_what_the_engine_draws(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = KINDS[name]
    settings = {**write(kind, tmp_path), **kind.task}
    task = tiny_task_of(tmp_path, **settings)
    model, mu = taught(task, tmp_path)
    base = LoraBase.of(model.pipeline)
    monkeypatch.chdir(tmp_path)
    exec(use(task, base, str(tmp_path), kind.with_pool), {})  # noqa: S102, lines of our own

    # As the lines' own generator goes: first z_T, or what it is drawn around; then every step's.
    generator = torch.Generator().manual_seed(0)
    first, *steps = torch.randn(1 + task.sampling.steps, *mu.shape, generator=generator)
    pool = NoisePool(mu, mu[None]) if kind.with_pool else None
    z_T = sample_initial_noise(pool, first[None], task.noise)
    trajectory, _ = denoise(model, task, z_T, torch.stack(steps)[None], torch.arange(1))
    with Image.open(tmp_path / "tiny.png") as picture:
        theirs = np.asarray(picture).astype(int)
    ours = model.decode(trajectory[:, -1])[0].numpy().astype(int)
    assert ours.std() > 5
    assert abs(ours - theirs).max() <= 2
