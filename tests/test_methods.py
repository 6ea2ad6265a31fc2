"""Each system of the paper is settings of the one loop: what they are, and that each one learns."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.cartoons.drawing import ENHANCED, PROMPTS
from hero_engine.engine.interrupts import Stop
from hero_engine.errors import InputError
from hero_engine.method.lesson import Lesson
from hero_engine.method.objectives import objective_of
from hero_engine.method.rollout import Rollout
from hero_engine.method.update import LearnsFrom
from hero_engine.model.diffusion import Model
from hero_engine.results.export import export
from hero_engine.run.folder import RunFolder, list_runs, trained_round
from hero_engine.run.labels import Labels
from hero_engine.run.methods import METHODS, Method
from hero_engine.run.record import Record
from hero_engine.run.resolve import resolve
from hero_engine.run.rollback import roll_back
from hero_engine.run.status import status
from hero_engine.run.task import Task
from hero_tui import statusview
from hero_tui.headless.drive import summary
from tests.engine_runs import new_run, run_here

TASK = """
name: tiny
prompts: [a cat]
enhanced_prompt: a cat, sharp, in a warm light
criteria: [a cat is seen]
model: {model}
precision: fp32
sampling: {{steps: 6, chunk_size: 4}}
feedback: {{batch_size: 8, rounds: 2}}
embedding: {{width: 32, head: [16, 8], learning_rate: 0.001, steps: 20}}
"""
LABELS = [Labels.of([0, 3], 3), Labels.of([1, 2, 5], 2)]


def brightness(pictures: np.ndarray, prompts: list[str]) -> list[float]:
    """A reward of a user's own."""
    assert prompts == ["a cat"] * len(pictures)
    return [float(picture.mean()) for picture in pictures]


@pytest.fixture
def run_method(tiny_pipeline: Path, tmp_path: Path) -> Callable[..., RunFolder]:
    """A whole run by a method, with the task file above and these settings."""

    def run(method: str, *overrides: str) -> RunFolder:
        file = tmp_path / "tiny.yaml"
        file.write_text(TASK.format(model=tiny_pipeline))
        task = resolve(str(file), method=method, overrides=overrides).task
        folder = new_run(tmp_path, task, f"{method}-run")
        run_here(folder, LABELS if task.asks_for_labels else []).close()
        return folder

    return run


def lora_of(folder: RunFolder, round_number: int) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    found: dict[str, Tensor] = load_file(folder.checkpoint(round_number) / "lora.safetensors")
    return found


def has_learned(folder: RunFolder, round_number: int) -> bool:
    """Whether the LoRA changes the model: its B begins as zero."""
    return any(bool(t.any()) for name, t in lora_of(folder, round_number).items() if "_B" in name)


LEARNING = {
    "hero": (),
    "hero+": ("update.batch_size=8", "update.optimizer_steps=3"),
    "d3po": ("update.batch_size=2",),
    "ddpo": ("feedback.rounds=2", "reward.function=tests.test_methods:brightness"),
}


@pytest.mark.parametrize(("method", "overrides"), LEARNING.items())
def test_a_method_learns_each_round(
    run_method: Callable[..., RunFolder], method: str, overrides: tuple[str, ...]
) -> None:
    folder = run_method(method, *overrides)
    found = status(folder)
    assert found["state"] == "finished"
    assert len(found["history"]) == 2
    first, second = lora_of(folder, 0), lora_of(folder, 1)
    assert has_learned(folder, 0)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert all(bool(t.isfinite().all()) for t in second.values())


def test_no_labels_are_asked_for_where_a_function_rewards(
    run_method: Callable[..., RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_method("ddpo", *LEARNING["ddpo"])
    found = status(folder)
    assert found["labels_budget"] == 0
    assert [r["success_rate"] for r in found["history"]] == [None, None]
    statusview.show(found, folder.task(), "", "RUN")
    said = capsys.readouterr().out
    assert "2 of 2 rounds done, no labels" in said
    assert "unsure" not in said
    export(folder, folder.exports)
    card = (folder.exports / "README.md").read_text("utf-8")
    assert "after 2 rounds of rewards by a function." in card
    assert "nobody was asked which are" in card
    assert "HERO turned" not in card


def test_noise_alone_learns_nothing_and_fills_the_pool(
    run_method: Callable[..., RunFolder],
) -> None:
    folder = run_method("noise-only")
    assert not has_learned(folder, 1)
    assert (folder.checkpoint(1) / "noise_pool.safetensors").stat().st_size > 1000
    noises = [r["noise_norm"] for r in status(folder)["history"]]
    assert noises[0] != noises[1]


@pytest.mark.parametrize("method", ["pretrained", "enhanced"])
def test_without_rounds_the_base_model_is_only_evaluated(
    run_method: Callable[..., RunFolder], method: str
) -> None:
    folder = run_method(method)
    found = status(folder)
    assert (found["state"], found["labels_used"], found["history"]) == ("finished", 0, [])
    with closing(folder.open_record()) as record:
        said = summary(folder, record)
    assert "no LoRA to export" in said
    with pytest.raises(InputError, match="a run without rounds learns nothing"):
        trained_round(folder, None)
    asked = folder.task().prompts
    assert asked == (("a cat",) if method == "pretrained" else ("a cat, sharp, in a warm light",))


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[Lesson]:
    """What the LoRA is trained on, in turn."""
    from hero_engine.engine.team import Team

    noted: list[Lesson] = []
    update = Team.update

    def note(team: Team, lesson: Lesson, *others: Any) -> None:
        noted.append(lesson)
        update(team, lesson, *others)

    monkeypatch.setattr(Team, "update", note)
    return noted


DREAMBOOTH = ("dreambooth", "update.optimizer_steps=4", "update.prior_images=3")


def bests(folder: RunFolder) -> Tensor:
    """The clean latents of the best pictures of `LABELS`."""
    rollouts = [Rollout.load(folder.rollout(number)) for number in (0, 1)]
    return torch.stack([rollouts[0].z_0[3], rollouts[1].z_0[2]])


def test_dreambooth_learns_from_the_best_of_all_rounds_after_the_last(
    run_method: Callable[..., RunFolder], lessons: list[Lesson]
) -> None:
    folder = run_method(*DREAMBOOTH, "feedback.rounds=2")
    assert not has_learned(folder, 0)
    assert has_learned(folder, 1)
    (lesson,) = lessons
    assert torch.equal(lesson.examples, bests(folder))
    assert folder.task().taught_prompts == ("sks a cat",)


@pytest.mark.parametrize("killed", [False, True])
def test_dreambooth_learns_from_what_there_is_when_the_person_is_satisfied(
    run_method: Callable[..., RunFolder],
    lessons: list[Lesson],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    killed: bool,
) -> None:
    """Also if the engine is ended when that is on the disk and not in the record yet."""
    set_progress, finish_training = Record.set_progress, Record.finish_training
    left, waits = [0, 1, *([] if killed else [1])], 2

    def tell(record: Record, phase: str, done: int, total: int) -> None:
        set_progress(record, phase, done, total)
        if phase == "waiting for labels" and record.rounds()[-1].number == waits:
            record.send("finish")

    def end(record: Record, number: int, *others: Any) -> None:
        if number not in left:
            raise Stop
        left.remove(number)
        finish_training(record, number, *others)

    monkeypatch.setattr(Record, "set_progress", tell)
    monkeypatch.setattr(Record, "finish_training", end)
    try:
        folder = run_method(*DREAMBOOTH, "feedback.rounds=4")
    except Stop:
        assert killed
        left.append(1)
        (folder,) = list_runs(tmp_path)
        run_here(folder, []).close()
    assert status(folder)["state"] == "finished"
    (lesson,) = lessons
    assert torch.equal(lesson.examples, bests(folder))
    assert has_learned(folder, 1)
    last = status(folder)["history"][1]
    assert last["base_drift"] is not None
    assert last["base_drift"] > 0
    assert last["outcome"] == "", "it is not said that nothing is learned"
    exported = load_file(folder.exports / "pytorch_lora_weights.safetensors")
    assert any(tensor.any() for name, tensor in exported.items() if ".up." in name)
    # Who goes on from there, and finishes again, has one best picture more.
    left[:], waits = [2, 2], 3
    roll_back(folder, 1)
    run_here(folder, [*LABELS, Labels.of([4], 4)]).close()
    assert [len(lesson.examples) for lesson in lessons] == [2, 3]


class Towards:
    """A method of one's own: each good picture's latent is predicted, at the noisiest time."""

    learns_from: ClassVar[LearnsFrom] = "rewards"
    mean_metrics: ClassVar[tuple[str, ...]] = ()
    max_metrics: ClassVar[tuple[str, ...]] = ()

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson

    @classmethod
    def of(cls, model: Model, lesson: Lesson) -> "Towards":
        return cls(lesson)

    def steps(self) -> list[Tensor]:
        return [self.lesson.images[self.lesson.advantage[self.lesson.images] > 0]]

    def losses(self, model: Model, items: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        z_T, first = self.lesson.rollout.z_T[items], torch.zeros_like(items)
        predicted = model.predict(z_T, first, first, 1.0)
        return (predicted - z_T).pow(2).flatten(1).mean(1), {}

    def check(self, model: Model, metrics: Mapping[str, float]) -> None: ...


def test_a_method_of_ones_own_is_a_class_and_a_line_in_a_table(
    run_method: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"update.objective": ("tests.test_methods:Towards", "a test")}
    monkeypatch.setitem(METHODS, "towards", Method("mine", own))
    folder = run_method("towards")
    assert has_learned(folder, 0)
    assert folder.task().method == "towards"


def test_methods_settings_win_over_the_file_when_asked_for_by_the_option(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    text = TASK.format(model="embedded").replace("rounds: 2", "rounds: 9")
    file.write_text(text)
    assert resolve(str(file)).task.feedback.rounds == 9
    assert resolve(str(file), method="dreambooth").task.feedback.rounds == 4
    chosen = resolve(str(file), method="dreambooth", overrides=["feedback.rounds=5"])
    assert chosen.task.feedback.rounds == 5
    assert chosen.origins["noise.pool"] == "method dreambooth: each round from fresh noise"
    file.write_text(text + "method: dreambooth\n")
    assert resolve(str(file)).task.feedback.rounds == 9
    assert resolve(str(file)).task.noise.pool == "none"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_a_task_of_every_shipped_subject(method: str) -> None:
    for name in PROMPTS:
        assert resolve(name, model="embedded", method=method).task.method == method
        assert resolve(name, method=method).task.method == method


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "herr"}, "method: expected one of hero, hero"),
        ({"overrides": ["update.objective=nfd"]}, "update.objective: expected one of ddpo, nft"),
        ({"overrides": ["reward.name=function"]}, "reward: the reward `function` and"),
    ],
)
def test_what_there_is_not_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        resolve("black-cat", model="embedded", **wrong)


def test_the_embedded_model_was_taught_the_enhanced_prompts() -> None:
    for name, (caption, _) in ENHANCED.items():
        (asked,) = resolve(name, model="embedded", method="enhanced").task.prompts
        assert asked.lower() == caption


def test_enhanced_needs_a_prompt(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TASK.format(model="embedded").replace("enhanced_prompt", "negative_prompt"))
    with pytest.raises(InputError, match="enhanced_prompt: the method enhanced needs one"):
        resolve(str(file), method="enhanced")


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ("nowhere:Towards", "update.objective nowhere:Towards: cannot import nowhere"),
        ("tests.test_methods:Elsewhere", "has no function Elsewhere"),
        ("tests.test_methods:brightness", "expected a class"),
    ],
)
def test_an_objective_that_cannot_be_had_is_named(
    tiny_task: Callable[..., Task], objective: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        objective_of(tiny_task(update={"objective": objective}))


def wrong_count(pictures: np.ndarray, prompts: list[str]) -> list[float]:
    return [1.0]


def broken(pictures: np.ndarray, prompts: list[str]) -> list[float]:
    raise ZeroDivisionError("no light")


@pytest.mark.parametrize(
    ("function", "said"),
    [("wrong_count", "expected 8 numbers, one a picture"), ("broken", "ZeroDivisionError")],
)
def test_a_reward_function_that_fails_is_named(
    run_method: Callable[..., RunFolder], function: str, said: str
) -> None:
    with pytest.raises(InputError, match=f"reward.function tests.test_methods:{function}.*{said}"):
        run_method("ddpo", "feedback.rounds=1", f"reward.function=tests.test_methods:{function}")
