"""The update: advantages, PPO's clip, the ratio self-check, and that the model really learns."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from hero_engine.errors import EngineError
from hero_engine.method import ddpo, rollout, state
from hero_engine.method import update as update_module
from hero_engine.method.advantage import advantages, by_label
from hero_engine.method.ddpo import DDPO
from hero_engine.method.rollout import Rollout
from hero_engine.method.update import FLOAT16_LOSS_SCALE, set_gradient, update
from hero_engine.model import diffusion, seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.task import Task


def drawn_by(model: Model, task: Task) -> Rollout:
    z_T = seeds.normal(0, "z_T", 0, range(task.feedback.batch_size), model.latent_shape)
    return rollout.sample(model, task, z_T, 0, lambda images, z_0, decoded: None)


def updated(task: Task, advantage: torch.Tensor) -> tuple[Model, Rollout, list[dict[str, float]]]:
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    optimizer = state.initial_state(model, task).lora_optimizer
    return model, drawn, update(DDPO(drawn, advantage, task, 0), model, optimizer, task)


def weights(model: Model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.lora().values()])


ALTERNATING = torch.tensor([1.0, -1.0] * 4)


def test_advantages_are_normalised_and_clipped() -> None:
    found = advantages(torch.tensor([0.0, 0.0, 1.0, 1.0]), 5)
    torch.testing.assert_close(found, torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    outlier = torch.zeros(64)
    outlier[0] = 1
    assert float(advantages(outlier, 5).max()) == 5
    assert not advantages(torch.full((8,), 0.7), 5).any()


def test_differences_that_mean_nothing_teach_little() -> None:
    nearly_alike = 0.9 + 0.004 * torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert float(advantages(nearly_alike, 5).max()) == pytest.approx(1, rel=1e-3)
    floored = advantages(nearly_alike, 5, floor=0.2)
    torch.testing.assert_close(floored, torch.tensor([0.02, -0.02, 0.02, -0.02]))
    by_prompt = advantages(nearly_alike, 5, torch.tensor([0, 0, 1, 1]), floor=0.2)
    torch.testing.assert_close(by_prompt, floored)


def test_a_floor_changes_nothing_where_pictures_differ() -> None:
    rewards = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert torch.equal(advantages(rewards, 5, floor=0.2), advantages(rewards, 5))


def test_labels_decide_on_signs_and_rewards_on_how_good() -> None:
    advantage = torch.tensor([0.9, -0.3, -0.6, 0.2])
    good = torch.tensor([True, True, False, False])
    for clip, least in ((5.0, -1.0), (1.0, -1.0), (0.9, -0.9)):
        assert torch.equal(by_label(advantage, good, clip), torch.tensor([0.9, 0.0, least, least]))
    for all_alike in (good | True, good & False):
        assert not by_label(advantage, all_alike, 1.0).any()
    for unlike_the_best in (torch.zeros(4), torch.tensor([-0.2, -0.1, 0.3, 0.1])):
        whole = torch.tensor([0.9, 0.9, -0.9, -0.9])
        assert torch.equal(by_label(unlike_the_best, good, 0.9), whole), (
            "they are good all the same"
        )
    prompts = torch.tensor([0, 0, 1, 0])
    by_prompt = by_label(advantage, good, 1.0, prompts)
    assert torch.equal(by_prompt, torch.tensor([0.9, 0.0, 0.0, -1.0]))


def test_advantages_by_prompt_do_not_tell_a_hard_prompt_from_an_easy_one() -> None:
    prompts = torch.tensor([0, 1, 0, 1, 0, 1])
    rewards = torch.tensor([0.9, 0.1, 0.7, 0.3, 0.8, 0.2])
    found = advantages(rewards, 5, prompts)
    for prompt in (0, 1):
        own = found[prompts == prompt]
        assert float(own.mean()) == pytest.approx(0, abs=1e-6)
        assert torch.equal(own, advantages(rewards[prompts == prompt], 5))
    assert float(found[3]) == pytest.approx(float(found[0]))  # the best of either earns the same
    alike = torch.tensor([0.9, 0.1, 0.9, 0.3, 0.9, 0.2])
    assert not advantages(alike, 5, prompts)[prompts == 0].any()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.0, 2.0, -2.0), (1.5, 1.0, -1.1), (0.5, 1.0, -0.5), (0.5, -1.0, 0.9), (1.5, -1.0, 1.5)],
)
def test_ppos_loss_takes_the_worse_of_clipped_and_unclipped(
    ratio: float, advantage: float, loss: float
) -> None:
    found = ddpo.clipped_loss(torch.tensor([ratio]), torch.tensor([advantage]), 0.1)
    assert float(found) == pytest.approx(loss)


def test_the_ratio_is_one_before_the_first_update(tiny_task: Callable[..., Task]) -> None:
    for which in ("first", "last", "all"):
        _, _, metrics = updated(tiny_task(update={"steps": which}), ALTERNATING)
        assert metrics[0]["ratio_error"] <= 1e-5


def test_a_rollout_of_another_model_is_refused(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    foreign = replace(drawn, log_prob=drawn.log_prob + 1e-3)
    before = weights(model)
    optimizer = state.initial_state(model, task).lora_optimizer
    with pytest.raises(EngineError, match="self-check"):
        update(DDPO(foreign, ALTERNATING, task, 0), model, optimizer, task)
    assert torch.equal(weights(model), before)


def test_log_probs_that_are_no_numbers_are_refused(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    broken = replace(drawn, log_prob=drawn.log_prob * float("nan"))
    optimizer = state.initial_state(model, task).lora_optimizer
    with pytest.raises(EngineError, match="not finite"):
        update(DDPO(broken, ALTERNATING, task, 0), model, optimizer, task)


def test_ratios_that_stay_off_when_measured_again_stop_the_run(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task(precision="bf16")
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    before = weights(model)
    monkeypatch.setattr(
        ddpo, "remeasured", lambda *_: replace(drawn, log_prob=drawn.log_prob + 1e-3)
    )
    optimizer = state.initial_state(model, task).lora_optimizer
    off = replace(drawn, log_prob=drawn.log_prob + 1e-3)
    with pytest.raises(EngineError, match="two passes over the same transitions"):
        update(DDPO(off, ALTERNATING, task, 0), model, optimizer, task)
    assert torch.equal(weights(model), before)


def test_rewarded_pictures_become_more_likely(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(update={"clip_range": 0.5, "steps": "all"})
    model, drawn, _ = updated(task, ALTERNATING)
    items = torch.cartesian_prod(torch.arange(8), torch.arange(6))
    with torch.no_grad():
        after = ddpo.log_probs(model, drawn, items, task).view(8, 6)
    gain = (after - drawn.log_prob).mean(1)
    assert gain[ALTERNATING > 0].mean() > gain[ALTERNATING < 0].mean()


def test_micro_batches_change_only_rounding(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(update={"weight_decay": 0.0, "clip_range": 0.5})
    sizes = [
        weights(updated(tiny_task(update={"micro_batch_size": size}), ALTERNATING)[0])
        for size in (1, 3, 64)
    ]
    start = weights(diffusion.load(task))
    for found in sizes:
        assert not torch.equal(found, start)
        # AdamW's first step divides a gradient by its own size, which magnifies rounding where
        # the gradient is nearly zero; hence the mean.
        assert (found - sizes[0]).abs().mean() < 0.02 * (sizes[0] - start).abs().mean()


def test_training_without_guidance_measures_its_own_old_log_probs(
    tiny_task: Callable[..., Task],
) -> None:
    _, _, metrics = updated(tiny_task(update={"guidance": False}), ALTERNATING)
    assert metrics[0]["ratio_error"] <= 1e-5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_weights_keep_the_ratio_at_one(
    precision: str, tiny_task: Callable[..., Task]
) -> None:
    task = tiny_task(precision=precision)
    model = diffusion.load(task)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert {p.dtype for p in model.denoiser.parameters() if not p.requires_grad} == {dtype}
    assert {p.dtype for p in model.lora().values()} == {torch.float32}
    drawn = drawn_by(model, task)
    assert drawn.log_prob.dtype == drawn.z_0.dtype == torch.float32
    before = weights(model)
    optimizer = state.initial_state(model, task).lora_optimizer
    metrics = update(DDPO(drawn, ALTERNATING, task, 0), model, optimizer, task)
    assert metrics[0]["ratio_error"] <= task.update.clip_range / 5
    assert not torch.equal(weights(model), before)


def test_what_is_measured_while_labels_are_given_is_what_training_would_measure(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task(precision="bf16", update={"micro_batch_size": 3})
    early, late = diffusion.load(task), diffusion.load(task)
    drawn = drawn_by(early, task)
    found = []
    for model, old in ((early, ddpo.remeasured(early, drawn, task, 0)), (late, drawn)):
        optimizer = state.initial_state(model, task).lora_optimizer
        metrics = update(DDPO(old, ALTERNATING, task, 0), model, optimizer, task)
        assert metrics[0]["ratio_error"] <= task.update.clip_range / 5
        found.append(weights(model))
    assert torch.equal(*found)


def test_what_is_measured_again_without_some_pictures_is_what_training_would_measure(
    tiny_task: Callable[..., Task],
) -> None:
    task, images = (
        tiny_task(precision="bf16", update={"micro_batch_size": 3}),
        torch.tensor([1, 2, 4, 7]),
    )
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    again = ddpo.remeasured(model, drawn, task, 0, images)
    left_out = [0, 3, 5, 6]
    assert torch.equal(again.log_prob[left_out], drawn.log_prob[left_out])
    optimizer = state.initial_state(model, task).lora_optimizer
    metrics = update(DDPO(again, ALTERNATING, task, 0, images), model, optimizer, task)
    assert len(metrics) == 1
    assert metrics[0]["ratio_error"] == 0


def gradient_of(task: Task, scale: float) -> tuple[torch.Tensor, float]:
    """The gradient of one step of all pictures, and the loss scale that it was computed with."""
    model = diffusion.load(task)
    objective = DDPO(drawn_by(model, task), ALTERNATING, task, 0)
    _, used = set_gradient(objective, model, torch.cat(objective.steps()), scale)
    gradients = [p.grad for p in model.lora().values() if p.grad is not None]
    return torch.cat([gradient.flatten() for gradient in gradients]), used


def test_float16_gradients_are_those_of_float32(tiny_task: Callable[..., Task]) -> None:
    """Their loss is multiplied, or the smallest would be rounded to nothing."""
    clip = {"clip_range": 0.5}
    full, _ = gradient_of(tiny_task(precision="fp32", update=clip), 1.0)
    half, _ = gradient_of(tiny_task(precision="fp16", update=clip), FLOAT16_LOSS_SCALE)
    assert (half - full).norm() < 0.05 * full.norm()


def test_an_overflow_of_float16_begins_the_step_again_and_is_remembered(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task(precision="fp16", update={"batch_size": 4})
    usual, _ = gradient_of(task, FLOAT16_LOSS_SCALE)
    found, used = gradient_of(task, 2.0**60)
    assert found.isfinite().all()
    assert (found - usual).norm() < 0.05 * usual.norm()

    scales: list[float] = []
    set_gradient = update_module.set_gradient

    def noted(objective: DDPO, model: Model, items: torch.Tensor, scale: float) -> Any:
        scales.append(scale)
        return set_gradient(objective, model, items, scale)

    monkeypatch.setattr(update_module, "FLOAT16_LOSS_SCALE", 2.0**60)
    monkeypatch.setattr(update_module, "set_gradient", noted)
    updated(task, ALTERNATING)
    assert len(scales) == 2
    assert scales[0] == 2.0**60
    assert scales[1] <= used * 16


def test_a_loss_that_is_no_number_stops_the_update_and_teaches_nothing(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    before = weights(model)
    objective = DDPO(drawn_by(model, task), ALTERNATING * float("nan"), task, 0)
    with pytest.raises(EngineError, match=r"not finite.*update\.learning_rate"):
        update(objective, model, state.initial_state(model, task).lora_optimizer, task)
    assert torch.equal(weights(model), before)


def test_an_optimizer_step_is_taken_for_every_group_of_pictures(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task(update={"batch_size": 3})
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    steps: list[tuple[int, int]] = []
    optimizer = state.initial_state(model, task).lora_optimizer
    note = lambda step, total, metrics: steps.append((step, total))  # noqa: E731
    update(DDPO(drawn, ALTERNATING, task, 0), model, optimizer, task, note)
    assert steps == [(1, 3), (2, 3), (3, 3)]
