"""The journal of run.sqlite: a write-ahead log, or a rollback journal where machines share it.

A write-ahead log (WAL) needs memory that all who have the file open share. Two machines share none:
neither would see what the other has written, and both could write at once.
"""

import sqlite3
from pathlib import Path

from hero_engine.run.filesystem import shared_file_system


def begin_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Gives a new file its journal: a rollback journal where SQLite has no WAL, too."""
    if shared_file_system(path) is None:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError:
            # Its memory cannot be mapped here; any other error comes again with the other journal.
            mode = ""
        if mode == "wal":
            return
    _use_rollback_journal(connection)


def keep_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Gives up a WAL that the file was given elsewhere, if other machines may write to it here."""
    if shared_file_system(path) is not None:
        _use_rollback_journal(connection)


def _use_rollback_journal(connection: sqlite3.Connection) -> None:
    # With the file to itself, SQLite reads a WAL without the shared memory that is missing here.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
    # Emptied and not removed: a network file system keeps removed files that somebody has open.
    connection.execute("PRAGMA journal_mode = TRUNCATE").fetchone()
    connection.execute("PRAGMA locking_mode = NORMAL").fetchone()
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # lets others in again
