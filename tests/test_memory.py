"""Out of memory: the engine goes on with half, and nothing but rounding changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hero_engine.errors import EngineError
from hero_engine.method import rollout, state
from hero_engine.method.ddpo import DDPO
from hero_engine.method.rollout import Rollout
from hero_engine.method.update import update
from hero_engine.model import diffusion, memory, seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.memory import Sizes, in_chunks
from hero_engine.run.labels import Labels
from hero_engine.run.task import Task
from tests.engine_runs import new_run, run_here

ALTERNATING = torch.tensor([1.0, -1.0] * 4)
CPU_SHORTAGE = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: ..."


def shortage(device: str) -> RuntimeError:
    if device == "cpu":
        return RuntimeError(CPU_SHORTAGE)
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def limit(monkeypatch: pytest.MonkeyPatch, model: Model, most: int) -> None:
    """Lets the UNet take at most `most` latents at once (two a picture, with guidance)."""
    forward = model.denoiser.forward

    def limited(latents: torch.Tensor, *rest: Any, **named: Any) -> Any:
        if len(latents) > most:
            raise shortage("cuda")
        return forward(latents, *rest, **named)

    monkeypatch.setattr(model.denoiser, "forward", limited)


def drawn_by(model: Model, task: Task) -> tuple[Rollout, list[list[int]]]:
    z_T = seeds.normal(0, "z_T", 0, range(task.feedback.batch_size), model.latent_shape)
    shown: list[list[int]] = []
    drawn = rollout.sample(model, task, z_T, 0, lambda images, z_0, p: shown.append(list(images)))
    return drawn, shown


def weights(model: Model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.lora().values()])


def train(model: Model, drawn: Rollout, task: Task) -> list[dict[str, float]]:
    optimizer = state.initial_state(model, task).lora_optimizer
    return update(DDPO(drawn, ALTERNATING, task, 0), model, optimizer, task)


def test_pictures_that_do_not_fit_are_drawn_again_in_halves(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task(sampling={"chunk_size": 8})
    undisturbed, _ = drawn_by(diffusion.load(task), task)
    model = diffusion.load(task)
    halved: list[int] = []
    model.sizes.on_halved = lambda which: halved.append(model.sizes.of(which))
    limit(monkeypatch, model, 2 * 2)
    drawn, shown = drawn_by(model, task)
    assert [n for images in shown for n in images] == list(range(8))
    assert halved == [3, 2]
    torch.testing.assert_close(drawn.z_0, undisturbed.z_0, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(drawn.log_prob, undisturbed.log_prob, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_shortage_within_an_optimizer_step_begins_the_step_again(
    device: str, at: int, tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the middle of its accumulation, where half a gradient is there already."""
    task = tiny_task(update={"micro_batch_size": 4, "clip_range": 0.5})
    undisturbed = diffusion.load(task)
    drawn, _ = drawn_by(undisturbed, task)
    start = weights(undisturbed)
    expected = train(undisturbed, drawn, task)
    model = diffusion.load(task)
    backward: Callable[[torch.Tensor], None] = torch.Tensor.backward
    calls = []

    def failing(loss: torch.Tensor) -> None:
        calls.append(loss)
        if len(calls) == at:
            raise shortage(device)
        backward(loss)

    monkeypatch.setattr(torch.Tensor, "backward", failing)
    metrics = train(model, drawn, task)
    assert model.sizes.micro_batch == 2
    assert metrics[0]["loss"] == pytest.approx(expected[0]["loss"], abs=1e-5)
    assert metrics[0]["grad_norm"] == pytest.approx(expected[0]["grad_norm"], rel=1e-3)
    moved = (weights(undisturbed) - start).abs().mean()
    # AdamW's first steps magnify rounding where the gradient is nearly zero; hence the mean.
    assert (weights(model) - weights(undisturbed)).abs().mean() < 0.02 * moved


def test_other_errors_are_not_taken_for_a_shortage() -> None:
    sizes = Sizes(8, 8)

    def fail() -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        memory.attempt(fail, sizes, "chunk", 8)
    assert sizes == Sizes(8, 8)


def test_a_shortage_with_one_at_a_time_names_the_way_out(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    drawn, _ = drawn_by(model, task)
    before = weights(model)
    limit(monkeypatch, model, 1)
    with pytest.raises(EngineError, match=r"one of the pictures .*--memory 8"):
        drawn_by(model, task)
    with pytest.raises(EngineError, match=r"one of the transitions .*--memory 8"):
        train(model, drawn, task)
    assert torch.equal(weights(model), before)


def test_a_size_once_halved_stays_so() -> None:
    sizes, seen = Sizes(8, 8), []

    def work(images: torch.Tensor) -> int:
        seen.append(len(images))
        if len(images) > 4:
            raise shortage("cuda")
        return len(images)

    chunks = torch.arange(20).split(8)
    done = [(images.tolist(), count) for images, count in in_chunks(chunks, sizes, work)]
    assert seen == [8, 4, 4, 4, 4, 4]
    assert [n for images, _ in done for n in images] == list(range(20))
    assert sizes.remark("chunk") == ", 4 at a time as memory ran out"
    assert sizes.remark("micro_batch") == ""


def test_a_run_goes_on_and_the_record_says_so(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, short = (
        new_run(tmp_path, tiny_task(feedback={"rounds": 2}), name) for name in ("plain", "short")
    )
    script = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2)]
    run_here(plain, script)
    load, phases = diffusion.load, []

    def load_limited(task: Task, offload: bool) -> Model:
        model = load(task, offload)
        limit(monkeypatch, model, 4)
        return model

    def note(self: Any, phase: str, done: int, total: int) -> None:
        phases.append(phase)
        set_progress(self, phase, done, total)

    from hero_engine.run.record import Record

    set_progress = Record.set_progress
    monkeypatch.setattr(diffusion, "load", load_limited)
    monkeypatch.setattr(Record, "set_progress", note)
    record = run_here(short, script)
    assert record.state() == ("finished", "")
    assert "sampling, 2 at a time as memory ran out" in phases
    assert "training the LoRA, 2 at a time as memory ran out" in phases
    for number in (0, 1):
        found, expected = (Rollout.load(run.rollout(number)) for run in (short, plain))
        torch.testing.assert_close(found.z_0, expected.z_0, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: out of memory\nCUDA kernel errors might be reported asynchronously",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "cudaErrorMemoryAllocation: out of memory",
        "HIP out of memory. Tried to allocate 2.00 GiB",
        "HIP error: hipErrorOutOfMemory",
        "HIP error: hipErrorMemoryAllocation",
        "HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
        "miopenStatusAllocFailed",
        "rocblas_status_memory_error",
        "MPS backend out of memory (MPS allocated: 9 GB)",
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_a_shortage_is_known_however_it_is_said(said: str) -> None:
    assert memory.is_shortage(RuntimeError(said))


def test_other_errors_are_no_shortage() -> None:
    assert memory.is_shortage(MemoryError())
    assert not memory.is_shortage(RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED"))
    assert not memory.is_shortage(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not memory.is_shortage(ValueError("out of memory"))
