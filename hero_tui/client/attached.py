"""Who looks at a run, and where: every interface has a file of its own on it, locked while open.

The file says at which picture its person is, so that the next interface opens at the same page.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from hero_engine.run.folder import RunFolder

MOST = 16
"""Interfaces that can see each other on one run."""

Place = tuple[int, int, int]
"""A line of rounds, a round of it, and a picture of that."""


class Attached:
    """This interface on the run; `place` is where its person is, at first where one last was.

    The kernel takes the lock back when the interface ends, however it ends. Where the folder cannot
    be written or the file system has no locks, nobody else is seen and no place is kept.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._files = [folder.path / f"interface-{number}.lock" for number in range(MOST)]
        self._own: IO[bytes] | None = None
        # Of whichever interface was used last: a lost connection may hold its lock for a while.
        self.place = _last_place(self._files)
        for file in list(self._files):
            try:
                opened = file.open("ab")
            except OSError:
                return
            if _take(opened, fcntl.LOCK_EX):
                self._files.remove(file)
                self._own = opened
                return
            opened.close()

    def others(self) -> bool:
        """Whether another interface is open on the run."""
        return any(map(_is_held, self._files))

    def keep(self, place: Place) -> None:
        """Remembers where the person is; it is no harm if that cannot be written."""
        self.place = place
        if self._own is not None:
            try:
                os.truncate(self._own.fileno(), 0)
                os.write(self._own.fileno(), b"%d %d %d" % place)
            except OSError:
                pass

    def close(self) -> None:
        if self._own is not None:
            self._own.close()


def _last_place(files: Iterable[Path]) -> Place | None:
    try:
        said = [file for file in files if file.exists() and file.stat().st_size]
        last = max(said, key=lambda file: file.stat().st_mtime)
        line, number, image = map(int, last.read_bytes().split())
    except (OSError, ValueError):  # none yet, half a place, or an earlier version's
        return None
    return line, number, image


def _is_held(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return not _take(opened, fcntl.LOCK_SH)
    except OSError:
        return False


def _take(opened: IO[bytes], kind: int) -> bool:
    """Locks the file unless somebody else has locked it in a way that excludes this."""
    try:
        fcntl.flock(opened, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # no locks here
    return True
