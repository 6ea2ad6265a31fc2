"""The record of a run: what both sides write and read.

Both sides poll `changes()`, which costs microseconds. Every method that writes is one transaction,
on the disk when it returns.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from math import isfinite
from pathlib import Path
from typing import get_args

from hero_engine.errors import InputError
from hero_engine.run.labels import Labels, problem_with
from hero_engine.run.record.database import Database
from hero_engine.run.record.evaluations import Evaluations
from hero_engine.run.record.rows import (
    START,
    Command,
    Noise,
    Progress,
    Round,
    RunState,
    SecondLook,
    Start,
    Try,
    labels_of,
    round_of,
    second_look_of,
    start_of,
    try_of,
)


class Record:
    """An open run.sqlite. One object may be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading, self._writing = database.reading, database.writing
        self.evaluations = Evaluations(database)

    def one_write(self) -> AbstractContextManager[object]:
        """What is written within it is one transaction."""
        return self._database.writing()

    @property
    def path(self) -> Path:
        return self._database.path

    @classmethod
    def create(cls, path: Path) -> "Record":
        """A new record in state `paused`.

        Raises:
            InputError: the folder is not writable, or the disk is full.
        """

        def fill(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO run (only_row, state, created) VALUES (0, 'paused', ?)", (time.time(),)
            )
            connection.execute("INSERT INTO progress VALUES (0, '', 0, 0, 0, 0)")

        return cls(Database.create(path, fill))

    @classmethod
    def open(cls, path: Path, before_migration: Callable[[], None] = lambda: None) -> "Record":
        """An existing record; one of an earlier format is brought to this one.

        Args:
            before_migration: called then; what it raises leaves the record as it is.

        Raises:
            InputError: it is missing, damaged, written by a newer hero-tui, or of an earlier
                format and cannot be written.
        """
        record = cls(Database.open(path, before_migration))
        try:
            record.state()
        except InputError:
            record.close()
            raise
        return record

    def close(self) -> None:
        self._database.close()

    def changes(self) -> int:
        """A number that differs whenever another process has changed the record since.

        Raises:
            InputError: the record was moved or removed.
        """
        return self._database.changes()

    # -- the run ---------------------------------------------------------------------------

    def state(self) -> tuple[RunState, str]:
        """The state as last written, and the error's text if it is `failed`."""
        with self._reading() as connection:
            state, error = connection.execute("SELECT state, error FROM run").fetchone()
            if state not in get_args(RunState):
                raise ValueError(f"unknown state {state!r}")
            return state, str(error)

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

    # -- pictures to start from --------------------------------------------------------------

    def set_start(self, labels: Mapping[int, bool], best: int | None) -> None:
        """Says which pictures the run begins with: by number whether each is good; and the best."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO start VALUES (?, ?, ?)",
                [(image, int(good), int(image == best)) for image, good in labels.items()],
            )

    def start(self) -> Start | None:
        """The pictures that the run began with; None: there were none."""
        with self._reading() as connection:
            rows = connection.execute("SELECT image, good, best FROM start").fetchall()
            came_of_it = connection.execute("SELECT start_learned, start_outcome FROM run")
            return start_of(rows, *came_of_it.fetchone())

    def finish_start(self, metrics: Mapping[str, float], outcome: str = "") -> None:
        """The checkpoint of what they have taught is complete."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE run SET start_learned = ?, start_outcome = ?", (time.time(), outcome)
            )
            _put_metrics(connection, START, {0: metrics})

    # -- rounds and pictures -----------------------------------------------------------------

    def rounds(self) -> list[Round]:
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT round, images, started, first_image, sampled, submitted, trained, outcome,"
                " collapse, back_to FROM rounds ORDER BY round"
            )
            return [round_of(*row) for row in rows]

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

    def set_collapse(self, number: int, words: str, back_to: int | None) -> None:
        """Says that the round's pictures show a collapse, and which round to go back to."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE rounds SET collapse = ?, back_to = ? WHERE round = ?",
                (words, back_to, number),
            )

    # -- lines of rounds -----------------------------------------------------------------------

    def line(self) -> int:
        """How often the run went back: the number of the current line of rounds."""
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM lines").fetchone()[0])

    def went_back(self) -> tuple[int, float] | None:
        """The round that the current line went back to, and when; None: the run never did."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT back_to, began FROM lines ORDER BY line DESC"
            ).fetchone()
            return None if row is None else (int(row[0]), float(row[1]))

    def roll_back(self, number: int, task: str, if_unchanged: int) -> bool:
        """Forgets what came after training round `number`, and pauses the run.

        `task` is the text that task.yaml is to have; until `task_is_written`, it has to be written.

        Args:
            if_unchanged: what `changes` was when the rounds that are left were copied.

        Returns:
            False, with nothing done, if another process has written since: labels, say.
        """
        with self._writing() as connection:
            if self.changes() != if_unchanged:
                return False
            for table in ("rounds", "images", "edits", "second_looks", "metrics"):
                connection.execute(f"DELETE FROM {table} WHERE round > ?", (number,))  # noqa: S608
            # A try of round N + 1 is of the model after training round N.
            connection.execute(
                "DELETE FROM tries WHERE round > ? OR finished IS NULL", (number + 1,)
            )
            for table in ("figures", "evaluations", "judgements", "scores", "measured"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608
            connection.execute("UPDATE run SET judge = NULL")
            connection.execute("UPDATE commands SET taken = 1")
            connection.execute("UPDATE progress SET phase = '', done = 0, total = 0")
            connection.execute(
                "INSERT INTO lines (back_to, began, task) VALUES (?, ?, ?)",
                (number, time.time(), task),
            )
            connection.execute("UPDATE run SET state = 'paused', error = ''")
            return True

    def unwritten_task(self) -> str | None:
        """The text that task.yaml is still to have after the run went back; None: it has it."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT task FROM lines WHERE NOT written ORDER BY line DESC"
            ).fetchone()
            return None if row is None else str(row[0])

    def task_is_written(self) -> None:
        with self._writing() as connection:
            connection.execute("UPDATE lines SET written = 1")

    def forget_lines(self) -> None:
        """For a copy of a run's beginning, which has left no rounds anywhere."""
        with self._writing() as connection:
            connection.execute("DELETE FROM lines")

    def copy_to(self, path: Path) -> None:
        """Writes the record as it is to a new file."""
        with self._reading() as connection:
            connection.execute("VACUUM INTO ?", (str(path),))

    # -- labels ------------------------------------------------------------------------------

    def labels(self, number: int) -> Labels:
        """The labels of a round as they stand."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT good, best, unsure FROM edits JOIN rounds USING (round, step)"
                " WHERE round = ?",
                (number,),
            ).fetchone()
            return labels_of(*row) if row else Labels()

    def label(self, number: int, labels: Labels) -> None:
        """Makes `labels` the round's labels; what had been undone can no longer be redone.

        Raises:
            InputError: the round is submitted already (by another interface, say).
        """
        with self._writing() as connection:
            step = self._open_step(connection, number)
            connection.execute("DELETE FROM edits WHERE round = ? AND step > ?", (number, step))
            connection.execute(
                "INSERT INTO edits (round, step, good, best, unsure, at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    number,
                    step + 1,
                    json.dumps(sorted(labels.good)),
                    json.dumps(labels.best),
                    json.dumps(sorted(labels.unsure)),
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

    def look_again(self, number: int, image: int, change: Callable[[Labels], Labels]) -> None:
        """A second look at a picture's label, which should have been as `change` makes it.

        The labels of an open round are changed, as by `edit`. Those of a submitted round stay,
        because they have been learned from: what the label should have been is only counted.
        """
        with self._writing() as connection:
            labels = self.labels(number)
            row = connection.execute(
                "SELECT submitted FROM rounds WHERE round = ?", (number,)
            ).fetchone()
            if row is None:
                raise InputError(f"{self.path}: round {number} does not exist yet")
            is_open = row[0] is None
            connection.execute(
                "INSERT INTO second_looks VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET second = excluded.second, at = excluded.at",
                (
                    number,
                    image,
                    labels.label(image),
                    None if is_open else change(labels).label(image),
                    time.time(),
                ),
            )
            if is_open:
                self.edit(number, change)

    def second_looks(self) -> list[SecondLook]:
        """Every label that was looked at again, with what it should have been."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT round, image, first, second FROM second_looks ORDER BY round, image"
            ).fetchall()
            return [
                second_look_of(number, image, first, second or self.labels(number).label(image))
                for number, image, first, second in rows
            ]

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
        """(round, image) of the best when round `before` is labelled, or None.

        The round is `START` for the best of the pictures that the run began with.
        """
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
            start = self.start()
            if start is not None and isinstance(start.labels.best, int):
                return START, start.labels.best
            return None

    def submit(self, number: int, given: Labels | None = None, line: int | None = None) -> None:
        """Hands the round's labels to the engine; with `given`, those and nobody else's.

        With goods but no best chosen, the reigning best stays and `keep` is recorded.

        Args:
            line: whose pictures were labelled, by who takes time for it: a round of another line
                has other pictures, and one of a run that was told to finish is not learned from.

        Raises:
            InputError: the round is not fully sampled, is submitted, or its labels are not
                complete (`labels.problem_with`); or the run has left the line, or is to finish.
        """
        with self._writing() as connection:
            if line is not None and line != self.line():
                raise InputError(f"round {number}: the run has gone back to an earlier round")
            if line is not None and self.is_pending("finish"):
                raise InputError(f"round {number}: the run was told to finish without it")
            step = self._open_step(connection, number)
            (images, sampled) = connection.execute(
                "SELECT images, sampled FROM rounds WHERE round = ?", (number,)
            ).fetchone()
            if sampled is None:
                raise InputError(f"round {number}: its pictures are still being sampled")
            labels = self.labels(number) if given is None else given
            reigning = self.reigning_best(number) is not None
            problem = problem_with(labels, images, reigning)
            if problem:
                raise InputError(f"round {number}: {problem}")
            submitted = labels.as_submitted(reigning)
            if submitted != self.labels(number) or step == 0:
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
            return [try_of(*row) for row in rows]

    def begin_try(self, number: int, round_number: int) -> None:
        """Says that a try's pictures are being drawn, from the model as it is in the round."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE tries SET round = ? WHERE number = ?", (round_number, number)
            )

    def finish_try(self, number: int, round_number: int, images: int, error: str = "") -> None:
        """Says that a try's pictures are complete, or why there are none."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE tries SET round = ?, images = ?, error = ?, finished = ? WHERE number = ?",
                (round_number, images, error, time.time(), number),
            )

    # -- metrics -----------------------------------------------------------------------------

    def add_metrics(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """Adds one point to each of a round's curves; a value that is not finite leaves a gap."""
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

    def judge(self) -> str:
        """Who judged the pictures that `figures` are of."""
        with self._reading() as connection:
            (judge,) = connection.execute("SELECT judge FROM run").fetchone()
            return "oracle" if judge is None else str(judge)

    def set_verdict(self, judge: str, figures: Mapping[Noise, Mapping[str, float]]) -> None:
        """What a judge found of the final model; it takes the place of what was found before."""
        with self._writing() as connection:
            connection.execute("DELETE FROM figures")
            connection.execute("UPDATE run SET judge = ?", (judge,))
            for noise, of in figures.items():
                self.set_figures(noise, of)

    def set_figures(self, noise: Noise, figures: Mapping[str, float]) -> None:
        """What the final evaluation from `noise` found, by name; other names stay."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO figures VALUES (?, ?, ?)",
                [(noise, name, value) for name, value in _finite(figures)],
            )

    def figures(self) -> dict[Noise, dict[str, float]]:
        """By noise and name; a noise that was judged has `images`, `good` and `diversity`."""
        with self._reading() as connection:
            found: dict[str, dict[str, float]] = {}
            for noise, name, value in connection.execute("SELECT noise, name, value FROM figures"):
                found.setdefault(noise, {})[name] = float(value)
            return {noise: found[noise] for noise in get_args(Noise) if noise in found}


def _put_metrics(
    connection: sqlite3.Connection, number: int, points: Mapping[int, Mapping[str, float]]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)",
        [
            (number, name, step, value)
            for step, metrics in points.items()
            for name, value in _finite(metrics)
        ],
    )


def _finite(named: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    """What can be kept: SQLite has no NaN, and JSON neither NaN nor infinity."""
    return [(name, float(value)) for name, value in named.items() if isfinite(value)]
