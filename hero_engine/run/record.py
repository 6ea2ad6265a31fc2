"""run.sqlite: what happened in a run, and the channel between the engine and who labels.

Both sides poll `changes()`, which costs microseconds. Every write is one transaction, on the disk
when the method returns (synchronous=FULL).
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from hero_engine.errors import InputError
from hero_engine.run.journal import begin_journal, keep_journal
from hero_engine.run.labels import KEEP, Labels, problem_with

SCHEMA_VERSION = 2

RunState = Literal["sampling", "labeling", "training", "paused", "finished", "failed"]
Command = Literal["stop", "finish"]
Noise = Literal["pi", "fresh"]

_SCHEMA = """
CREATE TABLE run (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    state TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', created REAL NOT NULL
);
-- A round's times are seconds since the epoch, each set once, in this order.
CREATE TABLE rounds (
    round INTEGER PRIMARY KEY, images INTEGER NOT NULL,
    started REAL NOT NULL, first_image REAL, sampled REAL, submitted REAL, trained REAL,
    outcome TEXT NOT NULL DEFAULT '',   -- what training did, in words, when it is not the usual
    step INTEGER NOT NULL DEFAULT 0   -- the edit that is in force; 0: none
);
CREATE TABLE images (
    round INTEGER NOT NULL, image INTEGER NOT NULL, seen INTEGER NOT NULL DEFAULT 0,
    score REAL,   -- the engine's guess of the picture, once it has learned from labels
    PRIMARY KEY (round, image)
);
-- Every state the labels of a round have been in; undo and redo move rounds.step.
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
-- Pictures asked for on the side; finished is NULL until the engine has seen to it.
CREATE TABLE tries (
    number INTEGER PRIMARY KEY, prompt TEXT NOT NULL, round INTEGER, images INTEGER NOT NULL
    DEFAULT 0, error TEXT NOT NULL DEFAULT '', finished REAL
);
CREATE TABLE commands (id INTEGER PRIMARY KEY, command TEXT NOT NULL, taken INTEGER NOT NULL);
CREATE TABLE final (
    noise TEXT PRIMARY KEY, images INTEGER NOT NULL, good INTEGER NOT NULL, diversity REAL NOT NULL
);
"""


@dataclass(frozen=True)
class Round:
    """A round's size and times (seconds since the epoch; None: not yet)."""

    number: int
    images: int
    started: float
    first_image: float | None
    sampled: float | None
    submitted: float | None
    trained: float | None
    outcome: str
    """Why training did less than usual, in words for the person; empty otherwise."""


@dataclass(frozen=True)
class Progress:
    """What the engine is doing: `done` of `total` from `started` to `updated`, in seconds since the
    epoch.
    """

    phase: str
    done: int
    total: int
    started: float
    updated: float

    def seconds_left(self, now: float) -> float | None:
        """An estimate, once something is done; it runs down until there is news."""
        if self.done == 0:
            return None
        pace = (self.updated - self.started) / self.done
        return max(0.0, pace * (self.total - self.done) - (now - self.updated))


@dataclass(frozen=True)
class Try:
    """Pictures of `prompt` asked for on the side, from the model as it is in `round`.

    `images` of them are there; `error` says why there are none.
    """

    number: int
    prompt: str
    round: int | None
    images: int
    error: str
    finished: bool


@dataclass(frozen=True)
class Final:
    """Success of the final model from one noise: `good` of `images`, and their diversity."""

    images: int
    good: int
    diversity: float


class Record:
    """An open run.sqlite. One object may be used from several threads."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def create(cls, path: Path) -> "Record":
        """A new record in state `paused`.

        Raises:
            InputError: the folder is not writable, or the disk is full.
        """
        with _explained(path):
            connection = _connect(path, "rwc")
            begin_journal(connection, path)
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")
            connection.execute(
                "INSERT INTO run (only_row, state, created) VALUES (0, 'paused', ?)", (time.time(),)
            )
            connection.execute("INSERT INTO progress VALUES (0, '', 0, 0, 0, 0)")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        return cls(path, connection)

    @classmethod
    def open(cls, path: Path) -> "Record":
        """An existing record.

        Raises:
            InputError: it is missing, damaged, or written by a newer hero-tui.
        """
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; is this a run folder?")
        with _explained(path), _damage_explained(path):
            connection = _connect(path, "rw")
            keep_journal(connection, path)
        record = cls(path, connection)
        try:
            record._check_version()
            record.state()
        except InputError:
            record.close()
            raise
        return record

    def _check_version(self) -> None:
        with self._reading() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{self.path}: format {version}, this hero-tui reads format {SCHEMA_VERSION}; "
                "install the version that wrote it"
            )

    def close(self) -> None:
        self._connection.close()

    def changes(self) -> int:
        """A number that differs whenever another process has changed the record since.

        Raises:
            InputError: the record was moved or removed.
        """
        self._check_place()
        with self._reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    # -- the run ---------------------------------------------------------------------------

    def state(self) -> tuple[RunState, str]:
        """The state as last written, and the error's text if it is `failed`."""
        with self._reading() as connection:
            state, error = connection.execute("SELECT state, error FROM run").fetchone()
            if state not in get_args(RunState):
                raise ValueError(f"unknown state {state!r}")
            return state, str(error)

    def created(self) -> float:
        """When the run was created, in seconds since the epoch."""
        with self._reading() as connection:
            return float(connection.execute("SELECT created FROM run").fetchone()[0])

    def set_state(self, state: RunState, error: str = "") -> None:
        with self._writing() as connection:
            connection.execute("UPDATE run SET state = ?, error = ?", (state, error))

    def progress(self) -> Progress:
        with self._reading() as connection:
            phase, done, total, started, updated = connection.execute(
                "SELECT phase, done, total, started, updated FROM progress"
            ).fetchone()
            return Progress(str(phase), int(done), int(total), float(started), float(updated))

    def set_progress(self, phase: str, done: int, total: int) -> None:
        """Says what the engine does; `done` = 0 starts the phase's clock."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE progress SET phase = :phase, done = :done, total = :total, updated = :now,"
                " started = CASE WHEN :done = 0 THEN :now ELSE started END",
                {"phase": phase, "done": done, "total": total, "now": time.time()},
            )

    def send(self, command: Command) -> None:
        """Asks the engine to stop (pause) or to finish (evaluate now, and end)."""
        with self._writing() as connection:
            connection.execute("INSERT INTO commands (command, taken) VALUES (?, 0)", (command,))

    def is_pending(self, command: Command) -> bool:
        """Whether `command` was sent and no engine has obeyed it yet."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM commands WHERE command = ? AND NOT taken", (command,)
            ).fetchone()
            return row is not None

    def take(self, command: Command) -> None:
        """Marks `command` as obeyed."""
        with self._writing() as connection:
            connection.execute("UPDATE commands SET taken = 1 WHERE command = ?", (command,))

    # -- rounds and pictures -----------------------------------------------------------------

    def rounds(self) -> list[Round]:
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT round, images, started, first_image, sampled, submitted, trained, outcome"
                " FROM rounds ORDER BY round"
            )
            return [_round(*row) for row in rows]

    def begin_round(self, number: int, images: int) -> None:
        """Opens a round and the state `sampling`; a round that was begun before is left as is."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO rounds (round, images, started) VALUES (?, ?, ?)",
                (number, images, time.time()),
            )
            connection.execute("UPDATE run SET state = 'sampling', error = ''")

    def add_images(
        self, number: int, images: Sequence[int], scores: Sequence[float] | None = None
    ) -> None:
        """Says that the PNG files of `images` are complete; `scores` are the engine's guesses."""
        guesses: Sequence[float | None] = [None] * len(images) if scores is None else scores
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO images (round, image, score) VALUES (?, ?, ?)",
                [(number, *each) for each in zip(images, guesses, strict=True)],
            )
            connection.execute(
                "UPDATE rounds SET first_image = ifnull(first_image, ?) WHERE round = ?",
                (time.time(), number),
            )

    def images(self, number: int) -> list[int]:
        """The pictures of a round that can be shown."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT image FROM images WHERE round = ? ORDER BY image", (number,)
            )
            return [int(image) for (image,) in rows]

    def scores(self, number: int) -> dict[int, float]:
        """The engine's guesses of a round's pictures, higher is better; empty before it has any."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT image, score FROM images WHERE round = ? AND score IS NOT NULL", (number,)
            )
            return {int(image): float(score) for image, score in rows}

    def finish_sampling(self, number: int, metrics: Mapping[str, float]) -> None:
        """The round's pictures and rollout are complete; the state becomes `labeling`."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE rounds SET sampled = ifnull(sampled, ?) WHERE round = ?",
                (time.time(), number),
            )
            _put_metrics(connection, number, {0: metrics})
            connection.execute("UPDATE run SET state = 'labeling'")

    def finish_training(self, number: int, metrics: Mapping[str, float], outcome: str = "") -> None:
        """The round's checkpoint is complete."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE rounds SET trained = ?, outcome = ? WHERE round = ?",
                (time.time(), outcome, number),
            )
            _put_metrics(connection, number, {0: metrics})

    # -- labels ------------------------------------------------------------------------------

    def labels(self, number: int) -> Labels:
        """The labels of a round as they stand."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT good, best FROM edits JOIN rounds USING (round, step) WHERE round = ?",
                (number,),
            ).fetchone()
            return _labels(*row) if row else Labels()

    def label(self, number: int, labels: Labels) -> None:
        """Makes `labels` the round's labels; what had been undone can no longer be redone.

        Raises:
            InputError: the round is submitted already (by another interface, say).
        """
        with self._writing() as connection:
            step = self._open_step(connection, number)
            connection.execute("DELETE FROM edits WHERE round = ? AND step > ?", (number, step))
            connection.execute(
                "INSERT INTO edits VALUES (?, ?, ?, ?, ?)",
                (
                    number,
                    step + 1,
                    json.dumps(sorted(labels.good)),
                    json.dumps(labels.best),
                    time.time(),
                ),
            )
            connection.execute("UPDATE rounds SET step = ? WHERE round = ?", (step + 1, number))

    def edit(
        self,
        number: int,
        change: Callable[[Labels], Labels],
        in_place_of: tuple[Labels, Labels] | None = None,
    ) -> None:
        """Changes the labels as they stand, in one transaction: no other writer's edit is lost.

        `in_place_of`: the labels before the writer's last edit and after it; if that is still the
        last one, this edit takes its place, and undo goes back to before both.

        Raises:
            InputError: the round is submitted already (by another interface, say).
        """
        with self._writing():
            labels = self.labels(number)
            if in_place_of is not None and labels == in_place_of[1] and self.undo(number):
                if self.labels(number) == in_place_of[0]:
                    labels = in_place_of[0]
                else:  # other edits have led to the same labels
                    self.redo(number)
            changed = change(labels)
            if changed != labels:
                self.label(number, changed)

    def undo(self, number: int) -> bool:
        """Goes back one edit; False when there is none."""
        return self._move(number, -1)

    def redo(self, number: int) -> bool:
        """Goes forward to the edit that was undone; False when there is none."""
        return self._move(number, +1)

    def _move(self, number: int, by: int) -> bool:
        with self._writing() as connection:
            step = self._open_step(connection, number) + by
            exists = (
                step == 0
                or connection.execute(
                    "SELECT 1 FROM edits WHERE round = ? AND step = ?", (number, step)
                ).fetchone()
            )
            if exists:
                connection.execute("UPDATE rounds SET step = ? WHERE round = ?", (step, number))
            return bool(exists)

    def _open_step(self, connection: sqlite3.Connection, number: int) -> int:
        row = connection.execute(
            "SELECT step, submitted FROM rounds WHERE round = ?", (number,)
        ).fetchone()
        if row is None:
            raise InputError(f"{self.path}: round {number} does not exist yet")
        step, submitted = row
        if submitted is not None:
            raise InputError(f"{self.path}: round {number} is submitted, its labels are fixed")
        return int(step)

    def mark_seen(self, number: int, images: Iterable[int]) -> None:
        """Says that the person has looked at `images`."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE images SET seen = 1 WHERE round = ? AND image = ?",
                [(number, image) for image in images],
            )

    def seen(self, number: int) -> set[int]:
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT image FROM images WHERE round = ? AND seen", (number,)
            )
            return {int(image) for (image,) in rows}

    def reigning_best(self, before: int) -> tuple[int, int] | None:
        """(round, image) of the best when round `before` is labelled, or None."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT round, best FROM edits JOIN rounds USING (round, step)"
                " WHERE round < ? AND submitted IS NOT NULL ORDER BY round DESC",
                (before,),
            )
            for number, text in rows:
                best = json.loads(text)
                if isinstance(best, int):
                    return int(number), best
            return None

    def submit(self, number: int) -> None:
        """Hands the round's labels to the engine.

        With goods but no best chosen, the reigning best stays and `keep` is recorded.

        Raises:
            InputError: the round is not fully sampled, is submitted, or its labels are not
                complete (`labels.problem_with`).
        """
        with self._writing() as connection:
            step = self._open_step(connection, number)
            (images, sampled) = connection.execute(
                "SELECT images, sampled FROM rounds WHERE round = ?", (number,)
            ).fetchone()
            if sampled is None:
                raise InputError(f"round {number}: its pictures are still being sampled")
            labels = self.labels(number)
            reigning = self.reigning_best(number) is not None
            problem = problem_with(labels, images, reigning)
            if problem:
                raise InputError(f"round {number}: {problem}")
            submitted = labels.as_submitted(reigning)
            if submitted != labels or step == 0:
                self.label(number, submitted)
            connection.execute(
                "UPDATE rounds SET submitted = ? WHERE round = ?", (time.time(), number)
            )

    # -- pictures on the side ------------------------------------------------------------------

    def ask_try(self, prompt: str) -> int:
        """Asks the engine for a few pictures of `prompt`; their number, from 1."""
        with self._writing() as connection:
            cursor = connection.execute("INSERT INTO tries (prompt) VALUES (?)", (prompt,))
            return int(cursor.lastrowid or 0)

    def tries(self) -> list[Try]:
        """All that were asked for, in order."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, prompt, round, images, error, finished FROM tries ORDER BY number"
            )
            return [
                Try(int(n), str(prompt), _number(of), int(images), str(error), finished is not None)
                for n, prompt, of, images, error, finished in rows
            ]

    def finish_try(self, number: int, round_number: int, images: int, error: str = "") -> None:
        """Says that a try's pictures are complete, or why there are none."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE tries SET round = ?, images = ?, error = ?, finished = ? WHERE number = ?",
                (round_number, images, error, time.time(), number),
            )

    # -- metrics -----------------------------------------------------------------------------

    def add_metrics(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """Adds one point to each of a round's curves."""
        with self._writing() as connection:
            _put_metrics(connection, number, {step: metrics})

    def metrics(self, number: int) -> dict[str, list[tuple[int, float]]]:
        """The round's curves as (step, value) lists, by name."""
        with self._reading() as connection:
            curves: dict[str, list[tuple[int, float]]] = {}
            for name, step, value in connection.execute(
                "SELECT name, step, value FROM metrics WHERE round = ? ORDER BY name, step",
                (number,),
            ):
                curves.setdefault(str(name), []).append((int(step), float(value)))
            return curves

    def set_final(self, noise: Noise, final: Final) -> None:
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO final VALUES (?, ?, ?, ?)",
                (noise, final.images, final.good, final.diversity),
            )

    def final(self) -> dict[Noise, Final]:
        with self._reading() as connection:
            rows = connection.execute("SELECT noise, images, good, diversity FROM final")
            found = {n: Final(int(images), int(good), float(d)) for n, images, good, d in rows}
            return {noise: found[noise] for noise in get_args(Noise) if noise in found}

    # -- transactions ------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _explained(self.path), _damage_explained(self.path):
            yield self._connection

    def _check_place(self) -> None:
        # An open file can be written long after it was removed, and all would be lost.
        if not self.path.exists():
            raise InputError(f"{self.path}: it is gone; was the run folder moved or removed?")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; a method that writes may call another within it."""
        with self._lock, _explained(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._check_place()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=30,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorname", None) or "").removeprefix("SQLITE_")
        kind = code.split("_")[0]
        advice = {
            "FULL": "the disk is full; free some space and run the same command again",
            "READONLY": "it cannot be written; check the folder's owner and mode",
            "CANTOPEN": "it cannot be opened; was the folder moved, removed or made read-only?",
            "IOERR": "the disk reports an error; is the folder still there?",
            "CORRUPT": "it is damaged; restore it from a copy",
            "NOTADB": "it is not a hero-tui record; restore it from a copy",
            "BUSY": "another process holds it; try again",
        }.get(kind, f"{error}; it may be damaged or not a hero-tui record")
        raise InputError(f"{path}: {advice}") from error


@contextmanager
def _damage_explained(path: Path) -> Iterator[None]:
    """Reading what SQLite's own checks let through: bytes that are not text, rows that lack."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: it is damaged ({error}); restore it from a copy") from error


def _put_metrics(
    connection: sqlite3.Connection, number: int, points: Mapping[int, Mapping[str, float]]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)",
        [
            (number, name, step, float(value))
            for step, metrics in points.items()
            for name, value in metrics.items()
        ],
    )


def _round(*row: Any) -> Round:
    number, images, started, first_image, sampled, submitted, trained, outcome = row
    if int(images) < 1:
        raise ValueError(f"a round of {images} pictures")
    return Round(
        number=int(number),
        images=int(images),
        started=float(started),
        first_image=_time(first_image),
        sampled=_time(sampled),
        submitted=_time(submitted),
        trained=_time(trained),
        outcome=str(outcome),
    )


def _time(value: Any) -> float | None:
    return None if value is None else float(value)


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _labels(good: str, best: str) -> Labels:
    images, chosen = json.loads(good), json.loads(best)
    if not all(isinstance(image, int) for image in images):
        raise ValueError(f"labels {good!r}")
    if chosen is not None and chosen != KEEP and not isinstance(chosen, int):
        raise ValueError(f"best {best!r}")
    return Labels.of(images, chosen)
