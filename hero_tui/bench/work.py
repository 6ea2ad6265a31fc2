"""Working on a cell: its run, then the pictures and judgements that its row wants besides.

Each is a `hero-tui` process in a session of its own, so that it is stopped from here, in order, and
not by ctrl+c. What they say is in the run's bench.log. All of it can be killed and done again.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hero_engine.errors import HeroError
from hero_engine.run.folder import RunFolder, copy_linked
from hero_engine.run.process import STOP_SECONDS, stop_engine
from hero_engine.run.rollback import copy_until
from hero_engine.run.status import status
from hero_tui.bench.cell import ORACLE, Cell
from hero_tui.bench.raters import JUDGES
from hero_tui.bench.results import here, notes_of, write_notes

PAUSED = 3
NOISES: tuple[Literal["pi", "fresh"], ...] = ("pi", "fresh")
SHEET = "sheet.png"
"""The last file that `hero-tui generate` writes."""


class Stopped(Exception):  # noqa: N818, as the engine's Stop
    """The bench was asked to stop."""


class CellFailed(Exception):  # noqa: N818, it is reported, never raised to a person
    """A process of the cell ended with `code`."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code


@dataclass(frozen=True)
class Outcome:
    """How work on a cell ended, and in how long; `said` is why it is not finished, with its log."""

    cell: Cell
    state: Literal["finished", "paused", "failed", "stopped"]
    said: str = ""
    seconds: float = 0.0


def run_command(cell: Cell, folder: RunFolder) -> list[str]:
    """The command line that begins or continues a cell's run."""
    command = [*_hero_tui(), "resume", str(folder.path)]
    if not cell.task.labels_budget:
        return command
    return [*command, *(["--oracle"] if cell.labeler == ORACLE else ["--labeler", cell.labeler])]


def transfer_command(cell: Cell, folder: RunFolder, noise: str) -> list[str]:
    """The command line that draws the pictures of the transfer prompts."""
    count = max(1, min(cell.task.evaluation.images, 1024))
    drawn = ["--transfer", "-n", str(count), "--noise", noise]
    place = str(transfer_pictures(folder, noise))
    return [*_hero_tui(), "generate", str(folder.path), *drawn, "-o", place]


def transfer_pictures(folder: RunFolder, noise: str) -> Path:
    """Where those pictures are."""
    return folder.path / "bench" / f"transfer-{noise}"


def _hero_tui() -> list[str]:
    # -P: a torch.py in the folder that one happens to be in is not imported.
    return [sys.executable, "-P", "-m", "hero_tui"]


class Workshop:
    """Works on cells, from several threads at once, until it is stopped.

    Args:
        cells: all of the experiment: what another's finished run has is not computed again.
        threads: of each engine; None: as the machine would have it.
    """

    def __init__(self, runs_dir: Path, cells: Sequence[Cell], threads: int | None) -> None:
        self._runs_dir = runs_dir
        self._cells = cells
        self._environ = {name: v for name, v in os.environ.items() if name != "HERO_TUI_BAR"}
        if threads is not None:
            self._environ["OMP_NUM_THREADS"] = str(threads)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop, so that no other cell is begun."""
        return self._stopping

    def stop(self) -> None:
        """Asks every process to end in order, as ctrl+c in its own terminal would."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                _interrupt(process)

    def work(self, cell: Cell) -> Outcome:
        """Brings a cell to its end, or says why it is not there. Raises nothing."""
        folder = cell.folder(self._runs_dir)
        started = time.monotonic()
        notes: dict[str, Any] = {}
        try:
            notes = self._begin(cell)
            self._run(cell, folder)
            if cell.variant.pictures == "transfer":
                self._draw_transfer(cell, folder)
            measured = judged(cell, folder)
            if measured:
                notes["measured"] = {**notes.get("measured", {}), **measured}
            outcome = Outcome(cell, "finished")
        except Stopped:
            outcome = Outcome(cell, "stopped")
        except CellFailed as failure:
            state: Literal["paused", "failed"] = "paused" if failure.code == PAUSED else "failed"
            outcome = Outcome(cell, state, str(failure))
        except Exception as error:  # a bug here, too, is one cell's: the others go on
            said = str(error) if isinstance(error, HeroError | OSError) else repr(error)
            outcome = Outcome(cell, "failed", f"{said}; its log: {_log_of(folder, error)}")
        seconds = round(time.monotonic() - started, 1)
        with suppress(OSError):
            if notes:
                notes["spent"][-1] = seconds
                write_notes(folder, notes)
        return replace(outcome, seconds=seconds)

    def _begin(self, cell: Cell) -> dict[str, Any]:
        """Makes the cell's run and notes that work begins; how long it took is not known if this
        process is killed.
        """
        folder = cell.folder(self._runs_dir)
        longer = self._finished(cell.is_beginning_of)
        if longer is not None and not folder.record_file.exists():
            copy_until(longer.folder(self._runs_dir), folder.path, cell.task.feedback.rounds)
            write_notes(folder, {"begins": longer.name})
        cell.made(self._runs_dir)
        self._share_base(cell, folder)
        notes = {**notes_of(folder), **here()}
        notes["spent"] = [*notes.get("spent", []), None]
        write_notes(folder, notes)
        return notes

    def _share_base(self, cell: Cell, folder: RunFolder) -> None:
        """Gives a run the base model's pictures if another has the same."""
        place = folder.final_image("base", 0).parent
        other = None if place.exists() else self._finished(cell.shares_base_with)
        theirs = other.folder(self._runs_dir).final_image("base", 0).parent if other else None
        if theirs is not None and theirs.is_dir():
            copy_linked(theirs, place)

    def _finished(self, wanted: Callable[[Cell], bool]) -> Cell | None:
        """A cell that is wanted and whose run is finished."""
        for cell in self._cells:
            folder = cell.folder(self._runs_dir)
            if (
                wanted(cell)
                and folder.record_file.exists()
                and status(folder)["state"] == "finished"
            ):
                return cell
        return None

    def _run(self, cell: Cell, folder: RunFolder) -> None:
        if status(folder)["state"] != "finished":
            try:
                self._process(run_command(cell, folder), folder)
            except Stopped:
                # If it was told before it could listen, its engine was not.
                stop_engine(folder, seconds=STOP_SECONDS)
                raise

    def _draw_transfer(self, cell: Cell, folder: RunFolder) -> None:
        history = status(folder)["history"]
        for noise in NOISES:
            place = transfer_pictures(folder, noise)
            no_pool = cell.task.noise.pool == "none" or not any(r["good"] for r in history)
            if (place / SHEET).exists() or (noise == "pi" and no_pool):
                continue
            if place.exists():
                shutil.rmtree(place)
            self._process(transfer_command(cell, folder, noise), folder)

    def _process(self, command: list[str], folder: RunFolder) -> None:
        """Runs a process to its end.

        Raises:
            Stopped: this was stopped meanwhile, or before.
            CellFailed: it failed.
        """
        log_file = folder.path / "bench.log"
        with log_file.open("ab") as log:
            with self._lock:
                if self._stopping:
                    raise Stopped
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environ,
                    start_new_session=True,
                )
                self._running.add(process)
            code = process.wait()
        with self._lock:
            self._running.discard(process)
            if code and self._stopping:
                raise Stopped
        if code:
            said = f"{command[4]} ended with exit code {code}: {_last_line(log_file)}"
            raise CellFailed(code, f"{said}; its log: {log_file}")


def _log_of(folder: RunFolder, error: Exception) -> Path:
    """The cell's log, with the error at its end."""
    log_file = folder.path / "bench.log"
    with suppress(OSError), log_file.open("a", encoding="utf-8") as log:
        log.write("".join(traceback.format_exception(error)))
    return log_file


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    # Of SIGINT a process does not hear whose ancestor a script began in the background.
    with suppress(ProcessLookupError, PermissionError):  # it has just ended
        os.killpg(process.pid, signal.SIGTERM)


def _last_line(log_file: Path) -> str:
    try:
        lines = log_file.read_text("utf-8", "replace").split("\n")
    except OSError:
        return "and nothing was said"
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "and nothing was said"


def judged(cell: Cell, folder: RunFolder) -> dict[str, dict[str, int]]:
    """What the row's judges say of the cell's last pictures: by noise, how many please whom.

    Raises:
        OSError: a picture cannot be read.
    """
    if not cell.variant.judges:
        return {}
    found: dict[str, dict[str, int]] = {}
    for noise in NOISES:
        paths = _pictures(cell, folder, noise)
        if paths:
            found[noise] = {"images": len(paths), **_pleased(cell, paths)}
    return found


def _pictures(cell: Cell, folder: RunFolder, noise: str) -> list[Path]:
    if cell.variant.pictures == "transfer":
        return sorted(transfer_pictures(folder, noise).glob("[0-9]*.png"))
    return sorted(folder.final_image(noise, 0).parent.glob("[0-9]*.png"))


def _pleased(cell: Cell, paths: list[Path]) -> Mapping[str, int]:
    return {
        name: sum(JUDGES[name](cell.task, path) > 0 for path in paths)
        for name in cell.variant.judges
    }
