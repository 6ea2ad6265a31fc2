"""What `hero-tui evaluate` has the engine do, on a tiny pipeline."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import torch

from hero_engine.errors import InputError
from hero_engine.method import state
from hero_engine.method.rollout import sample_pictures
from hero_engine.model import diffusion, seeds
from hero_engine.results import evaluate as evaluating
from hero_engine.results import scorers
from hero_engine.results.evaluate import evaluate
from hero_engine.run.evaluation_request import EvaluationRequest
from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.labels import Labels
from hero_engine.run.pictures import read_picture
from hero_engine.run.sources import SOURCES, TRANSFERRED, evaluated
from hero_engine.run.task import Task

SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2)]
REQUEST = EvaluationRequest(images=4)


@pytest.fixture(scope="session")
def shared(
    tiny_pipeline: Path, finished_run: Callable[[Task, Sequence[Labels]], RunFolder]
) -> RunFolder:
    from tests.engine_runs import tiny_task_of

    task = tiny_task_of(
        tiny_pipeline,
        feedback={"rounds": 2},
        evaluation={"images": 6},
        sampling={"steps": 4},
        embedding={"steps": 2},
        update={"learning_rate": 0.1},
        transfer_prompts=["a dog", "a bird"],
    )
    return finished_run(task, SCRIPT)


@pytest.fixture
def run(shared: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(shared.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def drawn(run: RunFolder, task: Task, image: int, checkpoint: int | None) -> torch.Tensor:
    """A picture from fresh noise as the rollout draws it."""
    model = diffusion.load(task)
    if checkpoint is not None:
        state.load_result(model, run.checkpoint(checkpoint))
    z_T = seeds.normal(task.seed, "final-fresh", 0, [image], model.latent_shape)
    return sample_pictures(model, task, z_T, torch.tensor([image]), "final-fresh")[0]


def near(path: Path, picture: torch.Tensor) -> bool:
    difference = torch.tensor(read_picture(path)).int() - picture.int()
    return bool(difference.abs().max() <= 1)


def test_base_and_taught_model_draw_from_the_same_noise(run: RunFolder) -> None:
    evaluate(run, REQUEST)
    task, what = run.task(), evaluated(run, None, 4)
    assert what.numbers("fresh") == [0, 1, 3, 4]
    assert near(run.final_image("base", 3), drawn(run, task, 3, None))
    assert near(run.final_image("fresh", 3), drawn(run, task, 3, 1))
    assert not near(run.final_image("base", 3), drawn(run, task, 3, 1))
    assert not what.missing()


def test_what_is_there_is_not_drawn_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(run, REQUEST)
    lost = run.final_image("pi", 3)
    before, kept = lost.read_bytes(), run.final_image("fresh", 3)
    lost.unlink()
    stamp = kept.stat().st_mtime_ns
    evaluate(run, REQUEST)
    assert lost.read_bytes() == before
    assert kept.stat().st_mtime_ns == stamp

    def refuse(task: Task) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(diffusion, "load", refuse)
    evaluate(run, REQUEST)


def test_an_earlier_round_has_pictures_of_its_own_and_the_same_base(run: RunFolder) -> None:
    evaluate(run, EvaluationRequest(images=2, round=0))
    assert near(run.evaluated_image(0, "fresh", 3), drawn(run, run.task(), 3, 0))
    assert run.final_image("base", 3).is_file()
    assert not run.final_image("fresh", 3).exists()


def test_transfer_prompts_are_drawn_in_turn(run: RunFolder) -> None:
    evaluate(run, EvaluationRequest(images=4, sources=TRANSFERRED))
    assert not run.final_image("pi", 0).exists(), "nobody asked for it"
    what = evaluated(run, None, 4)
    assert what.numbers("transfer-base") == [0, 1, 2, 3]
    assert what.prompt("transfer-fresh", 3) == "a bird"
    base = [read_picture(what.path("transfer-base", n)) for n in range(4)]
    assert all((base[n] != base[m]).any() for n in range(4) for m in range(n))
    assert (read_picture(what.path("transfer-fresh", 0)) != base[0]).any()


def test_diversity_is_measured_by_pixels_where_there_are_no_weights(run: RunFolder) -> None:
    evaluate(run, REQUEST)
    with closing(run.open_record()) as record:
        found = record.evaluations.measured(1, 4)
    assert found.keys() == {"base", "fresh", "pi"}
    assert found["pi"].keys() == {"diversity"}


def test_a_scorer_that_is_not_here_is_named_and_the_rest_is_measured(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Fake:
        def __call__(self, pictures: list[object], prompts: list[str]) -> list[float]:
            return [float(len(prompt)) for prompt in prompts]

    def load(name: str) -> Fake:
        if name == "blip-itm":
            return Fake()
        raise scorers.Unavailable(f"{name}: unavailable: fetch it")

    monkeypatch.setattr(evaluating, "load_scorer", load)
    evaluate(
        run,
        EvaluationRequest(
            images=4, sources=(*SOURCES, *TRANSFERRED), scorers=("pickscore", "blip-itm")
        ),
    )
    assert "pickscore: unavailable: fetch it" in capsys.readouterr().err
    with closing(run.open_record()) as record:
        found = record.evaluations.scores(1)
    assert found["blip-itm", "base"] == dict.fromkeys([0, 1, 3, 4], 5.0)
    assert found["blip-itm", "transfer-base"][1] == 6.0


def test_no_two_processes_draw_at_once(run: RunFolder) -> None:
    with engine_lock(run), pytest.raises(InputError, match="is this run's engine"):
        evaluate(run, REQUEST)
