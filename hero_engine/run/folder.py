"""The run folder: where its files are, how it is made and found, and who may write to it."""

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.record import Record
from hero_engine.run.resolve import load_frozen
from hero_engine.run.task import Task


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def task_file(self) -> Path:
        return self.path / "task.yaml"

    @property
    def record_file(self) -> Path:
        return self.path / "run.sqlite"

    @property
    def lock_file(self) -> Path:
        return self.path / "engine.lock"

    @property
    def log_file(self) -> Path:
        return self.path / "engine.log"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    def round(self, number: int) -> Path:
        return self.path / "rounds" / f"{number:03d}"

    def image(self, number: int, image: int) -> Path:
        """The PNG file of picture `image` of round `number`."""
        return self.round(number) / "images" / f"{image:03d}.png"

    def rollout(self, number: int) -> Path:
        return self.round(number) / "rollout.safetensors"

    def chunks(self, number: int) -> Path:
        """What the main process's helpers have sampled, until it has taken it over."""
        return self.round(number) / "chunks"

    def checkpoint(self, number: int) -> Path:
        """The state after training round `number`."""
        return self.path / "checkpoints" / f"{number:03d}"

    def line(self, number: int) -> "RunFolder":
        """The rounds that the run left when it went back for the `number`th time, from 0.

        A run folder of its own, whose name says whose line it is.
        """
        return RunFolder(self.path / "lines" / f"{self.name}-line-{number}")

    def final_image(self, noise: str, image: int) -> Path:
        return self.path / "final" / noise / f"{image:03d}.png"

    def try_image(self, number: int, image: int) -> Path:
        """A picture of the `number`th try."""
        return self.path / "tries" / f"{number:03d}" / f"{image:03d}.png"

    @property
    def generated(self) -> Path:
        """Where `hero-tui generate` puts its folders, 000 and on."""
        return self.path / "generated"

    def made(self) -> float:
        """When the run was made, in seconds since the epoch; 0 for one that is damaged."""
        try:
            return self.task_file.stat().st_mtime
        except OSError:
            return 0.0

    def task(self) -> Task:
        """The frozen task.

        Raises:
            InputError: task.yaml is missing or damaged.
        """
        return load_frozen(self.task_file)

    def open_record(self) -> Record:
        """The run's record.

        Raises:
            InputError: it is missing, damaged, or of another version.
        """
        return Record.open(self.record_file)


def create_run(runs_dir: Path, task: Task, name: str | None = None) -> RunFolder:
    """A new run folder (mode 0700) with its frozen task and an empty record.

    The folder appears under its name only when it is complete.

    Raises:
        InputError: the name is taken or unusable, or the folder cannot be made.
    """
    name = name or f"{task.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if name in {".", ".."} or Path(name).name != name or not name.isprintable():
        raise InputError(f"--name {name!r}: expected a plain folder name")
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        final = _free_name(runs_dir, name)
        making = runs_dir / f".{final.name}.making-{os.getpid()}"
        making.mkdir(mode=0o700)
        try:
            folder = RunFolder(making)
            folder.task_file.write_text(yamlfile.dump(task.model_dump(mode="json")), "utf-8")
            Record.create(folder.record_file).close()
            making.rename(final)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    except OSError as error:
        raise InputError(
            f"{runs_dir / name}: cannot make the run folder: {error.strerror}; "
            "choose another place with --runs-dir"
        ) from None
    return RunFolder(final)


def _free_name(runs_dir: Path, name: str) -> Path:
    if not (runs_dir / name).exists():
        return runs_dir / name
    raise InputError(f"{runs_dir / name}: a run of that name exists; choose another with --name")


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """The runs of `runs_dir`, oldest first."""
    found = [path.parent for path in runs_dir.glob("*/run.sqlite") if path.parent.name[0] != "."]
    return sorted(map(RunFolder, found), key=RunFolder.made)


def find_run(which: str | None, runs_dir: Path) -> RunFolder:
    """The run that `which` names: a folder, a name, a unique prefix, or the latest for None.

    Raises:
        InputError: there is none, or the prefix is not unique.
    """
    runs = list_runs(runs_dir)
    if which is None:
        if not runs:
            raise InputError(f"{runs_dir}: there are no runs yet; start one with `hero-tui run`")
        return runs[-1]
    path = Path(which)
    if os.path.isfile(path / "run.sqlite"):  # noqa: PTH113, False for a name that is too long
        return RunFolder(path.absolute())
    matches = (
        [run for run in runs if run.name == which]
        or [run for run in runs if run.name.startswith(which)]
        or [line for run in runs for line in list_runs(run.path / "lines") if line.name == which]
    )
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(run.name for run in matches or runs) or "none"
    said = (
        "matches several runs" if matches else "is not a run folder, nor the start of a run's name"
    )
    raise InputError(f"{which}: {said} in {runs_dir}: {names}")


def trained_round(folder: RunFolder, wanted: int | None) -> int:
    """The round `wanted`, or the latest that is trained for None.

    Raises:
        InputError: it is not trained, or none is.
    """
    with closing(folder.open_record()) as record:
        trained = [r.number for r in record.rounds() if r.trained is not None]
    if not trained:
        raise InputError(f"{folder.path}: no round is trained yet; label and submit one first")
    if wanted is not None and wanted not in trained:
        raise InputError(
            f"--round {wanted}: expected a trained round of {folder.name}, {trained[0]} to "
            f"{trained[-1]}"
        )
    return trained[-1] if wanted is None else wanted


@dataclass(frozen=True)
class Holder:
    """Who holds a run's engine lock."""

    pid: int
    host: str


@contextmanager
def engine_lock(folder: RunFolder) -> Iterator[None]:
    """Holds the run for this engine process; the kernel lets go when the process dies.

    Raises:
        InputError: another engine holds it; names the process.
    """
    with folder.lock_file.open("a+", encoding="utf-8") as lock:
        if not _locked_within(lock.fileno(), seconds=1.0):
            holder = _read_holder(folder)
            raise InputError(
                f"{folder.path}: process {holder.pid} on {holder.host} is this run's engine; "
                f"attach to it, or stop it with `hero-tui stop {folder.name}`"
            )
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        lock.flush()
        yield


def _locked_within(descriptor: int, seconds: float) -> bool:
    # `engine_holder` takes the lock for microseconds, so one refusal does not mean an engine.
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


def engine_holder(folder: RunFolder) -> Holder | None:
    """The engine process that holds the run, or None if none runs."""
    try:
        with folder.lock_file.open(encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read_holder(folder)
    except FileNotFoundError:
        pass
    return None


def _read_holder(folder: RunFolder) -> Holder:
    try:
        holder = json.loads(folder.lock_file.read_text("utf-8"))
        return Holder(int(holder["pid"]), str(holder["host"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(0, "an unknown host")


def write_complete(path: Path, write: Callable[[Path], None]) -> None:
    """Makes `path` appear only when it is whole: written beside, synced, then renamed.

    `write` is given the temporary path, which it may make a file or a folder; an old file or
    folder at `path` is replaced.

    Raises:
        OSError: it cannot be written; names the file. Nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.writing")
    remove(temporary)
    try:
        write(temporary)
        for file in [temporary, *temporary.rglob("*")]:
            _sync(file)
    except OSError as error:
        # What a full disk has no room for is not left on it; and a write itself names no file.
        remove(temporary)
        error.filename = error.filename or str(path)
        raise
    if path.is_dir():
        remove(path)
    temporary.replace(path)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
