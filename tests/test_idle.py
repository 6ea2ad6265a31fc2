"""`--idle-offload`: when the weights leave the accelerator, and that they come back as they were.

The accelerator is played by the CPU, whose moves are noted.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hero_engine.engine import idle
from hero_engine.engine.idle import IdleOffload
from hero_engine.errors import EngineError
from hero_engine.method import embedding, rollout, state
from hero_engine.method.ddpo import DDPO
from hero_engine.method.state import TrainingState
from hero_engine.method.update import update
from hero_engine.model import diffusion, seeds
from hero_engine.run.task import Task


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(idle, "time", clock)
    return clock


@pytest.fixture
def trained(tiny_task: Callable[..., Task]) -> TrainingState:
    """What has learned, so that its optimizers have moments."""
    task = tiny_task()
    learned = state.initial_state(diffusion.load(task), task)
    model = learned.model
    z_T = seeds.normal(0, "z_T", 0, range(8), model.latent_shape)
    drawn = rollout.sample(model, task, z_T, 0, lambda images, z_0, decoded: None)
    update(DDPO(drawn, torch.linspace(-1, 1, 8), task, 0), model, learned.lora_optimizer, task)
    embedding.train(
        learned.embedder, learned.embedder_optimizer, drawn.z_0[0], drawn.z_0[:3], drawn.z_0[3:],
        task.embedding,
    )  # fmt: skip
    return learned


def on_an_accelerator(learned: TrainingState, minutes: float) -> IdleOffload:
    found = IdleOffload(learned, None)
    found._seconds = 60 * minutes
    return found


def tensors(learned: TrainingState) -> list[torch.Tensor]:
    optimizers = (learned.lora_optimizer, learned.embedder_optimizer)
    return [
        *(p for part in (*learned.model.resident, learned.embedder) for p in part.parameters()),
        *(t for o in optimizers for moments in o.state.values() for t in moments.values()),
    ]


def test_weights_leave_when_nobody_labels_for_so_long(clock: Clock, trained: TrainingState) -> None:
    offload = on_an_accelerator(trained, minutes=10)
    clock.now = 599
    offload.tick()
    assert not offload.away
    offload.news()
    clock.now = 1198
    offload.tick()
    assert not offload.away
    clock.now = 1199
    offload.tick()
    assert offload.away
    offload.come_back()
    assert not offload.away


def test_everything_that_learns_moves_and_comes_back_in_the_same_bits(
    clock: Clock, trained: TrainingState, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [t.detach().clone() for t in tensors(trained)]
    moved: list[Any] = []
    to = torch.nn.Module.to

    def note(self: Any, *arguments: Any, **named: Any) -> Any:
        moved.append(self)
        return to(self, *arguments, **named)

    monkeypatch.setattr(torch.nn.Module, "to", note)
    offload = on_an_accelerator(trained, minutes=0)
    offload.tick()
    assert {id(part) for part in (*trained.model.resident, trained.embedder)} == set(map(id, moved))
    offload.come_back()
    after = tensors(trained)
    assert len(before) == len(after)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_memory_that_was_taken_meanwhile_is_explained(
    clock: Clock, trained: TrainingState, monkeypatch: pytest.MonkeyPatch
) -> None:
    offload = on_an_accelerator(trained, minutes=0)
    offload.tick()

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(trained.model.denoiser, "to", fail)
    with pytest.raises(EngineError, match="taken while nobody labeled"):
        offload.come_back()


def test_without_an_accelerator_it_does_nothing_and_says_so(
    clock: Clock, trained: TrainingState, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        offload = IdleOffload(trained, minutes=0)
    offload.tick()
    assert not offload.away
    assert "--idle-offload does nothing" in caplog.text
