"""The interface's colours: four themes, in each of which good and best differ in brightness too.

A status is told by its glyph as well, so that no theme is needed to read it.
"""

from collections.abc import Mapping

from textual.theme import Theme

from hero_tui.config import ThemeName

NIGHT = Theme(
    name="night",
    primary="#7aa2f7",
    secondary="#bb9af7",
    accent="#7dcfff",
    foreground="#c0caf5",
    background="#14161f",
    surface="#1b1e2b",
    panel="#202433",
    success="#73c936",
    warning="#ffc83d",
    error="#f7768e",
    dark=True,
    variables={"quiet": "#8d94b3", "faint": "#5c6180"},
)

DAY = Theme(
    name="day",
    primary="#1f4fb8",
    secondary="#7a2fa0",
    accent="#00647d",
    foreground="#20232b",
    background="#f7f7f4",
    surface="#ffffff",
    panel="#dfe2ea",
    success="#006f00",
    warning="#b86500",
    error="#c0203c",
    dark=False,
    variables={"quiet": "#555b6e", "faint": "#83889a"},
)

HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#00ffff",
    secondary="#ff80ff",
    accent="#00ffff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    success="#40ff40",
    warning="#ffff00",
    error="#ff6060",
    dark=True,
    variables={"quiet": "#e0e0e0", "faint": "#b0b0b0"},
)

# Blue and orange of Okabe and Ito's palette, which people with any colour vision tell apart.
COLOUR_BLIND = Theme(
    name="colour-blind",
    primary="#c8d0e8",
    secondary="#cc79a7",
    accent="#c8d0e8",
    foreground="#d5d9e6",
    background="#14161f",
    surface="#1b1e2b",
    panel="#202433",
    success="#3f9be0",
    warning="#ffb000",
    error="#f07cc0",
    dark=True,
    variables={"quiet": "#989eb5", "faint": "#636982"},
)

THEMES: Mapping[ThemeName, Theme] = {
    "night": NIGHT,
    "day": DAY,
    "high-contrast": HIGH_CONTRAST,
    "colour-blind": COLOUR_BLIND,
}

# Styles of text that matters less, for Content.
QUIET = "$quiet"
FAINT = "$faint"
