"""The interface's colours."""

from textual.theme import Theme

NIGHT = Theme(
    name="hero-night",
    primary="#7aa2f7",
    secondary="#bb9af7",
    accent="#7dcfff",
    foreground="#c0caf5",
    background="#14161f",
    surface="#1b1e2b",
    panel="#232738",
    success="#73c936",
    warning="#ffc83d",
    error="#f7768e",
    dark=True,
)

# Styles of text that matters less, for Content.
QUIET = "$foreground 65%"
FAINT = "$foreground 35%"
