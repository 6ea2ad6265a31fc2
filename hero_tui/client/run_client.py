"""The interface's side of the run folder: one thread that writes what was asked and reads the run.

Everything goes through one connection in one order, off the event loop: an edit is on the disk when
the next snapshot shows it. Each snapshot says which of the asked-for operations it includes, so
that the interface can show an edit before that and take it back if it fails.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from hero_engine.errors import HeroError, InputError
from hero_engine.run import rollback
from hero_engine.run.folder import RunFolder, check_no_engine_elsewhere, engine_holder
from hero_engine.run.process import Started
from hero_engine.run.record import Record
from hero_tui.client.attached import Attached, Place
from hero_tui.client.runview import Engine, RunReader, RunView

POLL_SECONDS = 0.1
ENGINE_POLL_SECONDS = 0.5

STOP_SECONDS = 60.0
"""How long an interface that is left waits for the engine to stop, if the run is to go back."""

# An engine that is finished, or has paused.
ENDED_WELL = (0, 3)

Operation = Callable[[Record], object]
StartEngine = Callable[[RunFolder], Started]


@dataclass(frozen=True)
class Update:
    """A snapshot that includes every operation up to `done`; `failed` are messages for the user."""

    view: RunView
    done: int
    failed: tuple[str, ...] = ()
    bug: Exception | None = None
    """Why the client ended, if not by `close`."""


class RunClient:
    """Follows one run and writes to its record.

    `publish` is called from the client's thread, at first and after every change.
    """

    def __init__(
        self, folder: RunFolder, start_engine: StartEngine, judging: int | None = None
    ) -> None:
        """Opens the run, and starts its engine if it is not finished and has none.

        Args:
            judging: the evaluation that is judged; no engine is started for it.

        Raises:
            InputError: it cannot be read, or its engine cannot be started.
        """
        self.folder = folder
        self._start_engine = start_engine
        self._record = folder.open_record()
        self._reader = RunReader(folder, self._record, folder.task(), judging)
        self._operations: queue.Queue[tuple[int, Operation] | None] = queue.Queue()
        self._asked = self._done = 0
        self._closing = False
        self._closing_until = 0.0
        self._failed_at_end: tuple[str, ...] = ()
        self._published: Update | None = None
        # The record's data version at the last reading; None: it has to be read.
        self._changes: int | None = None
        self._started: Started | None = None
        self._stopping = False
        self._back_to: int | None = None
        self._smaller_step = False
        self._engine: Engine = "none"
        self._engine_due = 0.0
        if self._record.state()[0] != "finished" and judging is None:
            self._start(self._record)
        self._look_at_engine()
        self._attached = Attached(folder)
        self._others = self._attached.others()
        self._thread = threading.Thread(target=self._work, name="run-client", daemon=True)
        self.view = self._reader.read(self._engine, self._others)
        self._publish: Callable[[Update], object] = lambda update: None

    @property
    def place(self) -> Place | None:
        """The picture at which the interface is, or at which it was left."""
        return self._attached.place

    def keep_place(self, place: Place) -> None:
        """Has the next interface open at `place`."""
        self.ask(lambda record: self._attached.keep(place))

    def follow(self, publish: Callable[[Update], object]) -> None:
        """Starts to poll, and to work through what is asked."""
        self._publish = publish
        self._thread.start()

    def ask(self, operation: Operation) -> int:
        """Has `operation` done in its turn; the number tells when (`Update.done`)."""
        self._asked += 1
        self._operations.put((self._asked, operation))
        return self._asked

    def start_engine(self) -> None:
        """Has the engine started, if none runs."""
        self.ask(self._start)

    def stop_engine(self) -> None:
        """Asks the engine to pause the run."""
        self.ask(self._stop)

    def roll_back(self, number: int, smaller_step: bool = False) -> None:
        """Goes on from the state after training round `number`, once the engine has stopped."""

        def ask(record: Record) -> None:
            self._back_to, self._smaller_step = number, smaller_step
            if self._engine not in {"none", "crashed"}:
                self._stop(record)

        self.ask(ask)

    def close(self) -> tuple[str, ...]:
        """Returns when everything that was asked is done; what failed of it, as messages."""
        if self._thread.is_alive():
            self._operations.put(None)
            self._thread.join()
        self._record.close()
        self._attached.close()
        return self._failed_at_end

    # -- in the client's thread --------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._closing or self._waits_to_go_back():
                failed = self._do_what_is_asked() + self._roll_back_when_stopped()
                self._look()
                update = Update(self.view, self._done, failed)
                if update != self._published:
                    self._publish(update)
                    self._published = update
            if self._back_to is not None:
                failed += (f"round {self._back_to} to go back to: the engine has not stopped yet",)
            self._failed_at_end = failed
        except Exception as bug:
            self._publish(Update(self.view, self._done, bug=bug))

    def _do_what_is_asked(self) -> tuple[str, ...]:
        failed = []
        for asked in self._waiting():
            if asked is None:
                self._closing = True
                self._closing_until = time.monotonic() + STOP_SECONDS
                break
            self._done, operation = asked
            self._changes = None
            try:
                operation(self._record)
            except (HeroError, OSError) as error:
                failed.append(str(error))
        return tuple(failed)

    def _waits_to_go_back(self) -> bool:
        """Whether the run still has to go back, though the interface is left: for a while only."""
        return self._back_to is not None and time.monotonic() < self._closing_until

    def _roll_back_when_stopped(self) -> tuple[str, ...]:
        if self._back_to is None or self._engine not in {"none", "crashed"}:
            return ()
        number, self._back_to = self._back_to, None
        self._changes = None
        try:
            changed = rollback.with_smaller_step if self._smaller_step else rollback.with_next_seed
            rollback.roll_back(self.folder, number, changed)
            self._start(self._record)
        except HeroError as error:
            return (str(error),)
        return ()

    def _look(self) -> None:
        """Reads the run anew if it may have changed."""
        if self._changes is None or time.monotonic() > self._engine_due:
            before = self._engine, self._others
            self._look_at_engine()
            self._others = self._attached.others()
            self._engine_due = time.monotonic() + ENGINE_POLL_SECONDS
            if (self._engine, self._others) != before or self._engine in {"none", "crashed"}:
                self._changes = None
        try:
            changes = self._record.changes()
            if changes != self._changes or self.view.problem:
                self.view = self._reader.read(self._engine, self._others)
                self._changes = changes
        except InputError as error:
            self.view = replace(self.view, problem=str(error))

    def _waiting(self) -> list[tuple[int, Operation] | None]:
        """What was asked, after waiting for it for one poll at most."""
        asked: list[tuple[int, Operation] | None] = []
        try:
            asked.append(self._operations.get(timeout=POLL_SECONDS))
            while True:
                asked.append(self._operations.get_nowait())
        except queue.Empty:
            return asked

    def _start(self, record: Record) -> None:
        check_no_engine_elsewhere(self.folder)
        if engine_holder(self.folder) is None and self._engine != "starting":
            self._stopping = False
            self._started = self._start_engine(self.folder)

    def _stop(self, record: Record) -> None:
        record.send("stop")
        self._stopping = True

    def _look_at_engine(self) -> None:
        alive = self._started is not None and self._started.poll() is None
        if engine_holder(self.folder) is not None:
            self._engine = "stopping" if self._stopping else "running"
            if not alive:
                self._started = None
        elif alive and not self._stopping and self._engine in {"none", "crashed", "starting"}:
            self._engine = "starting"
        else:
            ended = None if self._started is None else self._started.poll()
            self._engine = "none" if ended in {None, *ENDED_WELL} else "crashed"
            self._stopping = False
