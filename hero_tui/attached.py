"""Who else looks at a run: a lock on it that every interface shares while it is open."""

import fcntl
from typing import IO

from hero_engine.folder import RunFolder


class Attached:
    """This interface on the run; `others` says whether another one was there before it.

    The kernel takes the lock back when the interface ends, however it ends. Where the folder cannot
    be written or the file system has no locks, nobody else is seen.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.others = False
        self._lock: IO[bytes] | None = None
        try:
            self._lock = (folder.path / "interface.lock").open("ab")
        except OSError:
            return
        # Alone for a moment, to find out; then shared with those to come.
        self.others = not _take(self._lock, fcntl.LOCK_EX)
        _take(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()


def _take(lock: IO[bytes], kind: int) -> bool:
    """Takes the lock unless another process has it in a way that excludes this."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # no locks here
    return True
