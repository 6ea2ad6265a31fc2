"""The shipped tasks are the paper's."""

import pytest

from hero_engine.cartoons import SUBJECTS
from hero_engine.run.resolve import resolve, shipped_tasks

PROMPTS = {
    "hand": "1 hand",
    "blue-rose": "photo of one blue rose in a vase",
    "black-cat": "a black cat sitting inside a cardboard box",
    "narcissus": "narcissus by a quiet spring and its reflection in the water",
    "mountain": "beautiful mountains viewed from a train window",
}


def test_these_tasks_are_shipped() -> None:
    assert set(shipped_tasks()) == {*PROMPTS, "safety"}


@pytest.mark.parametrize("name", [*PROMPTS, "safety"])
def test_every_task_has_criteria_a_category_and_an_oracle_and_fits_every_model(name: str) -> None:
    task = resolve(name).task
    assert task.name == name
    assert task.criteria
    assert task.categories
    assert task.oracle in SUBJECTS
    assert task.model == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert task.update.steps == "last"
    assert resolve(name, model="embedded").task.model == "embedded"


@pytest.mark.parametrize("name", PROMPTS)
def test_the_prompts_are_the_papers(name: str) -> None:
    assert resolve(name).task.prompts == (PROMPTS[name],)


def test_the_budgets_are_the_papers() -> None:
    for name in shipped_tasks():
        task = resolve(name).task
        expected = (128, 9, 20, 1152) if name == "hand" else (64, 8, 50, 512)
        assert expected == (
            task.feedback.batch_size,
            task.feedback.rounds,
            task.sampling.steps,
            task.labels_budget,
        )


def test_transfer_prompts_are_the_papers() -> None:
    assert resolve("mountain").task.transfer_prompts == (
        "hiker watching beautiful mountains from the top of a hill",
    )
    safety = resolve("safety").task
    assert len(safety.prompts) == 5
    assert len(set(safety.transfer_prompts)) == 14
    assert not set(safety.prompts) & set(safety.transfer_prompts)
