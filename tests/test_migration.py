"""A run that an earlier version made opens, and has all that was in it."""

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.errors import InputError
from hero_engine.run import folder
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.record import SCHEMA_VERSION, Record, SecondLook, database
from hero_engine.run.record.schema import MIGRATIONS

FORMAT_2 = """
CREATE TABLE run (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    state TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', created REAL NOT NULL
);
CREATE TABLE rounds (
    round INTEGER PRIMARY KEY, images INTEGER NOT NULL,
    started REAL NOT NULL, first_image REAL, sampled REAL, submitted REAL, trained REAL,
    outcome TEXT NOT NULL DEFAULT '',
    step INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE images (
    round INTEGER NOT NULL, image INTEGER NOT NULL, seen INTEGER NOT NULL DEFAULT 0,
    score REAL,
    PRIMARY KEY (round, image)
);
CREATE TABLE edits (
    round INTEGER NOT NULL, step INTEGER NOT NULL, good TEXT NOT NULL, best TEXT NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (round, step)
);
CREATE TABLE metrics (
    round INTEGER NOT NULL, name TEXT NOT NULL, step INTEGER NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (round, name, step)
);
CREATE TABLE progress (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    phase TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,
    started REAL NOT NULL, updated REAL NOT NULL
);
CREATE TABLE tries (
    number INTEGER PRIMARY KEY, prompt TEXT NOT NULL, round INTEGER, images INTEGER NOT NULL
    DEFAULT 0, error TEXT NOT NULL DEFAULT '', finished REAL
);
CREATE TABLE commands (id INTEGER PRIMARY KEY, command TEXT NOT NULL, taken INTEGER NOT NULL);
CREATE TABLE final (
    noise TEXT PRIMARY KEY, images INTEGER NOT NULL, good INTEGER NOT NULL, diversity REAL NOT NULL
);
INSERT INTO run VALUES (0, 'finished', '', 1.0);
INSERT INTO progress VALUES (0, 'evaluating', 10, 10, 1.0, 2.0);
INSERT INTO rounds VALUES (0, 4, 1.0, 2.0, 3.0, 4.0, 5.0, 'All good.', 2);
INSERT INTO rounds VALUES (1, 4, 6.0, 7.0, 8.0, NULL, NULL, '', 1);
INSERT INTO images VALUES (1, 3, 1, 0.5);
INSERT INTO edits VALUES (0, 1, '[2]', 'null', 3.5), (0, 2, '[0, 2]', '2', 3.6);
INSERT INTO edits VALUES (1, 1, '[1]', '"keep"', 8.5);
INSERT INTO metrics VALUES (0, 'diversity', 0, 0.25), (0, 'grad_norm', 1, 9e999);
INSERT INTO tries VALUES (1, 'a dog', 0, 4, '', 9.0);
INSERT INTO commands VALUES (1, 'finish', 1);
INSERT INTO final VALUES ('pi', 10, 8, 0.1), ('fresh', 10, 6, 0.2);
PRAGMA user_version = 2;
"""
"""As version 0.1.0 made it before rounds could be left and figures had names."""


# With rounds that can be left, and before a picture could be unsure.
FORMAT_3 = ";".join([FORMAT_2, *MIGRATIONS[2], "PRAGMA user_version = 3"])


# With second looks, and before evaluations.
FORMAT_4 = ";".join([FORMAT_3, *MIGRATIONS[3], "PRAGMA user_version = 4"])


# With evaluations, and before a run could begin with labelled pictures.
FORMAT_5 = ";".join([FORMAT_4, *MIGRATIONS[4], "PRAGMA user_version = 5"])


def written(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(script)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "run.sqlite", FORMAT_2)


def check(path: Path) -> None:
    with closing(Record.open(path)) as record:
        assert record.state() == ("finished", "")
        assert record.labels(0) == Labels.of([0, 2], 2)
        assert record.labels(1) == Labels.of([1], KEEP)
        assert [(r.trained, r.outcome) for r in record.rounds()] == [(5.0, "All good."), (None, "")]
        assert record.scores(1) == {3: 0.5}
        assert record.metrics(0) == {"diversity": [(0, 0.25)]}, "what is not finite is left out"
        assert record.figures() == {
            "pi": {"images": 10, "good": 8, "diversity": 0.1},
            "fresh": {"images": 10, "good": 6, "diversity": 0.2},
        }
        assert record.undo(1)
        assert record.labels(1) == Labels()
        assert record.redo(1)
        assert record.second_looks() == []


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)


def test_all_that_was_recorded_is_there_and_opening_again_changes_nothing(path: Path) -> None:
    check(path)
    assert version_of(path) == SCHEMA_VERSION
    check(path)


def test_a_record_of_format_3_goes_on_with_unsure_pictures_and_second_looks(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "run.sqlite", FORMAT_3)
    check(path)
    with closing(Record.open(path)) as record:
        record.edit(1, lambda labels: labels.marked([2], "unsure"))
        assert record.labels(1) == Labels.of([1], KEEP, unsure=[2])
        record.look_again(0, 1, lambda labels: labels.marked([1], "good"))
        assert record.second_looks() == [SecondLook(0, 1, "bad", "good")]


def test_a_record_of_format_4_goes_on_with_evaluations_and_its_figures_are_the_oracles(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "run.sqlite", FORMAT_4)
    check(path)
    with closing(Record.open(path)) as record:
        assert record.judge() == "oracle"
        assert record.evaluations.all() == []
        begun = record.evaluations.begin(0, "pictures", "person", 4)
        record.evaluations.say(begun.number, {("pi", 0): "good"})
        assert record.evaluations.verdicts(begun.number) == {("pi", 0): "good"}


def test_a_record_of_format_5_began_without_labelled_pictures(tmp_path: Path) -> None:
    path = written(tmp_path / "run.sqlite", FORMAT_5)
    check(path)
    with closing(Record.open(path)) as record:
        assert record.start() is None
        assert record.reigning_best(0) is None


def test_a_migrated_record_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    check(path)
    Record.create(tmp_path / "new.sqlite").close()
    columns = []
    for each in (path, tmp_path / "new.sqlite"):
        with closing(sqlite3.connect(each)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            columns.append(
                {
                    name: sorted(
                        connection.execute("SELECT * FROM pragma_table_info(?)", [name]).fetchall(),
                                 key=lambda column: column[1],
                    )
                    for (name,) in tables.fetchall()
                }
            )  # fmt: skip
    names = [{t: [c[1:5] for c in found] for t, found in each.items()} for each in columns]
    assert names[0] == names[1]


def test_a_migration_that_is_interrupted_leaves_the_record_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MIGRATIONS, 2, (*MIGRATIONS[2], "DROP TABLE nowhere"))
    with pytest.raises(InputError, match=r"run\.sqlite"):
        Record.open(path)
    assert version_of(path) == 2
    monkeypatch.undo()
    check(path)


def test_one_that_cannot_be_written_is_refused_and_says_that_it_would_have_to_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = database._connect

    def read_only(path: Path, mode: str) -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.execute("PRAGMA query_only = 1")
        return connection

    monkeypatch.setattr(database, "_connect", read_only)
    with pytest.raises(InputError, match=r"cannot be written.*format 2.*to format 6"):
        Record.open(path)


def test_several_processes_may_open_it_at_once(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(2) as pool:
        pool.map(check_labels, [path] * 4)
    check(path)


def check_labels(path: Path) -> None:
    with closing(Record.open(path)) as record:
        assert record.labels(0) == Labels.of([0, 2], 2)


def test_a_record_is_left_alone_while_an_engine_of_an_earlier_version_works_on_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(path.parent)
    monkeypatch.setattr(folder, "engine_holder", lambda run: folder.Holder(4321, "here"))
    with pytest.raises(InputError, match=r"earlier hero-tui is at work .*pid 4321"):
        run.open_record()
    assert version_of(path) == 2
    monkeypatch.undo()
    run.open_record().close()
    assert version_of(path) == SCHEMA_VERSION
