"""Going back to an earlier round: its model becomes the current one, and nothing is lost.

The line of rounds that is left becomes a run folder of its own, lines/0 in the run's, with the next
number each time: what works on a run works on it, too. Its files are hard links where the file
system has them, and so take no room until they differ.

Killed at any instant, the run is either as it was or as it was asked for: the line that is left is
made under another name and renamed, then the record changes in one transaction, which has the
settings of the new line in it. What remains to be done on the disk, the next engine does.
"""

import shutil
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

from hero_engine.errors import EngineError, InputError
from hero_engine.run import yamlfile
from hero_engine.run.folder import (
    RunFolder,
    copy_linked,
    engine_lock,
    remove,
    trained_round,
    write_complete,
)
from hero_engine.run.record import START, Record
from hero_engine.run.task import Task

KEPT_OF_A_LINE = (
    "start", "rounds", "checkpoints", "tries", "sheets", "final", "evaluations", "exports",
)  # fmt: skip
"""Folders that a line which is left takes along; what else is in the folder belongs to no line."""


def with_next_seed(task: Task, record: Record) -> Task:
    """The task with the next line's own seed, which is always the same."""
    name = f"{task.seed}/line {record.line() + 1}".encode()
    seed = int.from_bytes(blake2b(name, digest_size=4).digest(), "little")
    return task.model_copy(update={"seed": seed})


def with_smaller_step(task: Task, record: Record) -> Task:
    """The task with the next line's own seed, and half the learning rate."""
    task = with_next_seed(task, record)
    update = task.update.model_copy(update={"learning_rate": task.update.learning_rate / 2})
    return task.model_copy(update={"update": update})


def roll_back(
    folder: RunFolder,
    round_number: int,
    changed: Callable[[Task, Record], Task] = with_next_seed,
) -> RunFolder:
    """Makes the state after training `round_number` the run's current one, and the run paused.

    Args:
        changed: makes the settings to go on with of those that the run has, when an earlier
            rollback that was cut short is complete; else they stay but for the seed, so that the
            next round has other pictures.

    Returns:
        The folder of the line that was left.

    Raises:
        InputError: the round is not trained, nothing came after it, or an engine is running.
        EngineError: the line that is left cannot be kept: the disk is full, say. The run is as it
            was.
    """
    with engine_lock(folder), closing(folder.open_record()) as record:
        complete(folder, record)
        task = changed(folder.task(), record)
        trained_round(folder, round_number)
        if round_number == record.rounds()[-1].number == task.feedback.rounds - 1:
            raise InputError(
                f"--round {round_number}: {folder.name} has no round after it, so there is nothing "
                "to take back; name an earlier one, or add rounds with --set feedback.rounds=N"
            )
        left = folder.line(record.line())
        text = yamlfile.dump(task.model_dump(mode="json"))
        gone_back = False
        while not gone_back:
            # Who looks at the run can label the round that is left until the record changes.
            copied_at = record.changes()
            try:
                write_complete(left.path, lambda path: _copy(folder, record, path))
            except OSError as error:
                raise EngineError(
                    f"{left.path}: cannot keep the rounds that are left: {error.strerror or error};"
                    " the run is as it was"
                ) from None
            gone_back = record.roll_back(round_number, text, if_unchanged=copied_at)
        complete(folder, record)
    return left


def copy_until(folder: RunFolder, target: Path, rounds: int) -> None:
    """Makes at `target` the run as it was after its first `rounds` rounds, paused, as if they were
    its budget.

    Of its last pictures it has the base model's, which are the same.

    Raises:
        InputError: it has not trained so many, or an engine is at work on it.
        EngineError: the copy cannot be made; nothing is left of it.
    """

    trained_round(folder, rounds - 1)

    def until(task: Task, _: Record) -> Task:
        shorter = task.feedback.model_copy(update={"rounds": rounds})
        return task.model_copy(update={"feedback": shorter})

    def make(path: Path) -> None:
        copy = RunFolder(path)
        with closing(folder.open_record()) as record:
            _copy(folder, record, path)
        remove(roll_back(copy, rounds - 1, until).path.parent)
        with closing(copy.open_record()) as record:
            record.forget_lines()
        base = folder.final_image("base", 0).parent
        if base.is_dir():
            copy_linked(base, copy.final_image("base", 0).parent)

    try:
        with engine_lock(folder):
            write_complete(target, make)
    except OSError as error:
        where = error.filename or target
        raise EngineError(f"{where}: cannot be written: {error.strerror or error}") from None


def complete(folder: RunFolder, record: Record) -> None:
    """Makes the folder's files those of the record's current line, if a rollback was cut short.

    The caller holds the engine's lock.

    Raises:
        EngineError: the folder cannot be written to.
    """
    text = record.unwritten_task()
    if text is None:
        return
    kept = {folder.checkpoint(n).name for n in (START, *(r.number for r in record.rounds()))}
    try:
        for numbered in ("rounds", "checkpoints", "sheets"):
            for path in (folder.path / numbered).glob("*"):
                if path.stem not in kept:
                    remove(path)
        for path in (folder.path / "final", folder.path / "evaluations", folder.exports):
            remove(path)
        write_complete(folder.task_file, lambda path: _write(path, text))
    except OSError as error:
        raise EngineError(
            f"{folder.path}: the run goes on from an earlier round, but its files cannot be put in "
            f"order: {error.strerror or error}; when that is mended, continue the run"
        ) from None
    record.task_is_written()


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _copy(folder: RunFolder, record: Record, target: Path) -> None:
    """Makes the run folder `target`, in which the run could go on as it is."""
    target.mkdir(mode=0o700)
    for name in KEPT_OF_A_LINE:
        if (folder.path / name).is_dir():
            copy_linked(folder.path / name, target / name)
    copy = RunFolder(target)
    # These two are written to in place, by hand or by SQLite.
    shutil.copy2(folder.task_file, copy.task_file)
    record.copy_to(copy.record_file)
