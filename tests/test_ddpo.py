"""The update: advantages, PPO's clip, the ratio self-check, and that the model really learns."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hero_engine.errors import EngineError
from hero_engine.method import ddpo, rollout, state
from hero_engine.method.rollout import Rollout
from hero_engine.model import diffusion, seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.task import Task


def drawn_by(model: Model, task: Task) -> Rollout:
    z_T = seeds.normal(0, "z_T", 0, range(task.feedback.batch_size), model.latent_shape)
    return rollout.sample(model, task, z_T, 0, lambda images, z_0, decoded: None)


def updated(task: Task, advantage: torch.Tensor) -> tuple[Model, Rollout, dict[str, float]]:
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    optimizer = state.initial_state(model, task).lora_optimizer
    return model, drawn, ddpo.update(model, optimizer, drawn, advantage, task, 0)


def weights(model: Model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.lora().values()])


ALTERNATING = torch.tensor([1.0, -1.0] * 4)


def test_advantages_are_normalised_and_clipped() -> None:
    found = ddpo.advantages(torch.tensor([0.0, 0.0, 1.0, 1.0]), 5)
    torch.testing.assert_close(found, torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    outlier = torch.zeros(64)
    outlier[0] = 1
    assert float(ddpo.advantages(outlier, 5).max()) == 5
    assert not ddpo.advantages(torch.full((8,), 0.7), 5).any()


def test_differences_that_mean_nothing_teach_little() -> None:
    nearly_alike = 0.9 + 0.004 * torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert float(ddpo.advantages(nearly_alike, 5).max()) == pytest.approx(1, rel=1e-3)
    floored = ddpo.advantages(nearly_alike, 5, floor=0.2)
    torch.testing.assert_close(floored, torch.tensor([0.02, -0.02, 0.02, -0.02]))
    by_prompt = ddpo.advantages(nearly_alike, 5, torch.tensor([0, 0, 1, 1]), floor=0.2)
    torch.testing.assert_close(by_prompt, floored)


def test_a_floor_changes_nothing_where_pictures_differ() -> None:
    rewards = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert torch.equal(ddpo.advantages(rewards, 5, floor=0.2), ddpo.advantages(rewards, 5))


def test_advantages_by_prompt_do_not_tell_a_hard_prompt_from_an_easy_one() -> None:
    prompts = torch.tensor([0, 1, 0, 1, 0, 1])
    rewards = torch.tensor([0.9, 0.1, 0.7, 0.3, 0.8, 0.2])
    found = ddpo.advantages(rewards, 5, prompts)
    for prompt in (0, 1):
        own = found[prompts == prompt]
        assert float(own.mean()) == pytest.approx(0, abs=1e-6)
        assert torch.equal(own, ddpo.advantages(rewards[prompts == prompt], 5))
    assert float(found[3]) == pytest.approx(float(found[0]))  # the best of either earns the same
    alike = torch.tensor([0.9, 0.1, 0.9, 0.3, 0.9, 0.2])
    assert not ddpo.advantages(alike, 5, prompts)[prompts == 0].any()


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
        assert metrics["ratio_error"] <= 1e-5


def test_a_rollout_of_another_model_is_refused(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    foreign = replace(drawn, log_prob=drawn.log_prob + 1e-3)
    before = weights(model)
    optimizer = state.initial_state(model, task).lora_optimizer
    with pytest.raises(EngineError, match="self-check"):
        ddpo.update(model, optimizer, foreign, ALTERNATING, task, 0)
    assert torch.equal(weights(model), before)


def test_log_probs_that_are_no_numbers_are_refused(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task()
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    broken = replace(drawn, log_prob=drawn.log_prob * float("nan"))
    optimizer = state.initial_state(model, task).lora_optimizer
    with pytest.raises(EngineError, match="self-check"):
        ddpo.update(model, optimizer, broken, ALTERNATING, task, 0)


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
        ddpo.update(model, optimizer, off, ALTERNATING, task, 0)
    assert torch.equal(weights(model), before)


def test_rewarded_pictures_become_more_likely(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(update={"clip_range": 0.5, "steps": "all"})
    model, drawn, _ = updated(task, ALTERNATING)
    images = torch.arange(8).repeat_interleave(6)
    transitions = torch.arange(6).repeat(8)
    with torch.no_grad():
        after = ddpo.log_probs(model, drawn, images, transitions, task).view(8, 6)
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
    assert metrics["ratio_error"] <= 1e-5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_weights_keep_the_ratio_at_one(
    precision: str, tiny_task: Callable[..., Task]
) -> None:
    task = tiny_task(precision=precision)
    model = diffusion.load(task)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert {p.dtype for p in model.unet.parameters() if not p.requires_grad} == {dtype}
    assert {p.dtype for p in model.lora().values()} == {torch.float32}
    drawn = drawn_by(model, task)
    assert drawn.log_prob.dtype == drawn.z_0.dtype == torch.float32
    before = weights(model)
    optimizer = state.initial_state(model, task).lora_optimizer
    metrics = ddpo.update(model, optimizer, drawn, ALTERNATING, task, 0)
    assert metrics["ratio_error"] <= task.update.clip_range / 5
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
        metrics = ddpo.update(model, optimizer, old, ALTERNATING, task, 0)
        assert metrics["ratio_error"] <= task.update.clip_range / 5
        found.append(weights(model))
    assert torch.equal(*found)


def test_float16_gradients_are_those_of_float32(tiny_task: Callable[..., Task]) -> None:
    """Their loss is multiplied, or the smallest would be rounded to nothing."""
    gradients = []
    for precision in ("fp32", "fp16"):
        task = tiny_task(precision=precision, update={"clip_range": 0.5})
        model = diffusion.load(task)
        drawn = drawn_by(model, task)
        ddpo._gradient(model, drawn, ALTERNATING, torch.arange(8), task)
        gradients.append(torch.cat([p.grad.flatten() for p in model.lora().values()]))
    full, half = gradients
    assert (half - full).norm() < 0.05 * full.norm()


def test_an_overflow_of_float16_begins_the_group_again(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task(precision="fp16")
    gradients = []
    for scale in (2.0**14, 2.0**60):
        monkeypatch.setattr(ddpo, "FLOAT16_LOSS_SCALE", scale)
        model = diffusion.load(task)
        ddpo._gradient(model, drawn_by(model, task), ALTERNATING, torch.arange(8), task)
        gradients.append(torch.cat([p.grad.flatten() for p in model.lora().values()]))
    assert gradients[1].isfinite().all()
    assert (gradients[1] - gradients[0]).norm() < 0.05 * gradients[0].norm()


def test_an_optimizer_step_is_taken_for_every_group_of_pictures(
    tiny_task: Callable[..., Task],
) -> None:
    task = tiny_task(update={"batch_size": 3})
    model = diffusion.load(task)
    drawn = drawn_by(model, task)
    steps: list[tuple[int, int]] = []
    ddpo.update(
        model, state.initial_state(model, task).lora_optimizer, drawn, ALTERNATING, task, 0,
        lambda step, total, metrics: steps.append((step, total)),
    )  # fmt: skip
    assert steps == [(1, 3), (2, 3), (3, 3)]
