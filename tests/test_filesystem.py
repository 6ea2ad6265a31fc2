"""Which file systems other machines may write to, and the journal that a record has there."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any

import pytest

from hero_engine.run.filesystem import file_system, is_shared, parse_mounts, shared_file_system
from hero_engine.run.labels import Labels
from hero_engine.run.record import Record, journal

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
systemd-1 /home autofs rw,relatime 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/vdb /home/me/local xfs rw 0 0
me@there:/ /mnt/two\\040words fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/runs", "ext4"),
        ("/home/me/runs", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/me", "ext4"),
        ("/home/me/local/runs", "xfs"),
        ("/mnt/two words/runs", "fuse.sshfs"),
    ],
)
def test_a_path_is_on_the_file_system_that_is_mounted_nearest_above(path: str, kind: str) -> None:
    assert file_system(PurePath(path), parse_mounts(MOUNTS)) == kind


def test_a_path_below_no_mount_is_on_no_known_file_system() -> None:
    assert file_system(PurePath("/tmp"), []) == ""
    assert not is_shared("")


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "SMBFS", "fuse.sshfs", "9p", "lustre", "fuse.glusterfs"]
)
def test_machines_share_what_is_on_a_network(kind: str) -> None:
    assert is_shared(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "fuseblk", "fuse.encfs"]
)
def test_machines_do_not_share_a_local_disk(kind: str) -> None:
    assert not is_shared(kind)


def test_the_disk_of_a_folder_that_is_not_there_yet_is_found(tmp_path: Path) -> None:
    shared_file_system(tmp_path / "not" / "yet")


# -- the journal -----------------------------------------------------------------------------


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on, every file is on a network."""
    return lambda: monkeypatch.setattr(journal, "shared_file_system", lambda path: "nfs4")


def mode(path: Path) -> str:
    """Of the file itself, as one who knows nothing finds it."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def check_that_two_see_each_other(path: Path) -> None:
    with closing(Record.open(path)) as engine, closing(Record.open(path)) as person:
        seen = person.changes()
        assert person.changes() == seen
        engine.begin_round(0, 4)
        engine.finish_sampling(0, {})
        assert person.changes() != seen
        seen = engine.changes()
        person.label(0, Labels.of([1], 1))
        person.submit(0)
        assert engine.changes() != seen
        assert engine.labels(0) == Labels.of([1], 1)


def test_a_record_on_a_local_disk_has_a_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    Record.create(path).close()
    assert mode(path) == "wal"
    Record.open(path).close()
    assert mode(path) == "wal"


def test_a_record_that_machines_share_has_a_rollback_journal(
    tmp_path: Path, share: Callable[[], None]
) -> None:
    share()
    path = tmp_path / "run.sqlite"
    Record.create(path).close()
    assert mode(path) == "delete"
    check_that_two_see_each_other(path)


def test_a_record_that_is_opened_on_another_file_system_gives_up_its_write_ahead_log(
    tmp_path: Path, share: Callable[[], None]
) -> None:
    path = tmp_path / "run.sqlite"
    with closing(Record.create(path)) as record:
        record.begin_round(3, 4)
        copied = tmp_path / "copy.sqlite"
        for suffix in ("", "-wal"):  # of a killed engine, say, with rows in the log alone
            Path(f"{copied}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    share()
    with closing(Record.open(copied)) as record:
        assert [r.number for r in record.rounds()] == [3]
    assert mode(copied) == "delete"
    check_that_two_see_each_other(copied)


def test_where_sqlite_refuses_a_write_ahead_log_a_record_has_a_rollback_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutSharedMemory(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if "WAL" in sql:
                return super().execute("SELECT 'delete'")
            return super().execute(sql, *parameters)

    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **kw: connect(*args, **kw, factory=WithoutSharedMemory)
    )
    path = tmp_path / "run.sqlite"
    Record.create(path).close()
    monkeypatch.undo()
    assert mode(path) == "delete"
    check_that_two_see_each_other(path)
