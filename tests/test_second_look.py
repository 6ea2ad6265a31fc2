"""Which labels are worth a second look, and what comes of it."""

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from hero_engine.errors import InputError
from hero_engine.run.labels import Labels
from hero_engine.run.record import Record, SecondLook
from hero_engine.run.second_look import MOST, LabelNoise, doubted, label_noise

GUESSES = {0: 0.9, 1: 0.8, 2: -0.2, 3: 0.1, 4: 0.0, 5: 0.95, 6: 0.3}


def test_labels_that_the_guess_contradicts_come_first_by_how_much() -> None:
    """The goods' middle is 0.8, the bads' 0.1."""
    labels = Labels.of([0, 1, 2], 0)
    assert doubted(labels, GUESSES) == [2, 5]


def test_what_is_unsure_is_neither_asked_again_nor_compared_with() -> None:
    labels = Labels.of([0, 1, 2], 0, unsure=[5])
    assert doubted(labels, GUESSES) == [2]
    assert doubted(Labels.of([0, 1, 2], 0, unsure=[3, 4, 5, 6]), GUESSES) == []


@pytest.mark.parametrize(
    ("labels", "guesses"),
    [
        (Labels.of([0, 1], 0), {}),
        (Labels(), GUESSES),
        (Labels.of(range(7), 0), GUESSES),
    ],
    ids=["nothing has been learned", "no good", "no bad"],
)
def test_without_something_to_compare_nothing_is_in_doubt(
    labels: Labels, guesses: dict[int, float]
) -> None:
    assert doubted(labels, guesses) == []


def test_a_guess_that_agrees_doubts_nothing() -> None:
    assert doubted(Labels.of([0, 1, 5], 0), GUESSES) == []


def test_at_most_so_many_of_a_round_are_asked_again_those_before_counted() -> None:
    labels, contrary = Labels.of(range(20), 0), {image: -float(image < 20) for image in range(40)}
    assert doubted(labels, contrary) == list(range(MOST))
    assert doubted(labels, contrary, again=[0, 5, 30]) == [1, 2, 3, 4, 6]
    assert doubted(labels, contrary, again=range(30, 30 + MOST)) == []


def test_label_noise_is_how_many_were_corrected_with_its_interval() -> None:
    assert label_noise([]) is None
    looks = [SecondLook(1, n, "good", "bad" if n < 2 else "good") for n in range(8)]
    noise = label_noise(looks)
    assert noise == LabelNoise(8, 2)
    assert noise.share == 0.25
    low, high = noise.interval
    assert 0 < low < 0.25 < high < 1
    assert noise.words.startswith("2 of 8 labels that the engine doubted were corrected")


# -- in the record -------------------------------------------------------------------------------


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record.create(tmp_path / "run.sqlite")
    record.begin_round(0, 8)
    record.add_images(0, range(8))
    record.finish_sampling(0, {})
    return record


def test_an_answer_about_the_open_round_is_an_edit_that_can_be_taken_back(record: Record) -> None:
    record.label(0, Labels.of([1, 2], 1))
    record.look_again(0, 2, lambda labels: labels.marked([2], "bad"))
    record.look_again(0, 1, lambda labels: labels.marked([1], "good"))
    assert record.labels(0) == Labels.of([1], 1)
    assert record.second_looks() == [
        SecondLook(0, 1, "good", "good"), SecondLook(0, 2, "good", "bad"),
    ]  # fmt: skip
    record.undo(0)
    assert record.labels(0) == Labels.of([1, 2], 1)
    assert not any(look.corrected for look in record.second_looks())


def test_labels_that_have_been_learned_from_stay_and_the_answer_is_counted(record: Record) -> None:
    record.label(0, Labels.of([1, 2], 1))
    record.submit(0)
    for label in ("bad", "unsure"):
        record.look_again(0, 2, partial(Labels.marked, images=[2], label=label))
        assert record.labels(0) == Labels.of([1, 2], 1)
        assert record.second_looks() == [SecondLook(0, 2, "good", label)]


def test_a_look_before_the_round_was_submitted_keeps_what_the_label_was(record: Record) -> None:
    record.label(0, Labels.of([1, 2], 1))
    record.look_again(0, 2, lambda labels: labels.marked([2], "unsure"))
    record.submit(0)
    assert record.second_looks() == [SecondLook(0, 2, "good", "unsure")]


def test_a_round_that_does_not_exist_is_named(record: Record) -> None:
    with pytest.raises(InputError, match="round 3 does not exist"):
        record.look_again(3, 0, lambda labels: labels)


def test_going_back_forgets_the_looks_at_the_rounds_that_are_left(record: Record) -> None:
    record.label(0, Labels.of([1], 1))
    record.submit(0)
    record.look_again(0, 1, lambda labels: labels)
    record.begin_round(1, 8)
    record.label(1, Labels.of([3], 3))
    record.look_again(1, 3, lambda labels: labels)
    assert record.roll_back(0, "", if_unchanged=record.changes())
    assert [look.round for look in record.second_looks()] == [0]


def test_looks_are_in_a_copy_of_the_record(record: Record, tmp_path: Path) -> None:
    record.label(0, Labels.of([1], 1))
    record.look_again(0, 1, lambda labels: labels)
    record.copy_to(tmp_path / "copy.sqlite")
    with closing(Record.open(tmp_path / "copy.sqlite")) as copy:
        assert copy.second_looks() == record.second_looks()
