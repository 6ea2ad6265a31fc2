"""How fast a person goes through a round: seconds a picture, and about how long the rest takes."""

from collections import deque
from statistics import median

from hero_tui.widgets.status import duration

PAUSE_SECONDS = 120.0
"""Without a key for so long, somebody was elsewhere: what then was looked at is not timed."""

LEAST_PICTURES = 4
"""Before so many have been timed, nothing is said."""

REMEMBERED = 64
"""Pictures whose times count, the latest."""


class Pace:
    """The seconds that each of the latest pictures took, from one look to the next."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=REMEMBERED)
        self._since: float | None = None
        self._active: float | None = None

    def active(self, now: float) -> None:
        """Somebody is there: a page is shown, or a key was pressed."""
        if self._since is None or self._active is None or now - self._active > PAUSE_SECONDS:
            self._since = now
        self._active = now

    def looked(self, now: float, pictures: int) -> None:
        """So many pictures have been looked at since the last time."""
        is_timed = self._active is not None and now - self._active <= PAUSE_SECONDS
        if self._since is not None and is_timed and pictures > 0 and now > self._since:
            self._times.extend([(now - self._since) / pictures] * pictures)
        self._since = self._active = now

    def forget(self) -> None:
        """What comes next is not timed from here: there was nothing to look at."""
        self._since = None

    @property
    def seconds(self) -> float | None:
        """Of a picture, the median; None before it is known."""
        return median(self._times) if len(self._times) >= LEAST_PICTURES else None


def pace_text(pace: Pace | None, unseen: int) -> str:
    """The pace and what is left of a round, in words; "" before it is known."""
    seconds = None if pace is None else pace.seconds
    if seconds is None:
        return ""
    each = f"{seconds:.1f} s a picture" if seconds < 10 else f"{seconds:.0f} s a picture"
    return f"{each}, about {duration(seconds * unseen)} left" if unseen else each
