"""On a CUDA GPU: precisions, memory, offload, compiling, Stable Diffusion's size, two GPUs.

`make test-gpu` runs them and prints a table. All but one take a tiny pipeline: what is looked for
is what only a GPU can get wrong (other kernels, tensors on another device), not speed.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.engine import fitting
from hero_engine.engine.fitting import Plan
from hero_engine.engine.idle import IdleOffload
from hero_engine.method import ddpo, embedding, rollout, state
from hero_engine.method.ddpo import DDPO
from hero_engine.method.rollout import Rollout
from hero_engine.method.state import TrainingState
from hero_engine.method.update import FLOAT16_LOSS_SCALE, set_gradient, update
from hero_engine.model import diffusion, seeds
from hero_engine.model.diffusion import Model
from hero_engine.run import process
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_engine.run.pictures import read_picture
from hero_engine.run.task import Task
from tests.engine_runs import labeler, new_run, run_here, tiny_task_of
from tests.gpu.conftest import GIB, Peak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2)]
ADVANTAGE = torch.linspace(-1, 1, 8)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

ROUNDING = 1e-3
"""How far latents of float32 may be apart when other kernels or batch shapes drew them."""
SAME_LEARNING = 0.1
"""And two LoRAs, as a share of what was learned: AdamW's first steps magnify rounding."""


@pytest.fixture
def task(tiny_task: Callable[..., Task]) -> Task:
    """The clip is wide, so that rounding does not decide which transitions count."""
    return tiny_task(feedback={"rounds": 2}, update={"clip_range": 0.5})


# -- what the tests look at --------------------------------------------------------------------


def weights(model: Model) -> Tensor:
    return torch.cat([p.detach().flatten().cpu() for p in model.lora().values()])


def drawn_by(model: Model, task: Task) -> tuple[Rollout, Tensor]:
    """A round's trajectories and its pictures, uint8 [N, H, W, 3]."""
    z_T = seeds.normal(task.seed, "z_T", 0, range(8), model.latent_shape)
    pictures: list[Tensor] = []
    drawn = rollout.sample(model, task, z_T, 0, lambda images, z_0, some: pictures.append(some))
    return drawn, torch.cat(pictures)


def learn(learned: TrainingState, drawn: Rollout, task: Task) -> list[dict[str, float]]:
    """Both optimizers take their steps; the metrics of the LoRA's."""
    model = learned.model
    z_0 = drawn.z_0.to(model.device)
    embedding.train(
        learned.embedder, learned.embedder_optimizer, z_0[0], z_0[:3], z_0[3:], task.embedding
    )
    if ddpo.needs_remeasuring(model, task):
        drawn = ddpo.remeasured(model, drawn, task, 0)
    return update(DDPO(drawn, ADVANTAGE, task, 0), model, learned.lora_optimizer, task)


def all_tensors(learned: TrainingState) -> list[Tensor]:
    """Of the parts that stay on the device, the embedding and both optimizers."""
    optimizers = (learned.lora_optimizer, learned.embedder_optimizer)
    return [
        *(p for part in (*learned.model.resident, learned.embedder) for p in part.parameters()),
        *(t for o in optimizers for moments in o.state.values() for t in moments.values()),
    ]


def devices(tensors: list[Tensor]) -> set[str]:
    return {tensor.device.type for tensor in tensors}


def allocated(device: str) -> int:
    return torch.cuda.memory_allocated() if device == "cuda" else 0


def gradient(model: Model, task: Task, drawn: Rollout, scale: float) -> tuple[Tensor, float]:
    """Of the first optimizer step, flat, and the scale of the loss that did not overflow."""
    objective = DDPO(ddpo.remeasured(model, drawn, task, 0), ADVANTAGE, task, 0)
    _, scale = set_gradient(objective, model, objective.steps()[0], scale)
    found = torch.cat([p.grad.flatten().cpu() for p in model.lora().values() if p.grad is not None])
    model.denoiser.zero_grad()
    return found, scale


def finished(folder: RunFolder, options: EngineOptions = DEFAULT_OPTIONS) -> RunFolder:
    """The run, labelled from the script to its end in this process."""
    with closing(run_here(folder, SCRIPT, options)) as record:
        assert record.state() == ("finished", "")
    return folder


def lora_of(folder: RunFolder, round_number: int) -> Tensor:
    tensors = load_file(folder.checkpoint(round_number) / "lora.safetensors")
    return torch.cat([tensor.flatten() for _, tensor in sorted(tensors.items())])


def assert_same_run(folder: RunFolder, other: RunFolder) -> None:
    """Within rounding: the first round's latents and pictures, and what was learned from it."""
    ours, theirs = (Rollout.load(each.rollout(0)) for each in (folder, other))
    torch.testing.assert_close(ours.z_0, theirs.z_0, rtol=0, atol=ROUNDING)
    for image in range(8):
        pixels = [read_picture(each.image(0, image)).astype(int) for each in (folder, other)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1
    tensors = diffusion.load(other.task()).lora()
    start = torch.cat([tensor.detach().cpu().flatten() for _, tensor in sorted(tensors.items())])
    assert_same_learning(start, lora_of(folder, 0), lora_of(other, 0))


def assert_same_learning(start: Tensor, one: Tensor, other: Tensor) -> None:
    learned = (other - start).abs().mean()
    assert learned > 0
    assert (one - other).abs().mean() <= SAME_LEARNING * learned


@contextmanager
def only_the_cpu() -> Iterator[None]:
    """Models loaded in the block are on the CPU; none may be used across its borders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        AcceleratorState._reset_state(reset_partial_state=True)
        try:
            yield
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)


# -- precision ---------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_round_learns(precision: str, device: str, task: Task) -> None:
    task = task.model_copy(update={"precision": precision})
    model = diffusion.load(task)
    assert model.dtype == PRECISIONS[precision]
    learned, start = state.initial_state(model, task), weights(model)
    drawn, _ = drawn_by(model, task)
    first, *rest = learn(learned, drawn, task)
    assert first["ratio_error"] <= ddpo.ratio_tolerance(model, task)
    assert rest
    assert all(np.isfinite(value) for metrics in (first, *rest) for value in metrics.values())
    assert weights(model).isfinite().all()
    assert not torch.equal(weights(model), start)
    assert {p.dtype for p in model.lora().values()} == {torch.float32}
    assert devices(all_tensors(learned)) == {device}


def test_float16_has_the_gradient_of_float32(task: Task) -> None:
    models = [
        diffusion.load(task.model_copy(update={"precision": precision}))
        for precision in ("fp32", "fp16")
    ]
    drawn, _ = drawn_by(models[0], task)
    exact, _ = gradient(models[0], task, drawn, 1.0)
    scaled, scale = gradient(models[1], task, drawn, FLOAT16_LOSS_SCALE)
    assert scale >= 1
    assert (scaled - exact).norm() <= 0.1 * exact.norm()


def test_float16_begins_again_with_a_smaller_loss_where_it_overflows(task: Task) -> None:
    model = diffusion.load(task.model_copy(update={"precision": "fp16"}))
    drawn, _ = drawn_by(model, task)
    found, scale = gradient(model, task, drawn, 2.0**60)
    assert 1 <= scale < 2.0**60
    assert found.isfinite().all()
    assert found.any()


# -- memory and compiling ----------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["8", "12", "16", "24", "auto"])
def test_a_run_stays_within_its_memory(
    memory: Any, device: str, peak: Peak | None, task: Task, tmp_path: Path
) -> None:
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    plain, fitted = (new_run(tmp_path, task, name) for name in ("plain", "fitted"))
    finished(fitted, EngineOptions(memory=memory))
    assert peak is None or peak.bytes <= (free if memory == "auto" else int(memory) * GIB)
    assert_same_run(fitted, finished(plain))


def test_parts_that_wait_off_the_gpu_draw_the_same(device: str, task: Task) -> None:
    model = diffusion.load(task)
    _, pictures = drawn_by(model, task)
    waiting = [model.vae, *model.text_encoders]
    before = [p.clone() for part in waiting for p in part.parameters()]
    held = allocated(device)
    fitting.apply(Plan(4, 8, checkpointing=True, slicing=True, offload=True), model)
    for _ in range(2):
        assert devices([p for part in waiting for p in part.parameters()]) == {"cpu"}
        assert device == "cpu" or allocated(device) < held
        _, again = drawn_by(model, task)
        assert (again.int() - pictures.int()).abs().max() <= 1
    learned = state.initial_state(model, task)
    assert learn(learned, drawn_by(model, task)[0], task)
    model.set_offload(False)
    after = [p for part in waiting for p in part.parameters()]
    assert devices(after) == {device}
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_weights_leave_while_nobody_labels_and_come_back(device: str, task: Task) -> None:
    learned = state.initial_state(diffusion.load(task), task)
    drawn, _ = drawn_by(learned.model, task)
    learn(learned, drawn, task)
    before, held = [t.detach().clone().cpu() for t in all_tensors(learned)], allocated(device)
    offload = IdleOffload(learned, minutes=0)
    offload._seconds = 0.0  # also on the CPU, where it does nothing
    offload.tick()
    assert offload.away
    assert devices(all_tensors(learned)) == {"cpu"}
    assert device == "cpu" or allocated(device) < held
    offload.come_back()
    after = all_tensors(learned)
    assert devices(after) == {device}
    assert all(torch.equal(a, b.detach().cpu()) for a, b in zip(before, after, strict=True))
    drawn, _ = drawn_by(learned.model, task)
    assert learn(learned, drawn, task)


def test_what_is_compiled_draws_the_same_and_learns(task: Task) -> None:
    plain, compiled = diffusion.load(task), diffusion.load(task)
    compiled.compile()
    start, found = weights(plain), []
    for model in (plain, compiled):
        drawn, pictures = drawn_by(model, task)
        learn(state.initial_state(model, task), drawn, task)
        found.append((drawn.z_0, pictures.int(), weights(model)))
    (z_0, pictures, learned), (z_0_compiled, pictures_compiled, learned_compiled) = found
    torch.testing.assert_close(z_0_compiled, z_0, rtol=0, atol=ROUNDING)
    assert (pictures_compiled - pictures).abs().max() <= 1
    assert_same_learning(start, learned_compiled, learned)


# -- whole runs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full_size(device: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5's architecture with random weights, 2 GB; on the CPU a tiny one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        pipelines = importlib.import_module("pipelines")
    size = "sd15" if device == "cuda" else "tiny"
    folder: Path = pipelines.save_pipeline(size, tmp_path_factory.mktemp("size") / size)
    return folder


@pytest.mark.parametrize("memory", [None, "8"])
def test_two_rounds_of_stable_diffusion_1_5(
    memory: Any, full_size: Path, peak: Peak | None, tmp_path: Path
) -> None:
    task = tiny_task_of(
        full_size,
        precision="auto",
        sampling={"steps": 10},
        feedback={"rounds": 2},
        update={"learning_rate": 1e-4, "micro_batch_size": 2},
    )
    folder = finished(new_run(tmp_path, task), EngineOptions(memory=memory))
    assert memory is None or peak is None or peak.bytes <= int(memory) * GIB
    assert lora_of(folder, 1).isfinite().all()
    assert not torch.equal(lora_of(folder, 0), lora_of(folder, 1))
    with closing(folder.open_record()) as record:
        for number in (0, 1):
            assert {"loss", "ratio_error", "grad_norm"} <= record.metrics(number).keys()


def test_a_run_is_that_of_the_cpu_within_rounding(task: Task, tmp_path: Path) -> None:
    ours, theirs = (new_run(tmp_path, task, name) for name in ("here", "cpu"))
    finished(ours)
    with only_the_cpu():
        finished(theirs)
        assert_same_run(ours, theirs)


def test_two_processes_make_the_run_of_one(
    device: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over NCCL, each with a GPU of its own; on the CPU over gloo."""
    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip(f"NCCL needs two GPUs; there is {torch.cuda.device_count()}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    two, one = (new_run(tmp_path, task, name) for name in ("two", "one"))
    engine = process.start_engine(two, EngineOptions(num_processes=2))
    with labeler(two, SCRIPT):
        assert engine.wait(timeout=900) == 0, two.log_file.read_text()
    assert_same_run(two, finished(one))
