"""`--memory`: what is planned for how much memory, and that the method stays the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from hero_engine.engine import fitting
from hero_engine.engine.fitting import Costs, Plan, plan
from hero_engine.errors import EngineError
from hero_engine.method import rollout, state
from hero_engine.method.ddpo import DDPO
from hero_engine.method.update import update
from hero_engine.model import diffusion, seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.labels import Labels
from hero_engine.run.options import EngineOptions
from hero_engine.run.task import Task
from tests.engine_runs import new_run, run_here
from tests.test_memory import limit

GIB = 2**30
# As counted on Stable Diffusion 1.5 and XL.
SD15 = Costs(int(2.1 * GIB), int(0.4 * GIB), int(0.5 * GIB), int(1.2 * GIB), int(0.4 * GIB))
SDXL = Costs(int(15.5 * GIB), int(1.3 * GIB), int(1.5 * GIB), int(5 * GIB), int(1.8 * GIB))
GPU = torch.device("cuda")


@pytest.mark.parametrize(
    ("costs", "spare", "expected"),
    [
        (SD15, 80, Plan(8, 37)),
        (SD15, 18, Plan(8, 8)),
        (SD15, 4, Plan(8, 10, checkpointing=True, slicing=True, offload=True)),
        (SDXL, 80, Plan(8, 5)),
        (SDXL, 14, Plan(8, 10, checkpointing=True, slicing=True, offload=True)),
        (SDXL, 1, Plan(1, 1, True, slicing=True, tiling=True, offload=True)),
        (SDXL, 0, Plan(1, 1, True, slicing=True, tiling=True, offload=True)),
    ],
)
def test_less_memory_first_costs_size_then_time(
    costs: Costs, spare: int, expected: Plan, tiny_task: Callable[..., Task]
) -> None:
    task = tiny_task(sampling={"chunk_size": 8, "steps": 50}, update={"batch_size": 8, "k": 5})
    assert plan(costs, spare * GIB, task, GPU) == expected


def test_a_plan_is_never_more_than_an_optimizer_step(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(update={"batch_size": 4, "k": 2})
    assert plan(SD15, 1000 * GIB, task, GPU).micro_batch == 8
    every = tiny_task(update={"batch_size": 4, "steps": "all"})
    assert plan(SD15, 1000 * GIB, every, GPU).micro_batch == 4 * 6


def test_the_tiny_model_fits_every_preset_as_it_is(tiny_task: Callable[..., Task]) -> None:
    for memory in ("8", "auto"):
        task = tiny_task(update={"micro_batch_size": 1})
        model = diffusion.load(task)
        assert fitting.fit(model, task, memory, held=0) == Plan(4, 8)
        assert (model.sizes.chunk, model.sizes.micro_batch) == (4, 8)
        assert all(p.grad is None for p in model.lora().values())


def test_a_model_that_only_fits_with_checkpointing_is_measured_so(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    forward = model.denoiser.forward

    def limited(*inputs: Any, **named: Any) -> Any:
        if torch.is_grad_enabled() and not model.denoiser.is_gradient_checkpointing:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*inputs, **named)

    monkeypatch.setattr(model.denoiser, "forward", limited)
    assert fitting.fit(model, task, "16", held=0).checkpointing
    limit(monkeypatch, model, 0)
    with pytest.raises(EngineError, match="one transition of this model"):
        fitting.fit(model, task, "16", held=0)


def test_auto_goes_by_what_is_free(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    costs = fitting.measure(model, task)
    free = int(2.5 * costs.transition / fitting.MARGIN)
    memory = type("Memory", (), {"available": free})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    chosen = fitting.fit(model, task, "auto", held=0)
    assert chosen.checkpointing
    assert 1 <= chosen.micro_batch <= 8


def test_checkpointing_keeps_less_and_changes_no_gradient(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(update={"clip_range": 0.5})
    costs = fitting.measure(diffusion.load(task), task)
    assert costs.checkpointed < costs.transition
    assert torch.equal(*(trained(task, Plan(4, 4, checkpointing=on)) for on in (False, True)))


def test_parts_that_wait_off_the_accelerator_give_the_same_pictures(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task()
    whole, sliced = diffusion.load(task), diffusion.load(task)
    fitting.apply(Plan(4, 8, slicing=True, offload=True), sliced)
    assert sliced.resident == [sliced.denoiser]
    z_0 = torch.randn(3, *whole.latent_shape)
    off = (whole.decode(z_0).int() - sliced.decode(z_0).int()).abs()
    assert off.max() <= 1


def test_a_small_machine_loads_the_unet_after_the_others_have_left(
    tiny_task: Callable[..., Task],
) -> None:
    whole, small = diffusion.load(tiny_task()), diffusion.load(tiny_task(), offload=True)
    assert small.offload
    assert torch.equal(whole.prompts.states, small.prompts.states)
    assert all(torch.equal(p, small.lora()[n]) for n, p in whole.lora().items())


def test_a_run_within_a_preset_ends_as_one_without(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    script = [Labels.of([0, 3], 3)]
    task = tiny_task(feedback={"rounds": 1}, update={"micro_batch_size": 8})
    free, fitted = (new_run(tmp_path, task, name) for name in ("free", "fitted"))
    run_here(free, script)
    run_here(fitted, script, EngineOptions(memory="16", idle_offload=0))
    found = (run.checkpoint(0) / "lora.safetensors" for run in (free, fitted))
    first, second = (path.read_bytes() for path in found)
    assert first == second


def trained(task: Task, chosen: Plan) -> torch.Tensor:
    model: Model = diffusion.load(task)
    fitting.apply(chosen, model)
    z_T = seeds.normal(0, "z_T", 0, range(8), model.latent_shape)
    drawn = rollout.sample(model, task, z_T, 0, lambda images, z_0, decoded: None)
    optimizer = state.initial_state(model, task).lora_optimizer
    update(DDPO(drawn, torch.linspace(-1, 1, 8), task, 0), model, optimizer, task)
    return torch.cat([p.detach().flatten() for p in model.lora().values()])
