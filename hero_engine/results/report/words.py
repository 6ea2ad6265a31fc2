"""How the pages say numbers."""

from hero_engine.results.report.facts import Success
from hero_engine.results.report.html import Html, element, joined

NOTHING = "–"  # noqa: RUF001, the dash of an empty cell


def rate(success: Success | None) -> Html:
    """A rate with its interval below it."""
    if success is None or success.rate is None:
        return Html(NOTHING)
    return joined([percent(success.rate), element("small", interval(success))])


def percent(share: float) -> str:
    """A share; only what is all or nothing is said to be."""
    rounded = f"{share:.0%}"
    return f"{share:.1%}" if rounded in ("0%", "100%") and share not in (0, 1) else rounded


def interval(success: Success) -> str:
    low, high = success.interval
    return f"{low:.0%} to {high:.0%}"


def number(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def duration(seconds: float | None) -> str:
    """Seconds as 48 s, 3 min 20 s or 2 h 05 min."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole // 60 % 60:02d} min"


def count(things: int, name: str) -> str:
    """1 round, 2 rounds."""
    return f"{things} {name}" if things == 1 else f"{things} {name}s"
