"""Starting, watching and stopping the engine process of a run.

The engine runs in a session of its own: closing the terminal, or killing who started it, does not
reach it. What it prints goes to the run's engine.log.
"""

import math
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from hero_engine.errors import EngineError, InputError
from hero_engine.run.filesystem import is_full
from hero_engine.run.folder import RunFolder, check_no_engine_elsewhere, engine_holder
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_engine.run.record import Record

POLL_SECONDS = 0.05

STOP_SECONDS = 60.0
"""How long `hero-tui stop` waits: on a GPU, an engine looks more often than that."""


class Started(Protocol):
    """The process of an engine that was started here: all that is asked of it."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""


def start_engine(
    folder: RunFolder, options: EngineOptions = DEFAULT_OPTIONS
) -> "subprocess.Popen[bytes]":
    """Starts the run's engine, detached; returns at once, before it has loaded anything.

    With several processes, what is returned is their launcher; it ends after them.

    Raises:
        EngineError: the process or its log cannot be made.
    """
    # -P: a torch.py in the folder that one happens to be in is not imported.
    command = [sys.executable, "-P", "-m", "hero_engine", "run", str(folder.path.absolute())]
    command += options.arguments()
    return start_detached(command, folder.log_file)


def start_detached(command: Sequence[str], log_file: Path) -> "subprocess.Popen[bytes]":
    """Starts a process that outlives this one and its terminal; what it prints is appended.

    Raises:
        EngineError: the process or its log cannot be made.
    """
    try:
        with log_file.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise EngineError(f"{log_file}: cannot start the engine: {error.strerror}") from None


def is_running(folder: RunFolder, process: Started | None = None) -> bool:
    """Whether an engine works on the run: `process`, if given, or any that holds the lock."""
    started_here = process is not None and process.poll() is None
    return started_here or engine_holder(folder) is not None


def wait_until_running(
    folder: RunFolder, process: "subprocess.Popen[bytes]", log_file: Path | None = None
) -> None:
    """Waits until `process`, what it starts, or another engine holds the run.

    Returns when `process` has ended well, too: a run with nothing left to do is over quickly.

    Args:
        log_file: where what it prints goes; None: into the engine's.

    Raises:
        InputError, EngineError: it ended with an error before, by its exit code.
    """
    who = "the engine" if log_file is None else "what was to start the engine"
    while engine_holder(folder) is None:
        if process.poll() is not None:
            if process.returncode not in (0, 3):
                wrong = process.returncode == InputError.exit_code
                said = failure(folder, f"{who} {ending(process.returncode)}", log_file)
                raise InputError(said) if wrong else EngineError(said)
            return
        time.sleep(POLL_SECONDS)


def stop_engine(
    folder: RunFolder,
    process: Started | None = None,
    seconds: float = math.inf,
) -> bool:
    """Asks the run's engine to stop and waits until it has finished the write it is in.

    Args:
        process: the engine, if it was started here; it may not hold the run yet.
        seconds: how long to wait.

    Returns:
        False when none is running.

    Raises:
        InputError: it may run on another machine, which cannot be seen from here.
        EngineError: it has not stopped by then; says what it does, and how to end it.
    """
    check_no_engine_elsewhere(folder)
    if not is_running(folder, process):
        return False
    deadline = time.monotonic() + seconds
    with closing(folder.open_record()) as record:
        while is_running(folder, process):
            # Asked again, because an engine that starts forgets what was asked of an earlier one.
            if not record.is_pending("stop"):
                record.send("stop")
            if time.monotonic() > deadline:
                raise EngineError(_does_not_stop(folder, record, seconds))
            time.sleep(POLL_SECONDS)
        record.take("stop")
    return True


def _does_not_stop(folder: RunFolder, record: Record, seconds: float) -> str:
    now, holder = record.progress(), engine_holder(folder)
    which = f"process {holder.pid} on {holder.host}" if holder else "which is just starting"
    at = f"{now.phase}, {now.done} of {now.total}" if now.total else now.phase or "starting"
    end = f"`kill -9 {holder.pid}` there ends it at once" if holder else "try again"
    return (
        f"{folder.path}: its engine ({which}) has not stopped within {seconds:.0f} s. It is at: "
        f"{at}, last heard of {time.time() - now.updated:.0f} s ago; it stops when that piece of "
        f"work is done. If it hangs, {end}; what is recorded stays, and the run can be continued"
    )


def ending(returncode: int) -> str:
    """How a process ended, in words."""
    if returncode < 0:
        return f"was killed by signal {-returncode}"
    return f"ended with exit code {returncode}"


def log_end(log_file: Path, lines: int = 15) -> str:
    """The last lines of a log, or "" if there is none."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log_file.stat().st_size - 16_384))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().split("\n")[-lines:])


def failure(folder: RunFolder, reason: str, log_file: Path | None = None) -> str:
    """The message for an engine that failed: the reason, the log's end and where the log is."""
    log_file = log_file or folder.log_file
    end = log_end(log_file)
    said = f"its log ends with:\n{end}" if end else "its log is empty"
    if is_full(folder.path):
        reason = f"{reason}; the disk is full: free some space, then continue the run"
    return f"{folder.path}: {reason}; {said}\nThe whole log: {log_file}"
