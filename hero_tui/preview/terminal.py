"""What a terminal can do, as far as showing pictures is concerned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Graphics = Literal["kitty", "iterm2", "sixel"]
Mosaic = Literal["octants", "sextants", "quadrants", "blocks"]
"""Text that fills 2x4, 2x3, 2x2 or 1x2 parts of each cell with one of two colours."""

Protocol = Literal[Graphics, Mosaic, "off"]
"""How pictures are shown: by a graphics protocol, as text, or not at all."""

Images = Literal["auto", Protocol, "block"]
"""A protocol as `--images` and the preferences name it; auto: found out; block: as blocks."""

Keep = Literal[Mosaic, "auto"]
"""What a person keeps for a kind of terminal; auto: what was found out."""

MOSAICS: tuple[Mosaic, ...] = get_args(Mosaic)

Colours = Literal["truecolor", "256", "16"]
Multiplexer = Literal["tmux", "screen", "mosh"]


@dataclass(frozen=True)
class Terminal:
    """A terminal and how pictures are shown in it.

    Attributes:
        name: what it calls itself, or "" if it does not say.
        cell: the (width, height) of a cell in pixels.
        multiplexer: what runs between it and us; graphics then need its passthrough.
        kind: its name without a version, under which what a person chose for it is kept.
        evidence: what was decided and from which signs, a sentence each.
    """

    protocol: Protocol
    colours: Colours
    cell: tuple[int, int] = (10, 20)
    name: str = ""
    multiplexer: Multiplexer | None = None
    kind: str = ""
    evidence: tuple[str, ...] = ()


QUADRANTS = Terminal("quadrants", "truecolor")
"""What any terminal of today can do."""


def why_no_screen(environ: Mapping[str, str]) -> str:
    """Why nothing can be put anywhere on the terminal's screen, or ""."""
    term, emacs = environ.get("TERM", ""), environ.get("INSIDE_EMACS", "")
    if term.startswith("eterm") or any(shell in emacs for shell in ("comint", "eshell")):
        return "Emacs's shell shows no pictures (where this is none: `unset INSIDE_EMACS`)"
    if not term:
        return "TERM is not set, so nothing is known of this terminal"
    if term.startswith(("dumb", "emacs")) or term in ("unknown", "network", "dialup"):
        return f"TERM={term} is a terminal that only prints lines"
    return ""
