"""An open run.sqlite: how it is opened, its transactions, and what its errors mean.

Every write is one transaction, on the disk when it ends (synchronous=FULL).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.run.filesystem import is_full
from hero_engine.run.record.journal import begin_journal, keep_journal
from hero_engine.run.record.schema import MIGRATIONS, SCHEMA_VERSION, TABLES


class Database:
    """A connection to one record, which several threads may use."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def create(cls, path: Path, fill: Callable[[sqlite3.Connection], object]) -> "Database":
        """A new file with the tables, filled by `fill` in the same transaction.

        Raises:
            InputError: the folder is not writable, or the disk is full.
        """
        with _explained(path):
            connection = _connect(path, "rwc")
            begin_journal(connection, path)
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES}")
            fill(connection)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        return cls(path, connection)

    @classmethod
    def open(cls, path: Path, before_migration: Callable[[], None] = lambda: None) -> "Database":
        """An existing file; one of an earlier version is brought to this one.

        Args:
            before_migration: called then; what it raises leaves the file as it is.

        Raises:
            InputError: it is missing, damaged, written by a newer hero-tui, or of an earlier
                version and cannot be written.
        """
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; is this a run folder?")
        with _explained(path), _damage_explained(path):
            database = cls(path, _connect(path, "rw"))
        try:
            with database.reading() as connection:
                keep_journal(connection, path)
            database._migrate(before_migration)
        except BaseException:
            database.close()
            raise
        return database

    def _migrate(self, before_migration: Callable[[], None]) -> None:
        version = self._version()
        if version != SCHEMA_VERSION and version not in MIGRATIONS:
            raise InputError(
                f"{self.path}: format {version}, this hero-tui reads format {SCHEMA_VERSION}; "
                "install the version that wrote it"
            )
        if version == SCHEMA_VERSION:
            return
        before_migration()
        try:
            with self.writing() as connection:
                # Another process may have been quicker, so the version is asked for again.
                for earlier in range(self._version(), SCHEMA_VERSION):
                    for statement in MIGRATIONS[earlier]:
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except InputError as error:
            raise InputError(
                f"{error} (it is of format {version}, and has to be brought to format "
                f"{SCHEMA_VERSION})"
            ) from error

    def _version(self) -> int:
        with self.reading() as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        self._connection.close()

    def changes(self) -> int:
        """A number that differs whenever another process has changed the file since.

        Raises:
            InputError: it was moved or removed.
        """
        self._check_place()
        with self.reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only read."""
        with self._lock, _explained(self.path), _damage_explained(self.path):
            yield self._connection

    def _check_place(self) -> None:
        # An open file can be written long after it was removed, and all would be lost.
        if not self.path.exists():
            raise InputError(f"{self.path}: it is gone; was the run folder moved or removed?")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; a method that writes may call another within it."""
        with self._lock, _explained(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._check_place()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=30,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorname", None) or "").removeprefix("SQLITE_")
        kind = code.split("_")[0]
        # What a reader needs beside the file has no room then, and SQLite says no more than that.
        if kind in ("IOERR", "CANTOPEN") and is_full(path.parent):
            kind = "FULL"
        advice = {
            "FULL": "the disk is full; free some space and run the same command again",
            "READONLY": "it cannot be written; check the folder's owner and mode",
            "CANTOPEN": "it cannot be opened; was the folder moved, removed or made read-only?",
            "IOERR": "the disk reports an error; is the folder still there?",
            "CORRUPT": "it is damaged; restore it from a copy",
            "NOTADB": "it is not a hero-tui record; restore it from a copy",
            "BUSY": "another process holds it; try again",
        }.get(kind, f"{error}; it may be damaged or not a hero-tui record")
        raise InputError(f"{path}: {advice}") from error


@contextmanager
def _damage_explained(path: Path) -> Iterator[None]:
    """Reading what SQLite's own checks let through: bytes that are not text, rows that lack."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: it is damaged ({error}); restore it from a copy") from error
