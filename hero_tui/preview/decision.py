"""Decides how pictures are shown, from what the terminal and the environment say. No input, no
output: `probe` finds the signs.
"""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from hero_tui.preview.glyphs import finest_drawn
from hero_tui.preview.replies import NONE, Replies
from hero_tui.preview.terminal import (
    Colours,
    Graphics,
    Images,
    Mosaic,
    Multiplexer,
    Protocol,
    Terminal,
)
from hero_tui.preview.window import cell_in

# By the start of XTVERSION, in small letters. Konsole knows several protocols, each in part.
_BY_VERSION: Mapping[str, Graphics | None] = {
    "iterm2": "iterm2",
    "wezterm": "iterm2",
    "konsole": None,
}
_BY_ENVIRONMENT: Mapping[str, Graphics] = {"iTerm2": "iterm2", "WezTerm": "iterm2"}

# Who sets which variable to what starts so: the first that fits names a terminal that gives no
# name. TERM comes first: unlike the others, a terminal started from another does not inherit it.
_NAMES = (
    ("TERM", "xterm-kitty", "kitty"),
    ("TERM", "xterm-ghostty", "ghostty"),
    ("TERM", "alacritty", "Alacritty"),
    ("TERM", "foot", "foot"),
    ("TERM_PROGRAM", "iTerm.app", "iTerm2"),
    ("TERM_PROGRAM", "WezTerm", "WezTerm"),
    ("TERM_PROGRAM", "vscode", "VS Code"),
    ("TERM_PROGRAM", "Apple_Terminal", "Apple Terminal"),
    ("TERM_PROGRAM", "ghostty", "ghostty"),
    ("LC_TERMINAL", "iTerm2", "iTerm2"),
    ("KONSOLE_VERSION", "", "Konsole"),
    ("VTE_VERSION", "", "VTE"),
    ("WT_SESSION", "", "Windows Terminal"),
)
_WITH_TRUE_COLOUR_IN_TERMINFO = ("xterm-kitty", "xterm-ghostty", "xterm-direct", "alacritty-direct")
_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")
_TRUE_COLOUR = (
    "alacritty",
    "contour",
    "foot",
    "ghostty",
    "iterm2",
    "kitty",
    "konsole",
    "mintty",
    "vs code",
    "vte",
    "wezterm",
    "windows terminal",
    "xterm",  # and xterm.js, which is VS Code's
)

ColorSystem = Literal["truecolor", "256", "standard"]

# Rich's names of the colours, which are Textual's too.
COLOR_SYSTEMS: Mapping[Colours, ColorSystem] = {
    "truecolor": "truecolor",
    "256": "256",
    "16": "standard",
}
_WORDS: Mapping[Colours, str] = {
    "truecolor": "true colour",
    "256": "256 colours",
    "16": "16 colours",
}


@dataclass(frozen=True)
class Tmux:
    """What tmux says of itself.

    Attributes:
        passthrough: whether it hands graphics on; None if it does not say, as before tmux 3.3.
        features: what it knows of the terminal it is shown in, such as "RGB".
        client: that terminal, as tmux names it.
        utf8: whether it writes UTF-8 to that terminal; None if it does not say.
    """

    passthrough: bool | None = None
    features: frozenset[str] = frozenset()
    client: str = ""
    utf8: bool | None = None


@dataclass(frozen=True)
class Signs:
    """All that was found out.

    Attributes:
        replies: of what is at the other end of the tty, be it a terminal or a multiplexer.
        silence: why there are no replies, or "".
        size: (columns, rows) of the terminal, zeros if it does not say; None if there is none.
        pixels: (width, height) of its window as the kernel has it, None if it does not say.
        tmux: what tmux says, if it can be asked.
        behind: the replies of the terminal that tmux is shown in; None if it was not asked.
        typed: the keys that were typed meanwhile, as bytes.
        unanswered: who has not answered, as `mute` remembers it; "" if all have.
        late: whether the terminal was asked now and has not answered yet.
    """

    replies: Replies = NONE
    silence: str = ""
    size: tuple[int, int] | None = None
    pixels: tuple[int, int] | None = None
    tmux: Tmux | None = None
    behind: Replies | None = None
    typed: bytes = b""
    unanswered: str = ""
    late: bool = False


def decide(
    signs: Signs,
    environ: Mapping[str, str],
    images: Images = "auto",
    kept: Mapping[str, Mosaic] = MappingProxyType({}),
) -> Terminal:
    """The terminal that the signs speak of.

    The first that says anything decides how pictures are shown: `images`, the multiplexer,
    XTVERSION, kitty's graphics query, field 4 of DA1, the environment; else they are text: the
    mosaic that the person has `kept` for it, by `Terminal.kind`, or the finest that it draws.
    """
    multiplexer = multiplexer_of(signs.replies, environ)
    replies = (signs.behind or NONE) if multiplexer == "tmux" else signs.replies
    name, said_by = _named(signs, environ, multiplexer, replies)
    kind = _kind(name, multiplexer, environ)
    evidence = [f"silent: {signs.silence}"] if signs.silence else []
    if multiplexer:
        evidence.append(f"multiplexer: {multiplexer}")
    if name:
        evidence.append(f"name: {name}, from {said_by}")
    # A multiplexer's size in pixels need not be that of the terminal it is shown in.
    cell, measured = _cell(replies, None if multiplexer else signs)
    protocol: Protocol
    if images != "auto":
        protocol = "blocks" if images == "block" else images
        why = "asked for by --images or the preferences"
    else:
        graphics, why = _graphics(signs, multiplexer, replies, name, cell is not None)
        if graphics is not None:
            protocol = graphics
        elif kind in kept:
            protocol, why = kept[kind], f"{why}, and kept for {kind}"
        else:
            protocol, why_drawn = finest_drawn(name, in_tmux=multiplexer == "tmux")
            why = f"{why}, and {why_drawn}"
    evidence.append(f"pictures: {protocol}; {why}")
    colours, why = _colours(replies, signs.tmux, environ, multiplexer, name)
    evidence.append(f"colours: {_WORDS[colours]}; {why}")
    cell = cell or Terminal("off", "16").cell
    evidence.append(f"cell: {cell[0]}x{cell[1]} pixels; {measured}")
    return Terminal(protocol, colours, cell, name, multiplexer, kind, tuple(evidence))


def why_not_utf8(signs: Signs, environ: Mapping[str, str]) -> str:
    """Why pictures and labels, which are written in UTF-8, would be scrambled; or "".

    The locale says what programs write, which is not the question where it is not the terminal's.
    """
    if signs.tmux is not None and signs.tmux.utf8 is False:
        return "tmux does not write UTF-8 to this terminal: attach to it with `tmux -u attach`"
    if signs.replies.utf8 is not False:
        return ""
    locale = next((environ[name] for name in _LOCALE if environ.get(name)), "none")
    if multiplexer_of(signs.replies, environ) == "screen":
        return "GNU screen does not take UTF-8: start it with `screen -U`"
    return (
        f"this terminal does not take UTF-8 (the locale is {locale}): start it in one of UTF-8, "
        "such as LC_ALL=C.UTF-8"
    )


def tell_textual(colours: Colours, environ: MutableMapping[str, str]) -> None:
    """Sets the colours that Textual uses when it is imported, unless the user has.

    Also under NO_COLOR, which is for text: pictures need them.
    """
    environ.setdefault("TEXTUAL_COLOR_SYSTEM", COLOR_SYSTEMS[colours])


def multiplexer_of(replies: Replies, environ: Mapping[str, str]) -> Multiplexer | None:
    """What runs between the terminal and us; on another machine it is not in the environment."""
    term = environ.get("TERM", "")
    version = replies.version.lower()
    if version.startswith("tmux") or (environ.get("TMUX") and not version):
        return "tmux"
    if version:
        return None
    if environ.get("STY") or term.startswith("screen"):
        return "screen"
    # The one variable that mosh-server adds; it sets TERM to one of two values.
    if environ.get("NCURSES_NO_UTF8_ACS") == "1" and term in ("xterm", "xterm-256color"):
        return "mosh"
    return None


def _why_tmux_is_closed(signs: Signs) -> str:
    if signs.tmux is not None and signs.tmux.passthrough is False:
        return "tmux's allow-passthrough is off"
    if signs.behind is None or signs.behind.attributes is None:
        return "no terminal answers through tmux"
    if signs.behind.version.lower().startswith("tmux"):
        return "a tmux in a tmux lets no graphics through"
    if signs.behind.kitty and not _shows_placeholders(signs.behind.version):
        return "only kitty from 0.28 on and Ghostty show images that are placed by text"
    if signs.tmux is not None and signs.tmux.client and _colours_kept(signs.tmux) == "16":
        return "tmux keeps 16 colours, too few to place images by"
    return ""


def _colours_kept(tmux: Tmux) -> Colours:
    """Those that pass: all, if it is told to let them or terminfo tells it how to write them."""
    if "RGB" in tmux.features or tmux.client.startswith(_WITH_TRUE_COLOUR_IN_TERMINFO):
        return "truecolor"
    return "256" if "256color" in tmux.client else "16"


def _shows_placeholders(version: str) -> bool:
    """Whether the terminal of this XTVERSION shows kitty's images where text has their number."""
    found = re.match(r"kitty\((\d+)\.(\d+)", version)
    if found:
        return (int(found[1]), int(found[2])) >= (0, 28)
    return version.lower().startswith("ghostty")


def _graphics(
    signs: Signs,
    multiplexer: Multiplexer | None,
    replies: Replies,
    name: str,
    cell_is_known: bool,
) -> tuple[Graphics | None, str]:
    """The graphics protocol to use, or none; and why."""
    if multiplexer in ("screen", "mosh"):
        return None, f"{multiplexer} lets no graphics through"
    if multiplexer == "tmux" and (closed := _why_tmux_is_closed(signs)):
        return None, closed
    protocol, why = _protocol(replies, name)
    if multiplexer == "tmux" and protocol in ("iterm2", "sixel"):
        return None, f"{protocol} does not pass through tmux, only kitty does"
    if protocol == "sixel" and not cell_is_known:
        return None, "sixels are pixels, and nothing says how many a cell has"
    return protocol, why


def _protocol(replies: Replies, name: str) -> tuple[Graphics | None, str]:
    version = replies.version.lower()
    for start, protocol in _BY_VERSION.items():
        if version.startswith(start):
            return protocol, "from XTVERSION"
    if replies.kitty:
        return "kitty", "it accepts kitty's graphics query"
    if "4" in (replies.attributes or ()):
        if name == "VS Code" or version.startswith("xterm.js"):
            return "iterm2", "VS Code, and field 4 of DA1: its images are on"
        return "sixel", "field 4 of DA1"
    if not version and name in _BY_ENVIRONMENT:
        return _BY_ENVIRONMENT[name], "from the environment"
    return None, "no sign of a graphics protocol"


def _colours(
    replies: Replies,
    tmux: Tmux | None,
    environ: Mapping[str, str],
    multiplexer: Multiplexer | None,
    name: str,
) -> tuple[Colours, str]:
    term = environ.get("TERM", "")
    for colours, system in COLOR_SYSTEMS.items():
        if environ.get("TEXTUAL_COLOR_SYSTEM") == system:
            return colours, "TEXTUAL_COLOR_SYSTEM says so"
    if multiplexer == "tmux" and tmux is not None and tmux.client:
        return _colours_kept(tmux), f"what tmux keeps of them for {tmux.client}"
    if multiplexer == "tmux":
        return "truecolor", "tmux turns it into what its terminal has"
    if multiplexer == "screen":
        return "256", "screen"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor", "COLORTERM says so"
    if name.lower().startswith(_TRUE_COLOUR):
        return "truecolor", f"{name} has it"
    if replies.kitty or "4" in (replies.attributes or ()):
        return "truecolor", "a terminal with graphics has it"
    if term.endswith("-direct"):
        return "truecolor", f"TERM={term}"
    if "256color" in term or name == "Apple Terminal":
        return "256", f"TERM={term}" if "256color" in term else name
    return "16", f"TERM={term}"


def _cell(replies: Replies, signs: Signs | None) -> tuple[tuple[int, int] | None, str]:
    if replies.cell is not None:
        return replies.cell, "CSI 16 t"
    if signs is not None:
        if cell := cell_in(signs.size, replies.window):
            return cell, "CSI 14 t over the window's size in cells"
        if cell := cell_in(signs.size, signs.pixels):
            return cell, "the kernel's size of the window over that in cells"
    return None, "a guess"


def _named(
    signs: Signs, environ: Mapping[str, str], multiplexer: Multiplexer | None, replies: Replies
) -> tuple[str, str]:
    """What the terminal calls itself, and from where that is known."""
    if replies.version:
        return replies.version, "XTVERSION"
    # Under a multiplexer the variables tell of the terminal that it was started in.
    if multiplexer is None:
        return _name(environ), "the environment"
    # tmux, which asks, too, gives TERM and then the answer.
    client = signs.tmux.client if multiplexer == "tmux" and signs.tmux else ""
    return client.partition(" ")[2], "tmux"


def _name(environ: Mapping[str, str]) -> str:
    for variable, start, name in _NAMES:
        if variable in environ and environ[variable].startswith(start):
            return name
    return ""


def _kind(name: str, multiplexer: Multiplexer | None, environ: Mapping[str, str]) -> str:
    """What tells this terminal from others of a person's: its name, or TERM, in which it runs."""
    kind = re.split(r"\(| \d", name)[0] or f"TERM={environ.get('TERM', '')}"
    return f"{kind} in {multiplexer}" if multiplexer else kind
