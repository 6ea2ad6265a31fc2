"""Which mosaics a terminal draws, by its name and version.

The fonts of most people have no sextants and octants: counted are the terminals that draw them
themselves, whatever the font. All fonts have quadrants.
"""

import re
from collections.abc import Mapping

from hero_tui.preview.terminal import Mosaic

Version = tuple[int, ...]

# From which version on, as their change logs or histories say: kitty 0.19.3 (0.19.0 drew some of
# them wrongly) and 0.40.0; foot before 1.8.0, and 1.20.0; Ghostty's first release, and 1.2.0;
# WezTerm 20210814, and the nightly builds since 8 February 2025; VTE 0.62 (its commit e1162ba5)
# and 0.78 (38064959); Konsole 22.04 (bcd83d81). Contour draws sextants (BoxDrawingRenderer.cpp).
# Alacritty does from 0.13.2 on, but gives no version. mlterm, xterm, iTerm2 and Windows Terminal
# leave them to the font.
_SINCE: Mapping[str, Mapping[Mosaic, Version]] = {
    "kitty": {"octants": (0, 40), "sextants": (0, 19, 3)},
    "foot": {"octants": (1, 20), "sextants": (1, 8)},
    "ghostty": {"octants": (1, 2), "sextants": (1,)},
    "wezterm": {"octants": (20250208,), "sextants": (20210814,)},
    "vte": {"octants": (7800,), "sextants": (6200,)},
    "konsole": {"sextants": (22, 4)},
    "contour": {"sextants": (0,)},
}

_NAME = re.compile(r"([a-z]+)[ (]*(\d+(?:\.\d+)*)?")
# Its first character of U+1FB00 to U+1FB9B ends this one (foot's change log, 1.20.1).
_ENDED_BY_SEXTANTS = "foot(1.20.0)"


def finest_drawn(name: str, in_tmux: bool = False) -> tuple[Mosaic, str]:
    """The finest mosaic that the terminal draws, and how that is known.

    Args:
        name: its XTVERSION, such as "kitty(0.40.1)" or "WezTerm 20240203-110809-5046fc22".
        in_tmux: whether tmux is between, which drops the characters that its C library does not
            know: in most of them, the octants.
    """
    found = _NAME.match(name.lower())
    if not found or found[1] not in _SINCE:
        return "quadrants", "nothing says that more than quadrants can be drawn"
    if not found[2]:
        return "quadrants", f"{name} does not say which version it is"
    if in_tmux and name.startswith(_ENDED_BY_SEXTANTS):
        return "quadrants", f"{name} ends itself at a sextant"
    version = tuple(map(int, found[2].split(".")))
    drawn = [mosaic for mosaic, first in _SINCE[found[1]].items() if version >= first]
    if in_tmux and "octants" in drawn:
        return "sextants", f"{name} draws octants, but not every tmux passes them on"
    if not drawn:
        return "quadrants", f"{name} draws no sextants yet"
    return drawn[0], f"{name} draws {drawn[0]} in any font"
