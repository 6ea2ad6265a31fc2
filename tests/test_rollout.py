"""Sampling: the same draws whatever the chunks, and transitions that belong to the trajectory."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hero_engine.method import rollout
from hero_engine.method.rollout import Rollout, chunks_of, trained_steps
from hero_engine.model import diffusion, seeds
from hero_engine.model.schedule import log_prob, transition
from hero_engine.run.task import Task


def sample(task: Task, round_number: int = 0) -> tuple[Rollout, dict[int, torch.Tensor]]:
    model = diffusion.load(task)
    z_T = seeds.normal(
        task.seed, "z_T", round_number, range(task.feedback.batch_size), model.latent_shape
    )
    shown: dict[int, torch.Tensor] = {}
    drawn = rollout.sample(
        model,
        task,
        z_T,
        round_number,
        lambda images, z_0, decoded: shown.update(zip(images, decoded, strict=True)),
    )
    return drawn, shown


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("last", [7, 8, 9]),
        ("first", [0, 1, 2]),
        ("spread", [1, 5, 8]),
        ("all", list(range(10))),
    ],
)
def test_which_steps_are_trained(which: str, expected: list[int]) -> None:
    assert trained_steps(which, 3, range(10), torch.Generator()) == expected


def test_random_steps_differ_by_picture_and_not_by_call() -> None:
    def draw(image: int) -> list[int]:
        return trained_steps("random", 3, range(50), seeds.generator(0, "steps", 0, image))

    assert draw(0) == draw(0)
    assert len({tuple(draw(image)) for image in range(10)}) > 1
    assert all(len(set(draw(image))) == 3 for image in range(10))


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(64, 20, [5, 20, 20, 19]), (8, 3, [1, 3, 3, 1]), (2, 1, [1, 1]), (4, 64, [4])],
)
def test_the_first_chunk_is_small_and_every_picture_is_in_one(
    count: int, size: int, sizes: list[int]
) -> None:
    chunks = chunks_of(count, size)
    assert [len(chunk) for chunk in chunks] == sizes
    assert torch.cat(chunks).tolist() == list(range(count))


def test_chunks_change_only_rounding(tiny_task: Callable[..., Task]) -> None:
    whole, pictures = sample(tiny_task(sampling={"chunk_size": 8}))
    parts, others = sample(tiny_task(sampling={"chunk_size": 3}))
    assert torch.equal(whole.z_T, parts.z_T)
    torch.testing.assert_close(whole.z_0, parts.z_0, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(whole.log_prob, parts.log_prob, rtol=1e-4, atol=1e-5)
    for image, picture in pictures.items():
        assert (picture.int() - others[image].int()).abs().max() <= 1


def test_rounds_and_seeds_draw_other_noise(tiny_task: Callable[..., Task]) -> None:
    first = sample(tiny_task())[0].z_T
    assert not torch.equal(first, sample(tiny_task(), round_number=1)[0].z_T)
    assert not torch.equal(first, sample(tiny_task(seed=1))[0].z_T)
    assert torch.equal(first, sample(tiny_task())[0].z_T)


def test_kept_transitions_have_the_log_prob_of_the_model(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(update={"steps": "all"})
    drawn, _ = sample(task)
    model = diffusion.load(task)
    assert torch.equal(drawn.z_t[:, 0], drawn.z_T)
    assert torch.equal(drawn.z_prev[:, -1], drawn.z_0)
    assert torch.equal(drawn.z_prev[:, :-1], drawn.z_t[:, 1:])
    prompts = torch.zeros(8, dtype=torch.int64)
    for k in range(6):
        with torch.no_grad():
            prediction = model.predict(drawn.z_t[:, k], drawn.step[:, k], prompts, 5.0)
        mean, sigma = transition(model.schedule, drawn.z_t[:, k], prediction, drawn.step[:, k])
        found = log_prob(drawn.z_prev[:, k], mean, sigma)
        torch.testing.assert_close(found, drawn.log_prob[:, k], rtol=1e-5, atol=1e-5)


def test_pictures_take_the_prompts_in_turn(tiny_task: Callable[..., Task]) -> None:
    both, _ = sample(tiny_task(prompts=["a cat", "zebra dog"]))
    cat, _ = sample(tiny_task(prompts=["a cat"]))
    dog, _ = sample(tiny_task(prompts=["zebra dog"]))
    torch.testing.assert_close(both.z_0[::2], cat.z_0[::2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(both.z_0[1::2], dog.z_0[1::2], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(cat.z_0, dog.z_0, atol=1e-3)


def test_a_rollout_survives_its_file(tiny_task: Callable[..., Task], tmp_path: Path) -> None:
    drawn, _ = sample(tiny_task())
    drawn.save(tmp_path / "rollout.safetensors")
    loaded = Rollout.load(tmp_path / "rollout.safetensors")
    for name, tensor in vars(drawn).items():
        assert torch.equal(tensor, getattr(loaded, name))
