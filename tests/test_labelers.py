"""Who labels without a terminal: what they are given, and what is made of their answer."""

from pathlib import Path

import numpy as np
import pytest

from hero_engine.cartoons.drawing import draw
from hero_engine.cartoons.oracle import judge
from hero_engine.errors import InputError
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.resolve import resolve
from hero_engine.run.task import Task
from hero_tui.headless import labelers
from hero_tui.headless.labelers import RoundView


@pytest.fixture(scope="module")
def task() -> Task:
    overrides = ["feedback.batch_size=6", "feedback.rounds=2"]
    return resolve("black-cat", model="embedded", overrides=overrides).task


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six pictures: the even ones right, the odd ones flawed."""
    folder = tmp_path_factory.mktemp("drawings")
    rng = np.random.default_rng(0)
    paths = []
    for image in range(6):
        paths.append(folder / f"{image:03d}.png")
        while True:
            drawing = draw("black-cat", rng, right=image % 2 == 0)
            if judge("black-cat", drawing.image).good == drawing.right:
                break
        drawing.image.save(paths[-1])
    return paths


def view(task: Task, paths: list[Path], reigning_best: Path | None = None) -> RoundView:
    return RoundView(number=0, paths=paths, task=task, reigning_best=reigning_best)


def quality(path: Path) -> float:
    from PIL import Image

    return judge("black-cat", Image.open(path)).quality


# -- the oracle ------------------------------------------------------------------------------


def test_the_oracle_marks_the_right_pictures_and_the_best_of_them(
    task: Task, drawings: list[Path]
) -> None:
    labels = labelers.from_oracle(task)(view(task, drawings))
    assert labels is not None
    assert labels.good == {0, 2, 4}
    assert isinstance(labels.best, int)
    assert quality(drawings[labels.best]) == max(quality(path) for path in drawings)


def test_the_oracle_keeps_a_reigning_best_that_is_better(task: Task, drawings: list[Path]) -> None:
    oracle = labelers.from_oracle(task)
    worst, *_, best = sorted([drawings[n] for n in (0, 2, 4)], key=quality)
    others = [path for path in drawings if path != best]
    kept = oracle(view(task, others, reigning_best=best))
    assert kept is not None
    assert kept.best == KEEP
    replaced = oracle(view(task, drawings, reigning_best=worst))
    assert replaced is not None
    assert replaced.best == drawings.index(best)


def test_the_oracle_may_find_nothing_good(task: Task, drawings: list[Path]) -> None:
    flawed = drawings[1::2]
    assert labelers.from_oracle(task)(view(task, flawed)) == Labels()


# -- one's own function ----------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module that a test writes into the current folder."""
    monkeypatch.chdir(tmp_path)
    return f"labeler_{abs(hash(request.node.nodeid))}"


def define(module: str, body: str) -> labelers.Labeler:
    Path(f"{module}.py").write_text(f"import numpy as np\ndef f(paths, task):\n    {body}\n")
    return labelers.from_function(f"{module}:f")


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("[0, 2], 2", Labels.of([0, 2], 2)),
        ("[], None", Labels()),
        ("(i for i in range(2)), 1", Labels.of([0, 1], 1)),
        ("[[0], 0]", Labels.of([0], 0)),
        ("np.array([1, 2]), np.int64(1)", Labels.of([1, 2], 1)),
        ("[0, 2], 2, [1, np.int64(3)]", Labels.of([0, 2], 2, unsure=[1, 3])),
    ],
)
def test_a_functions_answer_is_understood(
    module: str, task: Task, drawings: list[Path], returned: str, expected: Labels
) -> None:
    assert define(module, f"return {returned}")(view(task, drawings)) == expected


def test_a_function_may_keep_the_reigning_best(
    module: str, task: Task, drawings: list[Path]
) -> None:
    label = define(module, "return [1], 'keep'")
    assert label(view(task, drawings, drawings[0])) == Labels.of([1], KEEP)
    with pytest.raises(InputError, match="no reigning best to keep"):
        label(view(task, drawings))


def test_a_function_with_a_parameter_view_knows_the_round(
    module: str, task: Task, drawings: list[Path]
) -> None:
    Path(f"{module}.py").write_text(
        "def f(paths, task, view):\n"
        "    return [view.number], 'keep' if view.reigning_best else view.number\n"
    )
    label = labelers.from_function(f"{module}:f")
    later = RoundView(number=2, paths=drawings, task=task, reigning_best=drawings[0])
    assert label(view(task, drawings)) == Labels.of([0], 0)
    assert label(later) == Labels.of([2], KEEP)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("None", "it returned None: expected"),
        ("[0, 1, 2]", "expected"),
        ("'ab', 1", "expected"),
        ("[0.5], 0", "expected"),
        ("[True], 0", "expected"),
        ("[0], 'best'", "expected"),
        ("[0], np.zeros(3)", "expected"),
        ("[99], 99", "there is no picture 99"),
        ("[0], 0, 1", "expected"),
        ("[0], 0, [0]", "unsure: picture 0 is among the good ones"),
        ("[0], 0, [1], []", "expected"),
        ("[0], 1", "picture 1 is not one of the good"),
        ("[0], None", "choose the best"),
    ],
)
def test_a_wrong_answer_is_shown_with_the_functions_name(
    module: str, task: Task, drawings: list[Path], returned: str, expected: str
) -> None:
    with pytest.raises(InputError, match=f"--labeler {module}:f: it returned") as refused:
        define(module, f"return {returned}")(view(task, drawings))
    assert expected in str(refused.value)


def test_an_error_in_a_function_is_shown_with_its_line(
    module: str, task: Task, drawings: list[Path]
) -> None:
    label = define(module, "return task.no_such_thing")
    with pytest.raises(InputError, match=rf"{module}\.py:3: AttributeError"):
        label(view(task, drawings))


def test_a_function_that_would_end_the_command_is_named(
    module: str, task: Task, drawings: list[Path]
) -> None:
    bodies = "import sys; sys.exit(7)", "import sys; return (sys.exit(7) for _ in '1'), 0"
    for number, body in enumerate(bodies):
        name = f"{module}{number}"  # a module is imported once
        with pytest.raises(InputError, match=rf"{name}\.py:3: SystemExit: 7"):
            define(name, body)(view(task, drawings))


def test_an_error_while_importing_is_shown_with_its_line(module: str) -> None:
    with pytest.raises(InputError, match=rf"cannot import {module}: .*{module}\.py:3"):
        define(module, "return (")
    Path(f"{module}b.py").write_text("x = 1\ny = x / 0\n")
    with pytest.raises(InputError, match=rf"{module}b\.py:2: ZeroDivisionError"):
        labelers.from_function(f"{module}b:f")
