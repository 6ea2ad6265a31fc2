"""Which device every tensor is on, where none but the CPU is at hand: on PyTorch's meta device.

Its tensors have shapes and no values. An operation on one of them and one of the CPU is the error
that it is on a GPU, and so is reading a value, where the engine should not wait for a GPU.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from hero_engine.engine import likeness
from hero_engine.method import ddpo, embedding, rollout, state
from hero_engine.method.ddpo import DDPO
from hero_engine.method.update import update
from hero_engine.model import diffusion
from hero_engine.model.diffusion import Model
from hero_engine.model.schedule import Schedule
from hero_engine.run.task import Task
from tests.tiny_pipeline import save_tiny_pipeline, save_tiny_xl_pipeline

pytestmark = pytest.mark.slow

META = torch.device("meta")
ARCHITECTURES = {"1.x": save_tiny_pipeline, "xl": save_tiny_xl_pipeline}


@pytest.fixture(params=ARCHITECTURES)
def task(request: pytest.FixtureRequest, tmp_path: Path, tiny_task: Callable[..., Task]) -> Task:
    """A task on a model of each architecture; short, as operations on no values are slow ones."""
    return tiny_task(
        model=str(ARCHITECTURES[request.param](tmp_path)),
        prompts=["a cat", "b"],
        sampling={"steps": 4},
        feedback={"batch_size": 2},
        embedding={"steps": 2},
        update={"k": 1, "batch_size": 2},
    )


@pytest.fixture
def model(task: Task, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The task's model, loaded onto the meta device as onto a GPU."""
    trainable = diffusion.load(task).schedule.trainable()
    monkeypatch.setattr(Schedule, "trainable", lambda self: trainable)
    monkeypatch.setattr(
        diffusion,
        "Accelerator",
        lambda: SimpleNamespace(device=META, num_processes=1, process_index=0),
    )
    return diffusion.load(task)


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of meta tensors can be read: they are 0, and all that is asked for is true."""
    cpu, number, truth = Tensor.cpu, Tensor.__float__, Tensor.__bool__

    def copied(tensor: Tensor) -> Tensor:
        return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else cpu(tensor)

    monkeypatch.setattr(Tensor, "cpu", copied)
    monkeypatch.setattr(Tensor, "__float__", lambda t: 0.0 if t.is_meta else number(t))
    monkeypatch.setattr(Tensor, "__bool__", lambda t: t.is_meta or truth(t))


def test_between_steps_nothing_is_read_back_from_the_accelerator(model: Model, task: Task) -> None:
    z_T, epsilon = torch.zeros(2, *model.latent_shape), torch.zeros(2, 4, *model.latent_shape)
    with torch.no_grad():
        trajectory, log_probs = rollout.denoise(model, task, z_T, epsilon, torch.arange(2))
        pictures = model.decode_on_device(trajectory[:, -1])
    assert trajectory.shape == (2, 5, *model.latent_shape)
    assert log_probs.shape == (2, 4)
    assert pictures.shape == (2, 3, 16, 16)
    assert trajectory.device == log_probs.device == pictures.device == META


@pytest.mark.usefixtures("readable")
def test_a_round_has_every_tensor_where_it_belongs(model: Model, task: Task) -> None:
    learned = state.initial_state(model, task)
    for optimizer in (learned.lora_optimizer, learned.embedder_optimizer):
        optimizer.param_groups[0]["fused"] = False  # there is no such kernel of the meta device
    z_T = torch.zeros(task.feedback.batch_size, *model.latent_shape)
    shown: list[Tensor] = []
    drawn = rollout.sample(model, task, z_T, 0, lambda images, z_0, decoded: shown.append(decoded))
    drawn = ddpo.remeasured(model, drawn, task, 0)
    assert all(tensor.device.type == "cpu" for tensor in (*vars(drawn).values(), *shown))

    learned.best_z_0 = drawn.z_0[0]
    best, good, bad = (z_0.to(META) for z_0 in (drawn.z_0[0], drawn.z_0[:1], drawn.z_0[1:]))
    embedding.train(learned.embedder, learned.embedder_optimizer, best, good, bad, task.embedding)
    assert likeness.embed(learned, drawn.z_0).device.type == "cpu"
    assert len(likeness.guesses(learned, task, drawn.z_0) or []) == len(drawn.z_0)

    advantage = torch.tensor([1.0, -1.0])
    steps = update(DDPO(drawn, advantage, task, 0), model, learned.lora_optimizer, task)
    assert len(steps) == 1
    trained = [*model.lora().values(), *learned.embedder.parameters()]
    assert all(parameter.is_meta for parameter in trained)
    assert all(learned.lora_optimizer.state[parameter] for parameter in model.lora().values())
