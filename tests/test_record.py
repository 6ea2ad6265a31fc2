"""The record: labels that last, rounds in their order, two processes, damaged files."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hero_engine.errors import InputError
from hero_engine.run import labelfile
from hero_engine.run.folder import RunFolder, create_run
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.record import Progress, Record, Try
from hero_engine.run.record.database import _explained
from hero_engine.run.resolve import resolve
from hero_engine.run.status import status
from tests.mangling import refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Record.create(tmp_path / "run.sqlite").close()
    return tmp_path / "run.sqlite"


@pytest.fixture
def record(path: Path) -> Iterator[Record]:
    with closing(Record.open(path)) as opened:
        yield opened


def sample_round(record: Record, number: int, images: int = 4) -> None:
    record.begin_round(number, images)
    record.add_images(number, range(images))
    record.finish_sampling(number, {"diversity": 0.25, "noise_norm": 1.0})


def submit_round(record: Record, number: int, labels: Labels) -> None:
    sample_round(record, number)
    record.label(number, labels)
    record.submit(number)
    record.finish_training(number, {"train_s": 1.0})


def test_pictures_may_have_scores(record: Record) -> None:
    record.begin_round(0, 4)
    record.add_images(0, [0, 1], [0.5, -0.25])
    record.add_images(0, [2, 3])
    assert record.scores(0) == {0: 0.5, 1: -0.25}
    assert record.images(0) == [0, 1, 2, 3]


def test_what_was_asked_for_on_the_side_waits_until_it_is_answered(record: Record) -> None:
    first, second = record.ask_try("a cat"), record.ask_try("a dog")
    assert [(t.number, t.finished) for t in record.tries()] == [(first, False), (second, False)]
    record.finish_try(first, 2, 4)
    record.finish_try(second, 2, 0, "too long")
    cat, dog = record.tries()
    assert cat == Try(first, "a cat", 2, 4, "", finished=True)
    assert dog == Try(second, "a dog", 2, 0, "too long", finished=True)


# -- labels ----------------------------------------------------------------------------------


def test_every_edit_can_be_undone_and_redone(record: Record) -> None:
    sample_round(record, 0)
    steps = [Labels.of([1]), Labels.of([1, 2]), Labels.of([1, 2], 2)]
    for labels in steps:
        record.label(0, labels)
    for labels in [*reversed(steps[:-1]), Labels()]:
        assert record.undo(0)
        assert record.labels(0) == labels
    assert not record.undo(0)
    for labels in steps:
        assert record.redo(0)
        assert record.labels(0) == labels
    assert not record.redo(0)


def test_a_new_edit_ends_what_could_be_redone(record: Record) -> None:
    sample_round(record, 0)
    record.label(0, Labels.of([1]))
    record.label(0, Labels.of([2]))
    record.undo(0)
    record.label(0, Labels.of([3]))
    assert not record.redo(0)
    assert record.labels(0) == Labels.of([3])
    record.undo(0)
    assert record.labels(0) == Labels.of([1])


def test_an_edit_takes_the_place_of_the_writers_last_one_and_of_no_other(record: Record) -> None:
    sample_round(record, 0)
    record.label(0, Labels.of([1]))
    record.edit(0, lambda _: Labels.of([1, 2]))
    one, two = Labels.of([1]), Labels.of([1, 2])
    record.edit(0, lambda before: Labels.of([*before.good, 3]), (one, two))
    assert record.labels(0) == Labels.of([1, 3])
    record.undo(0)
    assert record.labels(0) == Labels.of([1])
    record.redo(0)
    record.edit(0, lambda before: Labels.of([*before.good, 4]), (one, two))
    assert record.labels(0) == Labels.of([1, 3, 4])
    record.undo(0)
    assert record.labels(0) == Labels.of([1, 3])
    # Somebody else's edits have led to the same labels: theirs is not taken back.
    record.edit(0, lambda _: Labels.of([1, 2, 5]))
    record.edit(0, lambda _: two)
    record.edit(0, lambda before: Labels.of([*before.good, 6]), (one, two))
    assert record.labels(0) == Labels.of([1, 2, 6])
    record.undo(0)
    assert record.labels(0) == two


def test_labels_and_their_history_survive_reopening(path: Path) -> None:
    with closing(Record.open(path)) as record:
        sample_round(record, 0)
        record.label(0, Labels.of([1], 1))
        record.label(0, Labels.of([1, 2], 1))
        record.undo(0)
        record.mark_seen(0, [0, 1])
    with closing(Record.open(path)) as record:
        assert record.labels(0) == Labels.of([1], 1)
        assert record.seen(0) == {0, 1}
        assert record.redo(0)
        assert record.labels(0) == Labels.of([1, 2], 1)


def test_a_label_outlives_its_process_killed_right_after_the_key(path: Path) -> None:
    with closing(Record.open(path)) as record:
        sample_round(record, 0)
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from hero_engine.run.record import Record; from hero_engine.run.labels import Labels\n"
        "Record.open(Path(sys.argv[1])).label(0, Labels.of([3], 3))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code, path], cwd=root).returncode == -9
    with closing(Record.open(path)) as record:
        assert record.labels(0) == Labels.of([3], 3)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (Labels.of([9], 9), "there is no picture 9"),
        (Labels.of([1]), "choose the best"),
        (Labels.of([1], 2), "picture 2 is not one of the good"),
        (Labels.of([1], KEEP), "no reigning best to keep"),
    ],
)
def test_incomplete_labels_cannot_be_submitted(
    record: Record, labels: Labels, expected: str
) -> None:
    sample_round(record, 0)
    record.label(0, labels)
    with pytest.raises(InputError, match=expected):
        record.submit(0)
    assert record.rounds()[0].submitted is None
    assert record.labels(0) == labels


def test_a_round_is_submitted_once_and_only_when_sampled(record: Record) -> None:
    with pytest.raises(InputError, match="round 0 does not exist"):
        record.submit(0)
    record.begin_round(0, 4)
    record.label(0, Labels.of([1], 1))
    with pytest.raises(InputError, match="still being sampled"):
        record.submit(0)
    record.finish_sampling(0, {})
    record.submit(0)
    for change in (
        lambda: record.submit(0),
        lambda: record.label(0, Labels()),
        lambda: record.undo(0),
    ):
        with pytest.raises(InputError, match="round 0 is submitted"):
            change()
    assert record.labels(0) == Labels.of([1], 1)


def test_labels_that_are_submitted_as_given_leave_no_others(record: Record) -> None:
    sample_round(record, 0)
    record.label(0, Labels.of([2], 2))
    record.submit(0, Labels.of([1], 1))
    assert record.labels(0) == Labels.of([1], 1)
    sample_round(record, 1)
    with pytest.raises(InputError, match="there is no picture 9"):
        record.submit(1, Labels.of([9], 9))
    assert record.labels(1) == Labels()


def test_the_reigning_best_is_the_latest_chosen_before_a_round(record: Record) -> None:
    submit_round(record, 0, Labels())
    assert record.reigning_best(1) is None
    submit_round(record, 1, Labels.of([0, 3], 3))
    submit_round(record, 2, Labels.of([2], KEEP))
    submit_round(record, 3, Labels())
    assert record.labels(3) == Labels.of([], KEEP)
    assert record.reigning_best(1) is None
    assert record.reigning_best(2) == record.reigning_best(4) == (1, 3)
    sample_round(record, 4)
    record.label(4, Labels.of([1], 1))
    assert record.reigning_best(5) == (1, 3), "a best counts from when it is submitted"


# -- two processes ---------------------------------------------------------------------------


def test_two_connections_see_each_others_writes_and_that_there_are_some(path: Path) -> None:
    with closing(Record.open(path)) as engine, closing(Record.open(path)) as person:
        seen = person.changes()
        assert person.changes() == seen
        sample_round(engine, 0)
        assert person.changes() != seen
        assert person.images(0) == [0, 1, 2, 3]
        assert person.state()[0] == "labeling"
        seen = engine.changes()
        person.label(0, Labels.of([1], 1))
        person.submit(0)
        assert engine.changes() != seen
        assert engine.labels(0) == Labels.of([1], 1)


def test_a_command_is_pending_until_it_is_taken(path: Path) -> None:
    with closing(Record.open(path)) as engine, closing(Record.open(path)) as person:
        assert not engine.is_pending("stop")
        person.send("stop")
        assert engine.is_pending("stop")
        assert not engine.is_pending("finish")
        engine.take("stop")
        assert not person.is_pending("stop")


def test_what_the_engine_writes_twice_after_an_interruption_stands_once(record: Record) -> None:
    sample_round(record, 0)
    first = record.rounds()
    sample_round(record, 0)
    assert record.rounds() == first
    assert record.metrics(0)["diversity"] == [(0, 0.25)]


def test_final_measures_are_kept(record: Record) -> None:
    record.set_figures("fresh", {"images": 10, "good": 6, "diversity": 0.2})
    record.set_figures("pi", {"images": 10, "good": 8, "diversity": 0.1})
    assert list(record.figures()) == ["pi", "fresh"]
    assert record.figures()["pi"] == {"images": 10, "good": 8, "diversity": 0.1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_metric_that_is_no_number_leaves_a_gap(record: Record, value: float) -> None:
    record.begin_round(0, 4)
    record.add_images(0, [0, 1], [value, 0.5])
    record.finish_sampling(0, {"diversity": value, "noise_norm": 1.0})
    record.add_metrics(0, 1, {"loss": 0.5})
    record.add_metrics(0, 2, {"loss": value})
    record.add_metrics(0, 3, {"loss": 0.25})
    record.finish_training(0, {"train_s": value})
    assert record.metrics(0) == {"loss": [(1, 0.5), (3, 0.25)], "noise_norm": [(0, 1.0)]}
    assert record.scores(0)[1] == 0.5
    record.set_figures("pi", {"images": 10, "likeness": value})
    assert record.figures()["pi"] == {"images": 10}


def test_labels_of_another_line_are_not_submitted(record: Record) -> None:
    submit_round(record, 0, Labels.of([0], 0))
    sample_round(record, 1)
    seen = record.line()
    record.finish_training(0, {})
    assert record.roll_back(0, "task: after it went back", record.changes())
    sample_round(record, 1)
    with pytest.raises(InputError, match="gone back to an earlier round"):
        record.submit(1, Labels.of([2], 2), seen)
    record.submit(1, Labels.of([2], 2), record.line())
    assert record.labels(1) == Labels.of([2], 2)


def test_a_round_of_a_run_that_is_to_finish_is_not_submitted_late(record: Record) -> None:
    """Who takes time for it has not heard: the engine ends without it."""
    sample_round(record, 0)
    record.send("finish")
    with pytest.raises(InputError, match="told to finish without it"):
        record.submit(0, Labels.of([2], 2), record.line())
    assert record.rounds()[0].submitted is None


# -- damage ----------------------------------------------------------------------------------


def test_a_record_of_a_newer_version_is_refused_and_untouched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(InputError, match="format 99, this hero-tui reads format"):
        Record.open(path)
    assert path.read_bytes() == before


def test_a_missing_record_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Record.open(tmp_path / "run.sqlite")
    assert not list(tmp_path.iterdir())


def test_writing_to_a_record_that_cannot_be_written_says_so(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with closing(Record.open(path)) as record:
        record._database._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(InputError, match="cannot be written"):
            record.set_state("sampling")


def test_a_disk_too_full_to_read_a_record_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, why in ((0, "the disk is full"), (1 << 30, "the disk reports an error")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Mock(free=free))
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
        with pytest.raises(InputError, match=why), _explained(path):
            raise error


def test_a_record_that_was_removed_is_not_written_to(path: Path, record: Record) -> None:
    sample_round(record, 0)
    path.unlink()
    for use in (record.changes, lambda: record.label(0, Labels()), lambda: record.submit(0)):
        with pytest.raises(InputError, match="moved or removed"):
            use()


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A small run with something in every table."""
    task = resolve("hand", overrides=["feedback.batch_size=4", "feedback.rounds=3"]).task
    folder = create_run(tmp_path_factory.mktemp("runs"), task, "finished")
    with closing(folder.open_record()) as record:
        submit_round(record, 0, Labels.of([0, 1], 1))
        submit_round(record, 1, Labels.of([2], KEEP))
        record.add_metrics(1, 5, {"loss": 0.5})
        record.send("finish")
        record.set_progress("sampling", 1, 2)
        record.set_figures("pi", {"images": 10, "good": 8, "diversity": 0.1})
        record.set_figures("fresh", {"images": 10, "good": 8, "diversity": 0.1})
        begun = record.evaluations.begin(1, "pictures", "person", 2)
        record.evaluations.say(begun.number, {("base", 0): "good", ("pi", 1): "unsure"})
        record.evaluations.look(begun.number, [("fresh", 0)])
        record.evaluations.add_scores(1, "base", "clip", {0: 1.5, 1: 2.5})
        record.evaluations.add_measured(1, "base", 2, "diversity", 0.25)
        record.set_state("finished")
    return folder


def read_everything(folder: RunFolder) -> None:
    status(folder)
    with closing(folder.open_record()) as record:
        labelfile.dump("hand", labelfile.submitted_labels(record))
        record.progress()
        record.judge()
        for evaluation in record.evaluations.all():
            record.evaluations.verdicts(evaluation.number)
        record.evaluations.scores(1)
        record.evaluations.measured(1, 2)
        record.is_pending("finish")
        for number in range(3):
            record.images(number)
            record.seen(number)
            record.scores(number)
            record.reigning_best(number)
        record.tries()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damaged_record_is_read_or_refused_by_name(
    data: st.DataObject, finished_run: RunFolder
) -> None:
    whole = finished_run.record_file.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 8), "changes")):
        start = data.draw(st.integers(0, len(whole) - 1), "at")
        new = data.draw(st.binary(min_size=1, max_size=16), "bytes")
        damaged[start : start + len(new)] = new
    if data.draw(st.booleans(), "truncate"):
        del damaged[data.draw(st.integers(0, len(whole)), "length") :]
    with tempfile.TemporaryDirectory() as parent:
        folder = RunFolder(Path(parent) / "damaged")
        shutil.copytree(finished_run.path, folder.path)
        folder.record_file.write_bytes(damaged)
        refused = refusal(lambda: read_everything(folder))
    assert refused is None or "run.sqlite" in refused


def test_the_time_left_is_told_by_the_pace_and_runs_down_until_there_is_news() -> None:
    progress = Progress("sampling", done=5, total=25, started=100.0, updated=110.0)
    assert progress.seconds_left(now=110.0) == 40.0
    assert progress.seconds_left(now=130.0) == 20.0
    assert progress.seconds_left(now=999.0) == 0.0
    assert replace(progress, done=0).seconds_left(now=110.0) is None
