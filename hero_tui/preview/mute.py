"""Which terminals do not answer, so that they are waited for once: a small JSON file.

A slow connection can make a terminal look mute: what is remembered is forgotten after a week.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from hero_engine.run.folder import write_complete

WEEK = 7 * 24 * 3600.0
THROUGH_TMUX = "through tmux "
"""How the identity of a terminal begins that is asked through tmux."""


def mute_file() -> Path:
    """Where they are remembered."""
    return platformdirs.user_cache_path("hero-tui") / "mute-terminals.json"


def identity(environ: Mapping[str, str]) -> str:
    """What tells one terminal from another before it says anything."""
    variables = ("TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LC_TERMINAL")
    parts = [f"{variable}={environ.get(variable, '')}" for variable in variables]
    parts += [f"in {variable}" for variable in ("TMUX", "STY") if environ.get(variable)]
    # The first field is the address of who is connected.
    parts += environ.get("SSH_CONNECTION", "").split()[:1]
    return " ".join(parts)


def is_mute(terminal: str, file: Path, now: float) -> bool:
    """Whether `terminal` did not answer within the last week."""
    return terminal in _remembered(file, now)


def set_mute(terminal: str, file: Path, now: float, mute: bool) -> None:
    """Notes that `terminal` did not answer, or forgets that it did not."""
    remembered = _remembered(file, now)
    if mute:
        remembered[terminal] = now
    elif remembered.pop(terminal, None) is None:
        return

    def write(path: Path) -> None:
        path.write_text(json.dumps(remembered, indent=1), "utf-8")

    try:
        write_complete(file, write)
    except OSError:
        return  # then it is waited for again


def _remembered(file: Path, now: float) -> dict[str, float]:
    try:
        values = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        terminal: since
        for terminal, since in values.items()
        if isinstance(since, int | float) and 0 <= now - since < WEEK
    }
