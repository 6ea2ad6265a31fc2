"""The pages' colours: those of the interface's colour-blind theme, and as strong ones on white.

Blue and orange of Okabe and Ito's palette, which people with any colour vision tell apart. A label
is told by its glyph as well, a curve by its mark.
"""

from collections.abc import Mapping

DARK: Mapping[str, str] = {
    "background": "#14161f",
    "surface": "#1b1e2b",
    "panel": "#202433",
    "foreground": "#d5d9e6",
    "quiet": "#989eb5",
    "faint": "#636982",
    "good": "#3f9be0",
    "best": "#ffb000",
    "unsure": "#cc79a7",
}

LIGHT: Mapping[str, str] = {
    "background": "#ffffff",
    "surface": "#f5f6f8",
    "panel": "#e6e8ee",
    "foreground": "#20232b",
    "quiet": "#555b6e",
    "faint": "#9a9fae",
    "good": "#0a66aa",
    "best": "#a35f00",
    "unsure": "#a23a76",
}


def css_variables() -> str:
    """The colours as CSS variables, --good and so on, by what the reader's system prefers."""
    return (
        f":root {{{_declared(LIGHT)}}}\n"
        f"@media (prefers-color-scheme: dark) {{:root {{{_declared(DARK)}}}}}"
    )


def as_variables(svg: str) -> str:
    """A drawing in the colours of `DARK`, in the page's instead."""
    for name, colour in DARK.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg


def _declared(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
