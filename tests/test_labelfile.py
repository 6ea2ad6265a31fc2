"""The label file: what is read, what is written, what is refused and how."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hero_engine.errors import InputError
from hero_engine.run import labelfile
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.task import Task
from tests.mangling import mangled, refusal

TASK = Task.model_validate(
    {
        "name": "black-cat",
        "prompts": ["a cat"],
        "criteria": ["a cat is seen"],
        "feedback": {"batch_size": 10, "rounds": 4},
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.yaml"


def load(path: Path, rounds: str, submitted: list[Labels] | None = None) -> list[Labels]:
    path.write_text(f"task: black-cat\nrounds:\n{rounds}")
    return labelfile.load(path, TASK, submitted or [])


def test_the_best_of_pictures_that_the_run_begins_with_can_stay_in_its_first_round(
    path: Path,
) -> None:
    path.write_text("task: black-cat\nrounds: [{good: [1], best: keep}, {good: [2]}]\n")
    with pytest.raises(InputError, match="round 0: best: there is no reigning best to keep"):
        labelfile.load(path, TASK)
    kept = [Labels.of([1], KEEP), Labels.of([2], KEEP)]
    assert labelfile.load(path, TASK, has_best=True) == kept


def test_the_documented_example_is_read(path: Path) -> None:
    rounds = load(
        path,
        "  - good: [0, 5, 9]   # picture numbers from 0; every other picture of the round is bad\n"
        "    best: 5           # one of good, or keep (the reigning best stays)\n"
        "    unsure: [3, 8]    # optional: neither good nor bad, learned from by nothing\n"
        "  - good: []          # nothing good this round\n",
    )
    assert rounds == [Labels.of([0, 5, 9], 5, unsure=[3, 8]), Labels.of([], KEEP)]


def test_without_a_best_the_reigning_best_stays(path: Path) -> None:
    rounds = load(path, "- good: []\n- {good: [1], best: 1}\n- good: [2]\n")
    assert rounds == [Labels(), Labels.of([1], 1), Labels.of([2], KEEP)]


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ("- {good: [10], best: 10}", "round 0: good: there is no picture 10"),
        ("- {good: [-1], best: -1}", "round 0: good: there is no picture -1"),
        ("- {good: [1], best: 2}", "round 0: best: picture 2 is not one of the good pictures"),
        ("- {good: [1], best: keep}", "round 0: best: there is no reigning best to keep"),
        ("- {good: [1]}", "round 0: best: choose the best"),
        ("- {good: []}\n- {good: [1]}", "round 1: best: choose the best"),
        ("- {good: [3, 3], best: 3}", "rounds.0.good: picture 3 is given twice"),
        ("- {good: [1], best: first}", "rounds.0.best: expected a picture's number, or keep"),
        ("- {good: [1], best: yes}", "rounds.0.best: expected a picture's number, or keep"),
        ("- {good: [1.0], best: 1}", "rounds.0.good.0"),
        ("- {good: [yes], best: 1}", "rounds.0.good.0"),
        ("- {best: 1}", "rounds.0.good: Field required"),
        ("- {good: [1], best: 1, unsure: [10]}", "round 0: unsure: there is no picture 10"),
        (
            "- {good: [1], best: 1, unsure: [1]}",
            "round 0: unsure: picture 1 is among the good ones",
        ),
        ("- {good: [1], best: 2, unsure: [2]}", "round 0: best: picture 2 is not one of the good"),
        ("- {good: [], unsure: [2, 2]}", "rounds.0.unsure: picture 2 is given twice"),
        ("- {good: [], unsure: 2}", "rounds.0.unsure"),
        ("- {good: [1], best: 1, bad: [2]}", "rounds.0.bad: there is no such field"),
        ("- good: []\n" * 5, "rounds: 5 rounds, the run has 4"),
        ("- good: 1", "rounds.0.good"),
    ],
)
def test_a_wrong_round_is_named_with_the_file(path: Path, rounds: str, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        load(path, rounds)
    assert str(refused.value).startswith(f"{path}: ")
    assert expected in str(refused.value)


def test_labels_for_another_task_are_refused(path: Path) -> None:
    path.write_text("task: blue-rose\nrounds: []\n")
    with pytest.raises(InputError, match="for 'blue-rose', the run is 'black-cat'"):
        labelfile.load(path, TASK)


def test_the_file_has_to_agree_with_what_is_submitted(path: Path) -> None:
    rounds = "- {good: [1], best: 1}\n- {good: [2], best: keep}\n"
    assert len(load(path, rounds, [Labels.of([1], 1)])) == 2
    with pytest.raises(InputError, match="round 0: the run has other labels"):
        load(path, rounds, [Labels.of([1, 2], 1)])


@st.composite
def submitted_rounds(draw: st.DrawFn) -> list[Labels]:
    """Rounds as a record holds them: complete and settled."""
    rounds: list[Labels] = []
    for _ in range(draw(st.integers(0, 4))):
        good = draw(st.frozensets(st.integers(0, 9)))
        unsure = draw(st.frozensets(st.integers(0, 9))) - good
        reigning = any(isinstance(labels.best, int) for labels in rounds)
        bests = [*sorted(good), *([KEEP] if reigning else [])] or [None]
        rounds.append(Labels.of(good, draw(st.sampled_from(bests)), unsure))
    return rounds


@given(rounds=submitted_rounds())
def test_what_is_written_is_read_back(rounds: list[Labels]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.yaml"
        path.write_text(labelfile.dump("black-cat", rounds))
        assert labelfile.load(path, TASK, rounds) == rounds


@pytest.mark.parametrize("name", ["null", "123", "1e5", "yes", "0x10"])
def test_a_task_name_that_yaml_would_misread_is_quoted(path: Path, name: str) -> None:
    path.write_text(labelfile.dump(name, []))
    assert labelfile.load(path, TASK.model_copy(update={"name": name})) == []


VALID = {
    "task": "black-cat",
    "rounds": [
        {"good": [0, 5, 9], "best": 5, "unsure": [3, 8]},
        {"good": []},
        {"good": [3], "best": "keep"},
    ],
}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=mangled(VALID))
def test_any_mangled_label_file_loads_or_is_refused_by_name(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mangled.yaml"
        path.write_bytes(data)
        refused = refusal(lambda: labelfile.load(path, TASK))
    assert refused is None or "mangled.yaml" in refused
