"""The run folder: where its files are, how it is made and found, and who may write to it."""

import errno
import fcntl
import itertools
import json
import os
import pwd
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.filesystem import shared_file_system
from hero_engine.run.record import START, Record
from hero_engine.run.resolve import load_frozen
from hero_engine.run.task import Task
from hero_engine.run.text import plain


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
        """Of a round, or of the pictures that the run began with."""
        if number == START:
            return self.path / "start"
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
        """The state after training round `number`, or after learning from the `START`."""
        if number == START:
            return self.path / "checkpoints" / "start"
        return self.path / "checkpoints" / f"{number:03d}"

    def line(self, number: int) -> "RunFolder":
        """The rounds that the run left when it went back for the `number`th time, from 0.

        A run folder of its own, whose name says whose line it is.
        """
        return RunFolder(self.path / "lines" / f"{self.name}-line-{number}")

    def final_image(self, noise: str, image: int) -> Path:
        return self.path / "final" / noise / f"{image:03d}.png"

    def evaluated_image(self, number: int | None, source: str, image: int) -> Path:
        """A picture to judge the model after training round `number` by; None: the final one."""
        if number is None:
            return self.final_image(source, image)
        return self.path / "evaluations" / f"{number:03d}" / source / f"{image:03d}.png"

    def try_image(self, number: int, image: int) -> Path:
        """A picture of the `number`th try."""
        return self.path / "tries" / f"{number:03d}" / f"{image:03d}.png"

    @property
    def generated(self) -> Path:
        """Where `hero-tui generate` puts its folders, 000 and on."""
        return self.path / "generated"

    @property
    def reference(self) -> str:
        """The run as one can type it in a command from here: a path, quoted for a shell."""
        path, here = self.path.absolute(), Path.cwd()
        return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))

    def made(self) -> float:
        """When the run was made, in seconds since the epoch; 0 for one that is damaged."""
        try:
            return self.task_file.stat().st_mtime
        except OSError:
            return 0.0

    def task(self) -> Task:
        """The frozen task.

        Raises:
            InputError: task.yaml is missing or damaged, or the run is another user's.
        """
        self.check_owner()
        return load_frozen(self.task_file)

    def open_record(self) -> Record:
        """The run's record.

        Raises:
            InputError: it is missing, damaged, or of another version, or the run is another user's.
        """
        self.check_owner()
        return Record.open(self.record_file, self._check_no_earlier_engine)

    def _check_no_earlier_engine(self) -> None:
        """An engine of an earlier version could not go on with a record of this one's format."""
        holder = engine_holder(self)
        if holder is not None and holder.pid != os.getpid():
            raise InputError(
                f"{self.path}: an engine of an earlier hero-tui is at work on this run (pid "
                f"{holder.pid} on {holder.host}); wait for it, or stop it with that version or "
                f"`kill {holder.pid}`, then run the same command again"
            )

    def check_owner(self) -> None:
        """Run folders are private: another user's is there, and cannot be looked into.

        Raises:
            InputError: this user may not look into the folder; names who may.
        """
        if _is_closed(self.path):
            found = self.path.stat()
            owner = _user(found.st_uid)
            raise InputError(
                f"{self.path}: it is {owner}'s (mode {found.st_mode & 0o777:04o}), and cannot be "
                f"looked into; run this as {owner}, or ask for a copy of the folder"
            )


def _is_closed(path: Path) -> bool:
    """Whether it is a folder that this user may not look into."""
    # os.path says False, where Path raises: for a name that is too long, or below a closed folder.
    return os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK)  # noqa: PTH112


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # of a container, or of another machine
        return f"user {number}"


def create_run(
    runs_dir: Path,
    task: Task,
    name: str | None = None,
    fill: Callable[[RunFolder, Record], None] = lambda folder, record: None,
) -> RunFolder:
    """A new run folder (mode 0700) with its frozen task and an empty record.

    The folder appears under its name only when it is complete. Without a name it is called after
    the task and the time, with a number if there is such a run already.

    Args:
        fill: adds what the run begins with, before the folder appears.

    Raises:
        InputError: the name is taken or unusable, the folder cannot be made, or nothing can be
            locked in it.
    """
    _check_encoding(runs_dir)
    called = name or f"{task.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if called in {".", ".."} or Path(called).name != called or not called.isprintable():
        raise InputError(f"--name {called!r}: expected a plain folder name")
    others = (f"{called}-{number}" for number in itertools.count(2))
    names = [called] if name else itertools.chain([called], others)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=runs_dir))
        try:
            folder = RunFolder(making)
            folder.task_file.write_text(yamlfile.dump(task.model_dump(mode="json")), "utf-8")
            with closing(Record.create(folder.record_file)) as record:
                fill(folder, record)
            with engine_lock(folder):
                pass  # Else only the engine would find out that there are no locks here.
            final = _take_name(making, names)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    except OSError as error:
        raise InputError(
            f"{runs_dir / called}: cannot make the run folder: {error.strerror}; "
            "choose another place with --runs-dir"
        ) from None
    return RunFolder(final)


def _check_encoding(path: Path) -> None:
    """Raises InputError where a LoRA cannot be written: safetensors takes UTF-8 names only."""
    try:
        str(path.absolute()).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{plain(path.absolute())}: the name of this folder, or of one that it is in, is not "
            "valid UTF-8, and no LoRA can be kept there; rename it, or choose another place with "
            "--runs-dir"
        ) from None


def _take_name(making: Path, names: Iterable[str]) -> Path:
    """Renames a complete folder to the first of `names` that is free, also if others try at once.

    Raises:
        InputError: none is free.
    """
    for name in names:
        final = making.with_name(name)
        if not final.exists():
            try:
                return making.rename(final)
            except OSError as error:
                # The kernel refuses a folder that has something in it, as every complete run has.
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
    raise InputError(f"{final}: a run of that name exists; choose another with --name")


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """The runs of `runs_dir`, oldest first; also those that this user may not look into.

    Raises:
        InputError: this user may not look into `runs_dir`.
    """
    try:
        paths = list(runs_dir.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(
            f"{runs_dir}: cannot be read: {error.strerror}; choose another with --runs-dir"
        ) from None
    found = [path for path in paths if path.name[0] != "." and _is_run(path)]
    return sorted(map(RunFolder, found), key=RunFolder.made)


def _is_run(path: Path) -> bool:
    """Whether it is a run folder; one that this user may not look into may be one, and counts."""
    return os.path.isfile(path / "run.sqlite") or _is_closed(path)  # noqa: PTH113, as above


def find_run(which: str | None, runs_dir: Path) -> RunFolder:
    """The run that `which` names: a folder, a name, a unique prefix, or the latest for None.

    Raises:
        InputError: there is none, the prefix is not unique, or the run is another user's.
    """
    folder = _found(which, runs_dir)
    folder.check_owner()
    return folder


def _found(which: str | None, runs_dir: Path) -> RunFolder:
    runs = list_runs(runs_dir)
    if which is None:
        if not runs:
            raise InputError(f"{runs_dir}: there are no runs yet; start one with `hero-tui run`")
        return runs[-1]
    path = Path(which)
    if _is_run(path):
        return RunFolder(path.absolute())
    open_runs = [run for run in runs if not _is_closed(run.path)]
    matches = (
        [run for run in runs if run.name == which]
        or [run for run in runs if run.name.startswith(which)]
        or [
            line
            for run in open_runs
            for line in list_runs(run.path / "lines")
            if line.name == which
        ]
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
    if not trained and not folder.task().feedback.rounds:
        raise InputError(
            f"{folder.path}: a run without rounds learns nothing: there is no model of its own, "
            "only the base model's evaluation (`hero-tui report`)"
        )
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
        InputError: another engine holds it, or may hold it on another machine; names the process.
            Or the file cannot be written, or the file system has no locks, or it has a name in
            which nothing can be learned.
    """
    _check_encoding(folder.path)
    try:
        lock = folder.lock_file.open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{folder.lock_file}: cannot be written: {error.strerror}; check the folder's owner "
            "and mode"
        ) from None
    with lock:
        try:
            locked = _locked_within(lock, seconds=1.0)
        except OSError as error:
            raise InputError(
                f"{folder.lock_file}: this file system has no locks ({error.strerror}), and "
                "without them two engines could write to a run; choose a local disk with --runs-dir"
            ) from None
        if not locked:
            holder = _read_holder(folder)
            raise InputError(
                f"{folder.path}: process {holder.pid} on {holder.host} is this run's engine; "
                f"attach to it, or stop it with `hero-tui stop {folder.reference}`"
            )
        check_no_engine_elsewhere(folder)
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)  # Who ended well is not asked after on another machine.


def _locked_within(lock: IO[str], seconds: float) -> bool:
    # `engine_holder` takes the lock for microseconds, so one refusal does not mean an engine.
    deadline = time.monotonic() + seconds
    while not _take(lock, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _take(lock: IO[str], kind: int) -> bool:
    """Whether the file could be locked; False: somebody else has locked it.

    Raises:
        OSError: there are no locks on this file system.
    """
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def engine_holder(folder: RunFolder) -> Holder | None:
    """The engine process that holds the run, or None if none runs.

    One of another machine that only the lock's file tells of counts (`check_no_engine_elsewhere`).
    """
    try:
        with folder.lock_file.open(encoding="utf-8") as lock:
            if not _take(lock, fcntl.LOCK_SH):
                return _read_holder(folder)
    except OSError:
        return None  # no engine was ever here, or none can be: it would be refused
    return _holder_elsewhere(folder)


def check_no_engine_elsewhere(folder: RunFolder) -> None:
    """What only the lock's file tells of: an engine on another machine, whose lock this one's
    kernel may not know of, or which was killed.

    Raises:
        InputError: there is such a one; says how to find out, and what to do.
    """
    holder = _holder_elsewhere(folder)
    if holder is not None:
        raise InputError(
            f"{folder.path}: process {holder.pid} on {holder.host} is this run's engine, or was "
            f"when it was killed; from here that cannot be seen. Stop it there with `hero-tui stop "
            f"{folder.reference}`; if that machine or that process is gone, delete "
            f"{folder.lock_file}"
        )


def _holder_elsewhere(folder: RunFolder) -> Holder | None:
    """The writer of a lock's file that nobody holds as far as this machine's kernel knows."""
    holder = _read_holder(folder)
    if holder.pid == 0 or holder.host == socket.gethostname():
        return None
    # On a local disk another name is that of a container, or the folder is a copy: nobody is there.
    return holder if shared_file_system(folder.path) else None


def _read_holder(folder: RunFolder) -> Holder:
    try:
        holder = json.loads(folder.lock_file.read_text("utf-8"))
        return Holder(int(holder["pid"]), str(holder["host"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(0, "an unknown host")


def write_complete(path: Path, write: Callable[[Path], object]) -> None:
    """Makes `path` appear only when it is whole: written beside, synced, then renamed.

    `write` is given the temporary path, which it may make a file or a folder; an old file or
    folder at `path` is replaced, but a folder is by a folder alone: somebody's files may be in it.

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
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    if path.is_dir():
        if not temporary.is_dir():
            remove(temporary)
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        remove(path)
    temporary.replace(path)
    _sync(path.parent)


def copy_linked(source: Path, target: Path) -> None:
    """Copies a folder of files that never change: hard links, where the file system has them."""
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not on this file system
        shutil.copy2(source, target)


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
