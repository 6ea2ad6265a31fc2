"""The run folder: made at once or not at all, found by name, written by one engine."""

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hero_engine.errors import EngineError, HeroError, InputError
from hero_engine.run import folder as folders
from hero_engine.run import process
from hero_engine.run.folder import (
    Holder,
    RunFolder,
    create_run,
    engine_holder,
    engine_lock,
    find_run,
    list_runs,
    write_complete,
)
from hero_engine.run.record import Record
from hero_engine.run.resolve import resolve
from hero_engine.run.status import status
from hero_tui.client.attached import Attached
from tests import fake_engine

TASK = resolve("black-cat", model="embedded").task

HOLDER = """
import sys, time
from pathlib import Path
from hero_engine.run.folder import RunFolder, engine_lock
with engine_lock(RunFolder(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def hold_in_another_process(folder: RunFolder) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def end(holder: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> None:
    holder.send_signal(number)
    holder.communicate()


# -- making a run ----------------------------------------------------------------------------


def test_a_new_run_is_private_and_has_its_task_and_record(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert folder.task() == TASK
    record = folder.open_record()
    assert record.state() == ("paused", "")
    record.close()
    assert folder.name == "mine"


def test_a_run_is_named_after_its_task_and_time(runs_dir: Path) -> None:
    name = create_run(runs_dir, TASK).name
    assert name.startswith("black-cat-20")
    assert len(name) == len("black-cat-20260131-142530")


def test_runs_that_are_started_in_one_second_have_names_of_their_own(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: "20260131-142530")
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: create_run(runs_dir, TASK), range(3)))
    name = "black-cat-20260131-142530"
    assert {run.name for run in made} == {name, f"{name}-2", f"{name}-3"}
    assert {path.name for path in runs_dir.iterdir()} == {run.name for run in made}
    assert all(run.task() == TASK for run in made)
    assert find_run(name, runs_dir).name == name


def test_of_two_that_want_one_name_at_once_one_is_refused(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    monkeypatch.setattr(Path, "exists", lambda path: False)  # it was not there a moment before
    with pytest.raises(InputError, match="mine: a run of that name exists"):
        create_run(runs_dir, TASK, "mine")
    assert [path.name for path in runs_dir.iterdir()] == ["mine"]
    assert folder.task() == TASK


def test_a_run_that_cannot_be_made_leaves_nothing(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> Record:
        path.write_bytes(b"half a record")
        raise InputError("the disk is full")

    monkeypatch.setattr(Record, "create", full)
    with pytest.raises(InputError, match="disk is full"):
        create_run(runs_dir, TASK, "mine")
    assert list(runs_dir.iterdir()) == []


def test_a_taken_name_is_refused_and_the_run_kept(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    (folder.path / "kept").touch()
    with pytest.raises(InputError, match="choose another with --name"):
        create_run(runs_dir, TASK, "mine")
    assert (folder.path / "kept").exists()


@pytest.mark.parametrize("name", ["a/b", "..", ".", "/tmp/x", "a\nb", "\x1b[31m", "x" * 300])
def test_an_unusable_name_is_refused(runs_dir: Path, name: str) -> None:
    with pytest.raises(InputError):
        create_run(runs_dir, TASK, name)
    assert not list_runs(runs_dir)


def test_a_runs_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--runs-dir"):
        create_run(tmp_path / "file", TASK)


# -- finding a run ---------------------------------------------------------------------------


def test_a_run_is_found_by_folder_name_prefix_or_as_the_latest(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age, name in enumerate(["cat-2", "cat-1", "dog"]):
        folder = create_run(runs_dir, TASK, name)
        os.utime(folder.task_file, (1000 + age, 1000 + age))
    assert [run.name for run in list_runs(runs_dir)] == ["cat-2", "cat-1", "dog"]
    assert find_run(None, runs_dir).name == "dog"
    assert find_run("cat-1", runs_dir).name == "cat-1"
    assert find_run("d", runs_dir).name == "dog"
    assert find_run(str(runs_dir / "cat-2"), Path("elsewhere")).name == "cat-2"
    monkeypatch.chdir(runs_dir / "cat-2")
    assert find_run(".", runs_dir).name == "cat-2"
    with pytest.raises(InputError, match=r"cat: matches several runs in .*: cat-2, cat-1"):
        find_run("cat", runs_dir)


def test_a_full_name_wins_over_longer_ones(runs_dir: Path) -> None:
    create_run(runs_dir, TASK, "cat")
    create_run(runs_dir, TASK, "cat-2")
    assert find_run("cat", runs_dir).name == "cat"


@pytest.mark.parametrize("which", ["nothing", "x" * 5000, "a/b", "\x00"])
def test_what_names_no_run_lists_the_runs(runs_dir: Path, which: str) -> None:
    create_run(runs_dir, TASK, "cat")
    with pytest.raises(InputError, match=r"not a run folder.*: cat$"):
        find_run(which, runs_dir)


def test_unfinished_and_damaged_folders_do_not_break_the_list(runs_dir: Path) -> None:
    create_run(runs_dir, TASK, "whole")
    create_run(runs_dir, TASK, "no-task").task_file.unlink()
    shutil.copytree(runs_dir / "whole", runs_dir / ".half.making-1")
    (runs_dir / "empty").mkdir()
    assert {run.name for run in list_runs(runs_dir)} == {"whole", "no-task"}


# -- runs of another user --------------------------------------------------------------------


@pytest.fixture
def theirs(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that this user may not look into, among others; root may, so the kernel is played."""
    folder = create_run(runs_dir, TASK, "theirs")
    create_run(runs_dir, TASK, "mine")
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != folder.path and allowed(path, mode)
    )
    isfile = os.path.isfile
    monkeypatch.setattr(
        os.path, "isfile", lambda path: folder.path not in Path(path).parents and isfile(path)
    )
    monkeypatch.setattr(folders, "_user", lambda number: "alice")
    return folder


def test_a_run_of_another_user_is_listed_and_named_as_theirs(
    theirs: RunFolder, runs_dir: Path
) -> None:
    os.utime(theirs.task_file, (0, 0))
    assert [run.name for run in list_runs(runs_dir)] == ["theirs", "mine"]
    assert find_run(None, runs_dir).name == "mine"
    with pytest.raises(InputError, match=r"other: is not a run folder.*: theirs, mine"):
        find_run("other", runs_dir)
    for refused in (
        lambda: find_run("theirs", runs_dir),
        lambda: find_run(str(theirs.path), Path("elsewhere")),
        theirs.task,
        theirs.open_record,
        lambda: status(theirs),
    ):
        with pytest.raises(InputError, match=r"theirs: it is alice's \(mode 0700\).*as alice"):
            refused()


def test_a_runs_dir_that_cannot_be_read_is_refused(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(InputError, match=r"runs: cannot be read: Permission denied.*--runs-dir"):
        list_runs(runs_dir)


# -- one engine a run ------------------------------------------------------------------------


def test_a_second_engine_is_refused_and_told_who_holds_the_run(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    holder = hold_in_another_process(folder)
    try:
        found = engine_holder(folder)
        assert found is not None
        assert found.pid == holder.pid
        with pytest.raises(InputError, match=f"process {holder.pid} on"), engine_lock(folder):
            pass
        assert process.is_running(folder)
    finally:
        end(holder)


def test_a_killed_engine_lets_go_and_its_run_is_paused(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    record = folder.open_record()
    holder = hold_in_another_process(folder)
    record.set_state("training")
    record.close()
    assert status(folder)["state"] == "training"
    end(holder)
    assert status(folder)["state"] == "paused"
    assert engine_holder(folder) is None
    with engine_lock(folder):
        holder_now = engine_holder(folder)
        assert holder_now is not None
        assert holder_now.pid == os.getpid()


ELSEWHERE = '{"pid": 42, "host": "another-machine"}'


def test_another_machines_lock_is_respected_where_this_kernel_may_not_know_it(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    folder.lock_file.write_text(ELSEWHERE)
    monkeypatch.setattr(folders, "shared_file_system", lambda path: "nfs4")
    assert engine_holder(folder) == Holder(42, "another-machine")
    expected = (
        r"process 42 on another-machine.*`hero-tui stop .*mine`.*gone, delete .*mine/engine\.lock"
    )
    with pytest.raises(InputError, match=expected), engine_lock(folder):
        pass
    with pytest.raises(InputError, match=expected):
        process.stop_engine(folder)
    assert folder.lock_file.read_text() == ELSEWHERE, "it is still theirs"
    folder.lock_file.unlink()
    assert engine_holder(folder) is None
    with engine_lock(folder):
        assert engine_holder(folder) == Holder(os.getpid(), socket.gethostname())
    assert engine_holder(folder) is None
    assert folder.lock_file.read_text() == "", "who ended well leaves no name"


def test_a_killed_engine_of_this_machine_does_not_block_a_shared_file_system(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    folder.lock_file.write_text(json.dumps({"pid": 42, "host": socket.gethostname()}))
    monkeypatch.setattr(folders, "shared_file_system", lambda path: "nfs4")
    assert engine_holder(folder) is None
    with engine_lock(folder):
        pass


def test_on_a_local_disk_only_the_kernel_says_who_holds_a_run(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create_run(runs_dir, TASK, "copied")
    folder.lock_file.write_text(ELSEWHERE)
    monkeypatch.setattr(folders, "shared_file_system", lambda path: None)
    assert engine_holder(folder) is None
    assert not process.stop_engine(folder)
    with engine_lock(folder):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused_with_the_way_out(
    number: int, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = create_run(runs_dir, TASK, "moved")

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match=r"engine\.lock: .*no locks.*--runs-dir"):
        create_run(runs_dir, TASK, "new")
    assert [run.name for run in list_runs(runs_dir)] == ["moved"]
    with (
        pytest.raises(InputError, match=r"moved/engine\.lock: .*no locks.*--runs-dir"),
        engine_lock(folder),
    ):
        pass
    assert status(folder)["state"] == "paused", "it can be looked at"
    attached = Attached(folder)
    attached.keep((0, 0, 3))
    assert not attached.others()
    attached.close()


def test_a_lock_that_cannot_be_written_is_refused(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    folder.lock_file.unlink()
    folder.lock_file.mkdir()
    with pytest.raises(InputError, match=r"engine\.lock: cannot be written"), engine_lock(folder):
        pass


def test_a_lock_file_of_nonsense_still_says_that_an_engine_runs(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    with engine_lock(folder):
        for nonsense in ("", "[]", "null", '{"pid": null}', "\x00"):
            folder.lock_file.write_text(nonsense)
            assert engine_holder(folder) is not None


@pytest.mark.parametrize("kind", [InputError, EngineError])
def test_an_engine_that_ends_before_it_holds_the_run_is_reported(
    kind: type[HeroError], runs_dir: Path
) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    code = f"print('no such model'); raise SystemExit({kind.exit_code})"
    for log_file in (None, folder.path / "headless.log"):
        there = log_file or folder.log_file
        engine = process.start_detached([sys.executable, "-c", code], there)
        with pytest.raises(kind, match=f"exit code {kind.exit_code}") as failed:
            process.wait_until_running(folder, engine, log_file)
        assert "no such model" in str(failed.value)
        assert str(there) in str(failed.value)


def test_starting_in_a_removed_folder_is_an_error_that_says_so(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    shutil.rmtree(folder.path)
    with pytest.raises(EngineError, match=r"engine\.log"):
        process.start_engine(folder)


@pytest.mark.slow
def test_a_stop_reaches_an_engine_that_is_still_starting(runs_dir: Path) -> None:
    folder = create_run(runs_dir, TASK, "mine")
    engine = fake_engine.start(folder)
    try:
        assert process.stop_engine(folder, engine)
        assert engine.poll() is not None
    finally:
        engine.kill()
    assert not process.stop_engine(folder, engine)
    record = folder.open_record()
    assert not record.is_pending("stop")
    record.close()


# -- files that appear only when whole -------------------------------------------------------


def test_a_file_or_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_complete(target, fail)
    assert not target.exists()
    write_complete(target, lambda path: path.write_text("old"))
    with pytest.raises(OSError, match="disk full"):
        write_complete(target, fail)
    assert target.read_text() == "old"

    for content in ("old", "new"):

        def folder(path: Path, content: str = content) -> None:
            path.mkdir()
            (path / content).touch()

        write_complete(tmp_path / "folder", folder)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]


def test_a_folder_in_a_files_place_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "somebodys").touch()
    with pytest.raises(IsADirectoryError, match="place"):
        write_complete(tmp_path / "place", lambda path: path.write_text("a file"))
    assert [path.name for path in tmp_path.rglob("*")] == ["place", "somebodys"]


def test_a_place_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(InputError, match=r"caf\\udce9/runs: .* not valid UTF-8.*--runs-dir"):
        create_run(place / "runs", TASK)
    assert not place.exists()
    create_run(tmp_path / "runs", TASK, "mine").path.rename(place)  # moved there
    with pytest.raises(InputError, match=r"caf\\udce9: "), engine_lock(RunFolder(place)):
        pass
