"""Drives a run without a terminal: starts its engine, labels each round, shows progress.

Everything is said on stderr. The engine is a process of its own; this one only follows the run's
record, so that it can be killed at any time and the run continued with `hero-tui resume`.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hero_engine.errors import EngineError, InputError
from hero_engine.run import process
from hero_engine.run.folder import Holder, RunFolder, engine_holder
from hero_engine.run.intervals import Rate
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_engine.run.record import Record, Round
from hero_engine.run.second_look import label_noise
from hero_engine.run.task import Task
from hero_tui.headless.labelers import Labeler, RoundView
from hero_tui.headless.progress import RunProgress
from hero_tui.statusview import diversity_words, own_noise

FINISHED, PAUSED = 0, 3


def drive(
    folder: RunFolder, labeler: Labeler | None, options: EngineOptions = DEFAULT_OPTIONS
) -> int:
    """Runs until the run is finished or paused; says on stderr how to continue.

    Args:
        folder: the run.
        labeler: labels the rounds; None for a run whose labels are complete.
        options: of the engine, if none is running.

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
        closing(RunProgress(folder, record)) as progress,
    ):
        engine = _Engine(folder, progress, options)
        try:
            ran_out = _follow(folder, record, labeler, engine, progress)
        except KeyboardInterrupt:
            return _interrupted(folder, record, engine, progress)
        except InputError as error:
            engine.stop()
            raise InputError(f"{error}\n{_how_to_continue(folder, record)}") from error
        if ran_out:
            progress.say("The labels have run out.")
            engine.stop()
            progress.say(_how_to_continue(folder, record))
            return PAUSED
        return _outcome(folder, record, engine.started, progress)


class _Engine:
    """The run's engine: started here, or another command's, which is followed and not stopped."""

    def __init__(self, folder: RunFolder, progress: RunProgress, options: EngineOptions) -> None:
        self._folder = folder
        self._progress = progress
        self._options = options
        self.started: subprocess.Popen[bytes] | None = None
        holder = engine_holder(folder)
        if holder is None:
            self.started = process.start_engine(folder, options)
        else:
            self._follow(holder)

    def is_running(self) -> bool:
        """Whether an engine works on the run."""
        self._notice_refusal()
        return process.is_running(self._folder, self.started)

    def _notice_refusal(self) -> None:
        """Of two commands that start an engine at once, one starts it in vain, and follows."""
        holder = engine_holder(self._folder)
        if (
            self.started is not None
            and self.started.poll() == InputError.exit_code
            and holder is not None
        ):
            self._follow(holder)

    def _follow(self, holder: Holder) -> None:
        self.started = None
        given = " ".join(self._options.arguments())
        self._progress.say(
            f"Its engine is running already (process {holder.pid} on {holder.host})"
            + (f", so {given} changes nothing" if given else "")
        )

    def stop(self) -> None:
        """Stops it if it was started here; else says that it goes on."""
        self._notice_refusal()
        holder = engine_holder(self._folder)
        if self.started is not None:
            process.stop_engine(self._folder, self.started)
        elif holder is not None:
            self._progress.say(
                f"Its engine (process {holder.pid} on {holder.host}) was started by another "
                f"command and goes on; `hero-tui stop {self._folder.reference}` stops it."
            )


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
    engine: _Engine,
    progress: RunProgress,
) -> bool:
    """Labels rounds until the engine is gone (False) or there are no more labels (True)."""
    while True:
        # Asked before the record is read, so that an engine's last words are not missed.
        running = engine.is_running()
        progress.show()
        if not running:
            return False
        waiting = _waiting_for_labels(record) if folder.task().asks_for_labels else None
        if waiting is not None:
            line = record.line()
            # The settings, too, are the line's.
            labels = labeler(_view(folder, record, folder.task(), waiting)) if labeler else None
            if labels is None:
                return True
            try:
                record.submit(waiting.number, labels, line)
            except InputError:
                if record.line() != line:
                    progress.say("The run went back to an earlier round meanwhile")
                elif record.is_pending("finish"):
                    progress.say("The run was told to finish meanwhile, without this round")
                elif _waiting_for_labels(record) == waiting:
                    raise
                else:
                    progress.say(f"Round {waiting.number} was labelled by somebody else meanwhile")
            continue
        changes = record.changes()
        deadline = time.monotonic() + 0.5
        while record.changes() == changes and time.monotonic() < deadline:
            time.sleep(process.POLL_SECONDS)
            if engine.started is not None and engine.started.poll() is not None:
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


def _interrupted(folder: RunFolder, record: Record, engine: _Engine, progress: RunProgress) -> int:
    if engine.started is not None:
        progress.say("Stopping: the engine finishes the write it is in (ctrl+c: do not wait)")
    try:
        engine.stop()
    except KeyboardInterrupt:
        progress.say("Not waiting; the engine stops by itself.")
    if record.state()[0] == "finished":
        return _outcome(folder, record, engine.started, progress)
    progress.say(_how_to_continue(folder, record))
    return PAUSED


def _outcome(
    folder: RunFolder,
    record: Record,
    engine: "subprocess.Popen[bytes] | None",
    progress: RunProgress,
) -> int:
    """What the engine left when it ended."""
    state, error = record.state()
    returncode = engine.returncode if engine is not None else None
    if state == "finished":
        progress.say(summary(folder, record))
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


def summary(folder: RunFolder, record: Record) -> str:
    """What a finished run has become."""
    lines, task = ["Finished."], folder.task()
    learned = any(r.trained for r in record.rounds())
    names = {
        "pi": f"from {own_noise(task)}",
        "fresh": "from fresh noise",
        "base": "the base model, from fresh noise",
    }
    found = record.figures()
    for noise, figures in found.items():
        rate = Rate.of(figures)
        lines.append(
            f"  {names[noise]}: {rate.good} of {rate.images} good, {rate.percent},"
            f" {diversity_words(figures['diversity'], figures.get('good_diversity'))}"
        )
    if found:
        lines.append(f"  Judged by {record.judge()}; in brackets, 95 % intervals.")
    if record.judge() != "person" and learned:
        lines.append(f"Judge base and taught model blind: hero-tui evaluate {folder.reference}")
    wrong = label_noise(record.second_looks())
    if wrong is not None:
        lines.append(f"  {wrong.words}")
    if learned:
        pool = " and noise pool" if task.has_pool else ""
        lines.append(f"Its LoRA{pool}: hero-tui export {folder.reference}")
    else:
        lines.append("Nothing was learned, so there is no LoRA to export.")
    return "\n".join(lines)


def _how_to_continue(folder: RunFolder, record: Record) -> str:
    number = len([r for r in record.rounds() if r.submitted is not None])
    run = folder.reference
    return (
        f"Labelled: {number} round{'s' if number != 1 else ''} of {folder.task().feedback.rounds}. "
        f"Continue with `hero-tui attach {run}`, or without a terminal with "
        f"`hero-tui resume {run}` and --labels FILE, --oracle or --labeler module:function"
    )


def start_in_background(
    folder: RunFolder,
    labels: Path | None,
    oracle: bool,
    function: str | None,
    options: EngineOptions = DEFAULT_OPTIONS,
) -> "subprocess.Popen[bytes]":
    """Goes on with the run in a process of its own, whose messages go to headless.log."""
    command = [sys.executable, "-P", "-m", "hero_tui", "resume", str(folder.path.absolute())]
    if labels is not None:
        command += ["--labels", str(labels.absolute())]
    if oracle:
        command += ["--oracle"]
    if function is not None:
        command += ["--labeler", function]
    command += options.arguments()
    return process.start_detached(command, log_of(folder))


def log_of(folder: RunFolder) -> Path:
    """What a labeler in the background prints."""
    return folder.path / "headless.log"
