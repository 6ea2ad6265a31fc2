"""Checkpoints: what is loaded behaves as what was saved, down to the next update's bits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hero_engine.errors import EngineError
from hero_engine.method import rollout, state
from hero_engine.method.ddpo import DDPO
from hero_engine.method.pool import NoisePool
from hero_engine.method.state import TrainingState
from hero_engine.method.update import update
from hero_engine.model import diffusion, seeds
from hero_engine.run.folder import RunFolder
from hero_engine.run.task import Task
from tests.engine_runs import tiny_task_of

ADVANTAGE = torch.tensor([1.0, -1.0] * 4)


def new(task: Task) -> TrainingState:
    return state.initial_state(diffusion.load(task), task)


def train_a_round(learned: TrainingState, task: Task, round_number: int) -> torch.Tensor:
    """DDPO and some embedding steps; returns every trained weight."""
    model = learned.model
    z_T = seeds.normal(0, "z_T", round_number, range(8), model.latent_shape)
    drawn = rollout.sample(model, task, z_T, round_number, lambda images, z_0, decoded: None)
    update(DDPO(drawn, ADVANTAGE, task, round_number), model, learned.lora_optimizer, task)
    for _ in range(3):
        learned.embedder_optimizer.zero_grad()
        learned.embedder(drawn.z_0).square().mean().backward()
        learned.embedder_optimizer.step()
    learned.best_z_0 = drawn.z_0[round_number]
    learned.pool = NoisePool(drawn.z_T[round_number], drawn.z_T[:2])
    parameters = [*model.lora().values(), *learned.embedder.parameters()]
    return torch.cat([p.detach().flatten() for p in parameters])


def test_a_loaded_checkpoint_makes_the_same_next_update(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    task, folder = tiny_task(), RunFolder(tmp_path)
    original = new(task)
    train_a_round(original, task, 0)
    state.save(original, folder, 0)
    loaded = new(task)
    state.load(loaded, folder, 0)
    assert loaded.best_z_0 is not None
    assert original.best_z_0 is not None
    assert torch.equal(loaded.best_z_0, original.best_z_0)
    assert loaded.pool is not None
    assert original.pool is not None
    assert torch.equal(loaded.pool.goods, original.pool.goods)
    assert torch.equal(train_a_round(loaded, task, 1), train_a_round(original, task, 1))


def test_a_checkpoint_without_a_good_picture_has_no_pool(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    task, folder = tiny_task(), RunFolder(tmp_path)
    state.save(new(task), folder, 0)
    loaded = new(task)
    state.load(loaded, folder, 0)
    assert loaded.pool is None
    assert loaded.best_z_0 is None


def test_old_checkpoints_drop_the_moments_of_the_embedding_alone(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    task, folder = tiny_task(), RunFolder(tmp_path)
    learned = new(task)
    for round_number in range(3):
        train_a_round(learned, task, round_number)
        state.save(learned, folder, round_number)
    names = {path.name for path in folder.checkpoint(0).iterdir()}
    assert names == {path.name for path in folder.checkpoint(2).iterdir()}
    owners = [
        {name.split(".")[0] for name in load_file(folder.checkpoint(r) / state.OPTIMIZERS_FILE)}
        for r in range(3)
    ]
    assert owners == [{"lora"}, {"lora", "embedder"}, {"lora", "embedder"}]
    for round_number, said in ((0, "the embedding's Adam"), (1, ""), (2, "")):
        loaded = new(task)
        state.load(loaded, folder, round_number, rolled_back=True)
        assert said in loaded.begun_anew
        assert bool(loaded.begun_anew) == bool(said)


@pytest.fixture(scope="module")
def trained(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """With the checkpoint of a round, to copy."""
    task, folder = tiny_task_of(tiny_pipeline), RunFolder(tmp_path_factory.mktemp("trained"))
    learned = new(task)
    train_a_round(learned, task, 0)
    state.save(learned, folder, 0)
    return folder


@pytest.mark.parametrize("name", ["lora", "embedder", "optimizers", "noise_pool"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "missing"])
def test_a_damaged_checkpoint_is_named(
    tiny_task: Callable[..., Task], trained: RunFolder, tmp_path: Path, name: str, damage: str
) -> None:
    folder = RunFolder(shutil.copytree(trained.path, tmp_path / "run"))
    path = folder.checkpoint(0) / f"{name}.safetensors"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-40] if damage == "truncated" else b"\xff" * 100)
    with pytest.raises(EngineError, match="checkpoint cannot be read"):
        state.load(new(tiny_task()), folder, 0)


def test_a_checkpoint_of_another_shape_is_refused(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    state.save(new(tiny_task(update={"lora_rank": 2})), folder, 0)
    with pytest.raises(EngineError, match="checkpoint cannot be read"):
        state.load(new(tiny_task()), folder, 0)
