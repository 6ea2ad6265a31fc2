"""Drives a run without a terminal: starts its engine, labels each round, shows progress.

Everything is said on stderr. The engine is a process of its own; this one only follows the run's
record, so that it can be killed at any time and the run continued with `hero-tui resume`.
"""

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from hero_engine import process
from hero_engine.errors import EngineError, InputError
from hero_engine.folder import RunFolder
from hero_engine.labels import KEEP
from hero_engine.record import Record, Round
from hero_engine.task import Task
from hero_tui.labelers import Labeler, RoundView
from hero_tui.text import plain_lines

FINISHED, PAUSED = 0, 3


def drive(folder: RunFolder, labeler: Labeler | None) -> int:
    """Runs until the run is finished or paused; says on stderr how to continue.

    Args:
        folder: the run.
        labeler: labels the rounds; None for a run whose labels are complete.

    Returns:
        the exit code: 0 finished, 3 paused.

    Raises:
        EngineError: the engine failed or was killed.
        InputError: the engine cannot use what the task says, such as its model; or the labeler
            cannot label a round, and the run is paused.
    """
    with (
        _sigterm_as_ctrl_c(),
        closing(folder.open_record()) as record,
        closing(_Progress(folder, record)) as progress,
    ):
        engine = None if process.is_running(folder) else process.start_engine(folder)
        try:
            ran_out = _follow(folder, record, labeler, engine, progress)
        except KeyboardInterrupt:
            progress.say("Stopping: the engine finishes the write it is in (ctrl+c: do not wait)")
            return _stopped(folder, record, engine, progress)
        except InputError as error:
            process.stop_engine(folder, engine)
            raise InputError(f"{error}\n{_how_to_continue(folder, record)}") from error
        if ran_out:
            process.stop_engine(folder, engine)
            progress.say(f"The labels have run out. {_how_to_continue(folder, record)}")
            return PAUSED
        return _outcome(folder, record, engine, progress)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """A service manager's SIGTERM pauses the run, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _follow(
    folder: RunFolder,
    record: Record,
    labeler: Labeler | None,
    engine: "subprocess.Popen[bytes] | None",
    progress: "_Progress",
) -> bool:
    """Labels rounds until the engine is gone (False) or there are no more labels (True)."""
    task = folder.task()
    while True:
        # Asked before the record is read, so that an engine's last words are not missed.
        running = process.is_running(folder, engine)
        progress.show()
        if not running:
            return False
        waiting = _waiting_for_labels(record)
        if waiting is not None:
            labels = labeler(_view(folder, record, task, waiting)) if labeler else None
            if labels is None:
                return True
            record.label(waiting.number, labels)
            record.submit(waiting.number)
            continue
        changes = record.changes()
        deadline = time.monotonic() + 0.5
        while record.changes() == changes and time.monotonic() < deadline:
            time.sleep(process.POLL_SECONDS)
            if engine is not None and engine.poll() is not None:
                break


def _waiting_for_labels(record: Record) -> Round | None:
    rounds = record.rounds()
    if not rounds or rounds[-1].sampled is None or rounds[-1].submitted is not None:
        return None
    # Who asked to finish will not label the round that is open.
    return None if record.is_pending("finish") else rounds[-1]


def _view(folder: RunFolder, record: Record, task: Task, r: Round) -> RoundView:
    best = record.reigning_best(r.number)
    return RoundView(
        number=r.number,
        paths=[folder.image(r.number, image) for image in range(r.images)],
        task=task,
        reigning_best=folder.image(*best) if best else None,
    )


def _stopped(
    folder: RunFolder,
    record: Record,
    engine: "subprocess.Popen[bytes] | None",
    progress: "_Progress",
) -> int:
    try:
        process.stop_engine(folder, engine)
    except KeyboardInterrupt:
        progress.say("Not waiting; the engine stops by itself.")
    if record.state()[0] == "finished":
        return _outcome(folder, record, engine, progress)
    progress.say(_how_to_continue(folder, record))
    return PAUSED


def _outcome(
    folder: RunFolder,
    record: Record,
    engine: "subprocess.Popen[bytes] | None",
    progress: "_Progress",
) -> int:
    """What the engine left when it ended."""
    state, error = record.state()
    returncode = engine.returncode if engine is not None else None
    if state == "finished":
        progress.say(_summary(folder, record))
        return FINISHED
    if state == "failed" and returncode == InputError.exit_code:
        raise InputError(f"{folder.path}: {error}")
    if state == "failed":
        reason = error or "the engine failed"
    elif state == "paused" and returncode in (None, 0, PAUSED):
        progress.say(f"Stopped. {_how_to_continue(folder, record)}")
        return PAUSED
    elif returncode is not None:
        reason = f"the engine {process.ending(returncode)}"
    else:
        reason = "the engine is gone: killed, or the machine was restarted"
    raise EngineError(f"{process.failure(folder, reason)}\n{_how_to_continue(folder, record)}")


def _summary(folder: RunFolder, record: Record) -> str:
    lines = ["Finished."]
    names = {"pi": "from the run's own noise", "fresh": "from fresh noise"}
    for noise, measured in record.final().items():
        lines.append(
            f"  {names[noise]}: {measured.good} of {measured.images} good"
            f" ({measured.good / max(1, measured.images):.0%}), diversity {measured.diversity:.3f}"
        )
    lines.append(f"Its LoRA and noise pool: hero-tui export {reference(folder)}")
    return "\n".join(lines)


def _how_to_continue(folder: RunFolder, record: Record) -> str:
    number = len([r for r in record.rounds() if r.submitted is not None])
    run = reference(folder)
    return (
        f"Labelled: {number} round{'s' if number != 1 else ''} of {folder.task().feedback.rounds}. "
        f"Continue with `hero-tui attach {run}`, or without a terminal with "
        f"`hero-tui resume {run}` and --labels FILE, --oracle or --labeler module:function"
    )


def reference(folder: RunFolder) -> str:
    """The run as one can type it in a command from here."""
    path = folder.path.absolute()
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def seconds_left(rounds: list[Round], total: int, now: float) -> float | None:
    """An estimate for the rounds of a run, from the mean of those that are trained."""
    trained = [r.trained - r.started for r in rounds if r.trained is not None]
    if not trained:
        return None
    mean = sum(trained) / len(trained)
    current = 0.0 if rounds[-1].trained is not None else min(mean, now - rounds[-1].started)
    return max(0.0, mean * (total - len(trained)) - current)


class _Progress:
    """Follows the record on stderr: a line a round, and in a terminal a bar for the phase."""

    def __init__(self, folder: RunFolder, record: Record) -> None:
        self._record = record
        self._rounds = folder.task().feedback.rounds
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        rounds = record.rounds()
        self._submitted = len([r for r in rounds if r.submitted is not None])
        self._trained = len([r for r in rounds if r.trained is not None])
        self._phase = ""
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting the engine", total=None, counts="")
        self._bar.start()
        self.say(f"Run {reference(folder)}: {self._rounds} rounds")

    def close(self) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._console.print(Text(plain_lines(text)))

    def show(self) -> None:
        """Says what is new in the record since the last call."""
        rounds = self._record.rounds()
        for r in [r for r in rounds if r.submitted is not None][self._submitted :]:
            self._submitted += 1
            self.say(self._labelled(r))
        for r in [r for r in rounds if r.trained is not None][self._trained :]:
            self._trained += 1
            if r.outcome:
                self.say(f"  {r.outcome}")
        self._show_phase(rounds)

    def _labelled(self, r: Round) -> str:
        labels = self._record.labels(r.number)
        said = f"Round {r.number}: {len(labels.good)} of {r.images} good"
        said += f" ({len(labels.good) / r.images:.0%})"
        if labels.best is not None:
            said += ", the best stays" if labels.best == KEEP else f", best {labels.best}"
        return said

    def _show_phase(self, rounds: list[Round]) -> None:
        done = self._record.progress()
        left = seconds_left(rounds, self._rounds, time.time())
        estimate = "" if left is None else f"run: about {_clock(left)} left"
        # Without a terminal, a phase is a line; the labeler's turn is over before one could read.
        new_phase = done.phase != self._phase and done.total > 0
        if new_phase and not self._console.is_terminal:
            self.say(f"  {done.phase}" + (f" ({estimate})" if estimate else ""))
        self._phase = done.phase
        self._bar.update(
            self._task,
            description=done.phase or "starting the engine",
            completed=done.done,
            total=done.total or None,
            counts=f"{done.done}/{done.total}  {estimate}" if done.total else estimate,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def start_in_background(
    folder: RunFolder, labels: Path | None, oracle: bool, function: str | None
) -> None:
    """Goes on with the run in a process of its own, whose messages go to headless.log."""
    command = [sys.executable, "-P", "-m", "hero_tui", "resume", str(folder.path.absolute())]
    if labels is not None:
        command += ["--labels", str(labels.absolute())]
    if oracle:
        command += ["--oracle"]
    if function is not None:
        command += ["--labeler", function]
    process.start_detached(command, folder.path / "headless.log")
