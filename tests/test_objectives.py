"""Each objective's loss against its equation in float64, and what it learns from."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method import rollout, state
from hero_engine.method.d3po import D3PO, make_pairs, preference_loss
from hero_engine.method.ddpo import log_probs
from hero_engine.method.drift import base_drift
from hero_engine.method.lesson import Lesson
from hero_engine.method.nft import NFT, balanced, forward_loss, worth
from hero_engine.method.supervised import Supervised
from hero_engine.method.update import Objective, update
from hero_engine.model import diffusion, seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.task import Task

SHAPE = (5, 4, 3, 3)


def drawn(*seed: int) -> Tensor:
    return torch.randn(
        SHAPE, generator=torch.Generator().manual_seed(sum(seed)), dtype=torch.float64
    )


# -- nft -------------------------------------------------------------------------------------


def two_branches(v: Tensor, old: Tensor, target: Tensor, r: Tensor, beta: float) -> Tensor:
    """DiffusionNFT's loss as published (arXiv 2509.16117, Eq. 5), without its adaptive weights."""
    r = r.view(-1, 1, 1, 1)
    positive, negative = (1 - beta) * old + beta * v, (1 + beta) * old - beta * v
    each = r * (positive - target) ** 2 + (1 - r) * (negative - target) ** 2
    return each.flatten(1).mean(1) / beta


@pytest.mark.parametrize("beta", [0.1, 0.3, 1.0])
def test_the_forward_loss_is_the_published_one_but_for_a_constant(beta: float) -> None:
    old, target, r = drawn(1), drawn(2), torch.linspace(0, 1, 5, dtype=torch.float64)
    differences = [
        two_branches(v, old, target, r, beta) - forward_loss(v, old, target, 2 * r - 1, beta)
        for v in (drawn(3), drawn(4), old)
    ]
    torch.testing.assert_close(differences[0], differences[1])
    torch.testing.assert_close(differences[0], differences[2])


def test_the_forward_loss_draws_good_pictures_nearer_and_bad_ones_away() -> None:
    old, target = drawn(1), drawn(2)
    for optimality, nearer in ((1.0, True), (-1.0, False)):
        v = old.clone().requires_grad_()
        forward_loss(v, old, target, torch.full((5,), optimality).double(), 0.3).sum().backward()
        assert v.grad is not None
        moved = old - 0.1 * v.grad
        assert bool(((moved - target).norm() < (old - target).norm()) == nearer)


def test_the_good_ones_together_weigh_as_much_as_the_bad_ones() -> None:
    few_bad = balanced(torch.tensor([0.25] * 60 + [-1.0] * 4))
    torch.testing.assert_close(few_bad, torch.tensor([4 / 60] * 60 + [-1.0] * 4))
    few_good = balanced(torch.tensor([1.0, -0.5, -0.5, -0.5, 0.0]))
    torch.testing.assert_close(few_good, torch.tensor([1.0, *[-1 / 3] * 3, 0.0]))
    even = torch.tensor([1.0, -1.0, 0.5, -0.5])
    assert torch.equal(balanced(even), even)
    for one_sided in ([1.0, 0.5], [-1.0], [0.0, 0.0]):
        assert not balanced(torch.tensor(one_sided)).any()


def test_a_round_is_worth_less_where_its_labels_tell_less() -> None:
    def of(good: int, bad: int) -> float:
        return worth(balanced(torch.tensor([1.0] * good + [-1.0] * bad)))

    assert of(32, 32) == of(40, 24) == of(16, 48) == 1.0
    assert of(56, 8) == pytest.approx(0.5)
    assert of(60, 4) == of(4, 60) == pytest.approx(0.25)
    assert round(40 * of(63, 1)) == 2
    assert of(64, 0) == 0.0


# -- d3po ------------------------------------------------------------------------------------


def test_the_preference_loss_is_d3pos() -> None:
    """-log sigmoid(B log clip(pi/ref)_good - B log clip(pi/ref)_bad), ratio by ratio."""
    good = torch.tensor([0.05, 0.3, -0.02, 0.0], dtype=torch.float64)
    bad = torch.tensor([-0.05, -0.3, 0.04, 0.0], dtype=torch.float64)
    expected = [
        -torch.log(
            torch.sigmoid(
                0.1 * torch.log(torch.clip(torch.exp(g), 0.9, 1.1))
                - 0.1 * torch.log(torch.clip(torch.exp(b), 0.9, 1.1))
            )
        )
        for g, b in zip(good, bad, strict=True)
    ]
    torch.testing.assert_close(preference_loss(good, bad, 0.1, 0.1), torch.stack(expected))


# -- on a model ------------------------------------------------------------------------------

HALF_GOOD = torch.tensor([1.0, 1.0, -1.0, -1.0] * 2)


def lesson_of(model: Model, task: Task, advantage: Tensor = HALF_GOOD) -> Lesson:
    z_T = seeds.normal(0, "z_T", 0, range(task.feedback.batch_size), model.latent_shape)
    kept = rollout.sample(model, task, z_T, 0, lambda images, z_0, decoded: None)
    examples = kept.z_0[:3]
    numbers = torch.arange(len(kept.z_0))
    return Lesson(kept, advantage, numbers, task, 0, examples, numbers[:3])


def task_of(tiny_task: Callable[..., Task], **update: object) -> Task:
    settings = {"optimizer_steps": 2, "batch_size": 8, "prior_images": 3, "identifier": "sks"}
    return tiny_task(prompts=["a cat", "a dog"], update=settings | update)


@pytest.mark.parametrize("objective", [NFT, D3PO, Supervised])
def test_micro_batches_change_nothing_but_rounding(
    tiny_task: Callable[..., Task], objective: type[Objective]
) -> None:
    found = []
    for size in (3, 8):
        task = task_of(tiny_task, micro_batch_size=size, steps="all", clip_range=0.1)
        model = diffusion.load(task)
        made = objective.of(model, lesson_of(model, task))
        update(made, model, state.initial_state(model, task).lora_optimizer, task)
        found.append(torch.cat([p.detach().flatten() for p in model.lora().values()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=2e-5)


def test_nft_draws_every_picture_alike_and_notes_the_old_policy(
    tiny_task: Callable[..., Task],
) -> None:
    task = task_of(tiny_task, noisy_share=0.5, guidance=False)
    model = diffusion.load(task)
    lesson = replace(lesson_of(model, task), images=torch.tensor([0, 2, 3, 5, 7]))
    made = NFT.of(model, lesson)
    counts = made.image.bincount(minlength=8)
    assert counts[[1, 4, 6]].sum() == 0
    assert counts[lesson.images].max() - counts[lesson.images].min() <= 1
    assert made.position.max() < 3, "the noisier half of 6 steps"
    history = update(made, model, state.initial_state(model, task).lora_optimizer, task)
    assert history[0]["drift"] == pytest.approx(0, abs=1e-10)
    assert history[1]["drift"] > 0


def test_nft_takes_as_many_steps_as_the_round_is_worth(tiny_task: Callable[..., Task]) -> None:
    task = task_of(tiny_task, optimizer_steps=20, guidance=False)
    model = diffusion.load(task)

    def steps(advantage: Tensor) -> int:
        return len(NFT.of(model, lesson_of(model, task, advantage)).steps())

    assert steps(HALF_GOOD) == 20
    assert steps(HALF_GOOD / 4) == 10
    assert steps(torch.zeros(8)) == 1


def test_the_pretrained_model_holds_by_what_a_round_is_not_worth(
    tiny_task: Callable[..., Task],
) -> None:
    def made(kl_weight: float, advantage: Tensor) -> NFT:
        task = task_of(tiny_task, guidance=False, kl_weight=kl_weight)
        model = diffusion.load(task)
        return NFT.of(model, lesson_of(model, task, advantage))

    for free in (made(0.0, HALF_GOOD / 10), made(10.0, HALF_GOOD)):
        assert free.base is None
        assert free.kl_weight == 0
    held = made(10.0, HALF_GOOD / 10)
    assert held.kl_weight == pytest.approx(8.0)
    assert held.base is not None
    torch.testing.assert_close(held.base, held.old, msg="nothing was learned before")
    later = replace(held, old=held.old + 1.0)
    model = diffusion.load(later.lesson.task)
    items = torch.arange(4)
    added = later.losses(model, items)[0] - replace(later, base=None).losses(model, items)[0]
    torch.testing.assert_close(added, torch.zeros(4), atol=1e-6, rtol=0)
    away = replace(later, base=held.base + 0.5).losses(model, items)[0]
    torch.testing.assert_close(away - later.losses(model, items)[0], torch.full((4,), 2.0))


def test_a_held_model_stays_near_the_pretrained_one(tiny_task: Callable[..., Task]) -> None:
    def drift(kl_weight: float) -> float:
        task = task_of(
            tiny_task, guidance=False, optimizer_steps=100, learning_rate=1e-2, kl_weight=kl_weight
        )
        model = diffusion.load(task)
        made = NFT.of(model, lesson_of(model, task, HALF_GOOD / 10))
        update(made, model, state.initial_state(model, task).lora_optimizer, task)
        return base_drift(model, task)

    assert drift(10.0) < drift(0.0) / 2


def test_nft_refuses_a_model_that_is_not_stable(tiny_task: Callable[..., Task]) -> None:
    task = task_of(tiny_task)
    model = diffusion.load(task)
    made = NFT.of(model, lesson_of(model, task))
    optimizer = state.initial_state(model, task).lora_optimizer
    with pytest.raises(EngineError, match="off from its own"):
        update(replace(made, old=made.old + 0.1), model, optimizer, task)


def test_pairs_are_of_one_prompt_and_take_every_picture(tiny_task: Callable[..., Task]) -> None:
    task = task_of(tiny_task)
    model = diffusion.load(task)
    advantage = torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, 0.0])
    pairs = make_pairs(lesson_of(model, task, advantage))
    assert (pairs[:, 0] % 2 == pairs[:, 1] % 2).all()
    assert (advantage[pairs[:, 0]] > 0).all()
    assert (advantage[pairs[:, 1]] < 0).all()
    assert set(pairs.flatten().tolist()) == set(range(7))
    assert len(make_pairs(lesson_of(model, task, advantage.abs()))) == 0


def test_d3pos_reference_is_the_pretrained_model(tiny_task: Callable[..., Task]) -> None:
    task = task_of(tiny_task, steps="all", clip_range=0.1, batch_size=1)
    model = diffusion.load(task)
    lesson = lesson_of(model, task)
    pictures = torch.cartesian_prod(torch.arange(8), torch.arange(6))
    with torch.no_grad():
        pretrained = log_probs(model, lesson.rollout, pictures, task).view(8, 6)
        for parameter in model.lora().values():
            parameter.add_(0.05)
        learned = log_probs(model, lesson.rollout, pictures, task).view(8, 6)
    assert (pretrained - learned).abs().max() > 1e-4
    made = D3PO.of(model, lesson)
    torch.testing.assert_close(made.reference, pretrained, rtol=1e-4, atol=1e-5)
    after = log_probs(model, lesson.rollout, pictures, task).view(8, 6)
    torch.testing.assert_close(after, learned), "the adapter is on again"
    assert len(made.steps()) == len(made.pairs) * 6


def test_d3po_refuses_another_models_rollout(tiny_task: Callable[..., Task]) -> None:
    task = task_of(tiny_task, steps="all", clip_range=0.1)
    model = diffusion.load(task)
    lesson = lesson_of(model, task)
    off = replace(lesson, rollout=replace(lesson.rollout, log_prob=lesson.rollout.log_prob + 0.1))
    with pytest.raises(EngineError, match="does not belong to this model"):
        update(D3PO.of(model, off), model, None, task)


def test_dreambooth_asks_for_examples_by_their_word_and_for_the_prior_without(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(tiny_task, batch_size=3, optimizer_steps=1, prior_weight=0.5)
    model = diffusion.load(task)
    made = Supervised.of(model, lesson_of(model, task))
    asked: list[Tensor] = []
    predict_at = Model.predict_at

    def noted(self: Model, z_t: Tensor, t: Tensor, prompts: Tensor, scale: float) -> Tensor:
        asked.append(prompts)
        return predict_at(self, z_t, t, prompts, scale)

    monkeypatch.setattr(Model, "predict_at", noted)
    losses, metrics = made.losses(model, torch.arange(3))
    assert task.all_prompts == ("a cat", "a dog", "sks a cat", "sks a dog")
    assert [p.tolist() for p in asked] == [[2, 3, 2, 0, 1, 0]]
    torch.testing.assert_close(
        losses.detach(), metrics["example_error"] + 0.5 * metrics["prior_error"]
    )


def test_dreambooths_loss_is_the_denoising_error(tiny_task: Callable[..., Task]) -> None:
    task = task_of(tiny_task, batch_size=2, optimizer_steps=1)
    model = diffusion.load(task)
    made = Supervised.of(model, lesson_of(model, task))
    _, metrics = made.losses(model, torch.tensor([1]))
    t, epsilon = made.time[1, 0], made.epsilon[1, 0][None]
    alpha_bar = model.pipeline.scheduler.alphas_cumprod.double()[t]
    z_t = alpha_bar.sqrt() * made.lesson.examples[1] + (1 - alpha_bar).sqrt() * epsilon
    with torch.no_grad():
        states = model.prompts.states[3][None]
        predicted = model.denoiser(z_t.float(), t, states, return_dict=False)[0]
    expected = (predicted - epsilon).pow(2).mean()
    torch.testing.assert_close(metrics["example_error"][0], expected, rtol=1e-4, atol=1e-5)


def test_a_lesson_is_the_same_on_the_other_side(tiny_task: Callable[..., Task]) -> None:
    task = task_of(tiny_task)
    model = diffusion.load(task)
    lesson = replace(lesson_of(model, task), images=torch.tensor([1, 4, 6]))
    again = Lesson.unpacked(lesson.packed(), lesson.rollout, task, 0)
    for name in ("advantage", "images", "examples", "example_images"):
        assert torch.equal(getattr(again, name), getattr(lesson, name))
