"""`hero-tui doctor`: what this terminal can show, how that was found out, and what to change."""

import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from rich.console import Console
from rich.segment import Segment, Segments
from rich.text import Text

from hero_engine import __version__
from hero_engine.cartoons.drawing import draw
from hero_engine.errors import InputError
from hero_engine.run.filesystem import shared_file_system
from hero_engine.run.text import plain, plain_lines
from hero_tui.choices import keep_mosaic, load_choices
from hero_tui.config import Config, config_file, load_config
from hero_tui.outside.opener import over_ssh
from hero_tui.preview import blocks
from hero_tui.preview.decision import COLOR_SYSTEMS, Signs, decide, why_not_utf8
from hero_tui.preview.drawing import Text as TextDrawing
from hero_tui.preview.inline import inline
from hero_tui.preview.pictures import Pictures
from hero_tui.preview.probe import probe
from hero_tui.preview.terminal import (
    MOSAICS,
    Colours,
    Images,
    Keep,
    Mosaic,
    Protocol,
    Terminal,
    why_no_screen,
)
from hero_tui.screens.too_small import LEAST
from hero_tui.streams import drawn, write_utf8

# From here on the grid has four rows of pictures, and the reigning best beside it.
ROOMY = (150, 50)
PICTURE = (32, 16)
TILE, GAP = (18, 9), 2
"""Cells of a picture in a terminal of 80x24, where four stand beside each other."""


def examine(
    images: Images | None,
    runs_dir: Path,
    environ: Mapping[str, str] = os.environ,
    keep: Keep | None = None,
) -> None:
    """Asks the terminal, also if it is remembered as mute, and prints what is the matter.

    Args:
        images: how pictures are to be shown, if `--images` says so.
        runs_dir: where runs are kept.
        keep: how they are drawn in this kind of terminal from now on, where they are text.

    Raises:
        InputError: `keep` is given, and there is no terminal, or it cannot be written down.
    """
    signs = probe(environ, again=True)
    if keep is not None:
        _keep(keep, signs, environ)
    path = config_file(environ)
    try:
        config, problem = load_config(path), ""
    except InputError as error:
        config, problem = Config(), str(error)
    kept = load_choices().mosaics
    terminal = decide(signs, environ, images or config.images, kept)
    if sys.stdout.isatty() and signs.replies.utf8:
        write_utf8()
    _print(
        Console(
            file=drawn(sys.stdout),
            highlight=False,
            soft_wrap=True,
            color_system=COLOR_SYSTEMS[terminal.colours] if sys.stdout.isatty() else None,
            no_color=False,  # the pictures are all that has colours
        ),
        [*facts(signs, terminal, environ, path), ("runs", where_runs_are(runs_dir))],
        terminal,
        [*([problem] if problem else []), *advice(signs, terminal, environ, kept)],
    )


def _keep(keep: Keep, signs: Signs, environ: Mapping[str, str]) -> None:
    if signs.size is None:
        raise InputError(f"--keep {keep}: {signs.silence}; run this in the terminal that it is for")
    kind = decide(signs, environ).kind
    try:
        keep_mosaic(kind, None if keep == "auto" else keep)
    except OSError as error:
        raise InputError(f"--keep {keep}: {error}") from None


def facts(
    signs: Signs, terminal: Terminal, environ: Mapping[str, str], config: Path
) -> list[tuple[str, str]]:
    """What there is, as (label, value)."""
    if signs.size is None:
        size = "none"
    elif min(signs.size) == 0:
        size = "of unknown size"
    else:
        size = "{}x{} cells of {}x{} pixels".format(*signs.size, *terminal.cell)
    return [
        ("terminal", terminal.name or "gives no name"),
        ("window", size),
        ("pictures", terminal.protocol),
        ("colours", terminal.colours),
        ("connection", "SSH" if over_ssh(environ) else "local"),
        ("multiplexer", terminal.multiplexer or "none"),
        ("preferences", str(config) if config.exists() else f"{config} (not written yet)"),
        ("hero-tui", f"{__version__}, Python {platform.python_version()}, {platform.system()}"),
    ]


def where_runs_are(runs_dir: Path) -> str:
    """The folder, and what a file system that other machines share means for the runs in it."""
    kind = shared_file_system(runs_dir)
    if kind is None:
        return str(runs_dir)
    return f"{runs_dir}, on {kind}, which machines share: records have a rollback journal, not WAL"


def advice(
    signs: Signs,
    terminal: Terminal,
    environ: Mapping[str, str],
    kept: Mapping[str, Mosaic] = MappingProxyType({}),
) -> list[str]:
    """What to change, a line for each thing that is not at its best."""
    if signs.size is None:
        return [f"Nothing can be shown: {signs.silence}. Run this in the terminal to label in."]
    return [
        line
        for line in (
            _about_size(signs.size),
            _about_silence(signs),
            _about_screen(signs, environ),
            _about_pictures(signs, terminal, environ, decide(signs, environ, kept=kept).protocol),
            _about_colours(signs, terminal),
            "Over a slow connection, use `ssh -C`: pictures of text then take a third of the bytes."
            if over_ssh(environ)
            else "",
        )
        if line
    ]


def _about_size(size: tuple[int, int]) -> str:
    if min(size) == 0:
        return ""
    if size[0] < LEAST.width or size[1] < LEAST.height:
        return "The window is too small: make it at least 80x24 cells, or the font smaller."
    if size[0] < ROOMY[0] or size[1] < ROOMY[1]:
        return "A window of 200x60 cells shows 16 pictures a page, and the best beside them."
    return ""


def _about_silence(signs: Signs) -> str:
    if not signs.silence:
        return ""
    return "Some questions had no answer; choose by hand with `--images` if you know better."


def _about_screen(signs: Signs, environ: Mapping[str, str]) -> str:
    why = why_no_screen(environ) or why_not_utf8(signs, environ)
    return f"The interface does not start here: {why}." if why else ""


def _about_pictures(
    signs: Signs, terminal: Terminal, environ: Mapping[str, str], found: Protocol
) -> str:
    protocol = terminal.protocol
    if protocol not in (found, "off") and protocol not in coarser_than(found):
        return f"Nothing says that {protocol} works here: else use `--images auto`."
    if protocol != found:
        return f"You chose {protocol}: `--images auto` shows pictures by {found}."
    if protocol not in MOSAICS:
        return ""
    if terminal.multiplexer == "tmux" and signs.tmux and signs.tmux.passthrough is False:
        return "tmux keeps graphics to itself: `set -g allow-passthrough on` in ~/.tmux.conf."
    if terminal.multiplexer == "tmux" and signs.behind and signs.behind.version.startswith("kitty"):
        return "Inside tmux, kitty shows pictures from its version 0.28 on."
    if terminal.multiplexer == "tmux" and signs.behind:
        outside = decide(Signs(signs.behind, size=signs.size), {}).protocol
        if outside not in MOSAICS:
            return f"Inside tmux only kitty and Ghostty show pictures: outside it, {outside} works."
    if terminal.multiplexer in ("screen", "mosh"):
        return f"{terminal.multiplexer} lets no graphics through: use tmux over SSH instead."
    if "4" in (signs.replies.attributes or ()) and not terminal.name.startswith("Konsole"):
        return (
            "This terminal has sixels, but not a word on how many pixels a cell has: let it answer "
            "CSI 16 t (in xterm, `allowWindowOps: true`), or try `--images sixel`."
        )
    if terminal.name.lower().startswith(("vs code", "xterm.js")) or (
        environ.get("TERM_PROGRAM") == "vscode"
    ):
        return "VS Code shows pictures with the setting `terminal.integrated.enableImages`."
    if terminal.name.lower().startswith("konsole"):
        return "Konsole has graphics, each protocol in part: try `--images sixel`."
    return "Text shows little of a picture: kitty, Ghostty, WezTerm, iTerm2 or foot show real ones."


def coarser_than(found: Protocol) -> tuple[Protocol, ...]:
    """The mosaics that show less than what was found to work, and work, too."""
    return MOSAICS[MOSAICS.index(found) + 1 :] if found in MOSAICS else MOSAICS


def _about_colours(signs: Signs, terminal: Terminal) -> str:
    if terminal.multiplexer == "tmux" and signs.tmux and signs.tmux.client:
        if terminal.colours == "truecolor":
            return ""
        return "tmux reduces the colours: `set -as terminal-features ',*:RGB'` in ~/.tmux.conf."
    if terminal.colours == "truecolor" or terminal.multiplexer == "screen":
        return ""
    return "If the terminal has true colour (most do): `export COLORTERM=truecolor`."


def _print(
    console: Console,
    rows: Sequence[tuple[str, str]],
    terminal: Terminal,
    to_change: Sequence[str],
) -> None:
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        console.print(Text(f"{label:<{width}}  ", style="bold") + Text(plain(value)))
    _print_lines(console, "Found out from", terminal.evidence)
    _print_lines(console, "To change", to_change or ["nothing"])
    if not console.is_terminal:
        _print_lines(console, "No picture", ["this output is not a terminal"])
    elif why := why_no_screen(os.environ):
        _print_lines(console, "No picture", [why])
    elif terminal.protocol != "off":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cat.png"
            draw("black-cat", np.random.default_rng(0), right=True).image.save(path)
            if terminal.protocol not in MOSAICS:
                _print_lines(console, f"By {terminal.protocol}", [])
                _print_picture(console, terminal, path)
            _print_lines(console, "As text", [])
            _print_mosaics(console, terminal.colours, path)
        if terminal.protocol in MOSAICS:
            _print_lines(
                console,
                "Which of them looks right, and is the clearest?",
                [
                    f"Here it is {terminal.protocol}. To have sextants in {terminal.kind} from now "
                    "on: `hero-tui doctor --keep sextants`; what was found out: `--keep auto`."
                ],
            )


def _print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"  {plain_lines(line)}"))


def _print_picture(console: Console, terminal: Terminal, path: Path) -> None:
    pictures = Pictures(terminal)
    drawing = asyncio.run(pictures.encoded(path, *PICTURE))
    pictures.close()
    console.file.write(inline(drawing, PICTURE[1]))
    if isinstance(drawing, TextDrawing):
        for strip in drawing.strips:
            console.print(Segments([*strip, Segment.line()]))


def _print_mosaics(console: Console, colours: Colours, path: Path) -> None:
    """The picture in each mosaic, as many beside each other as fit."""
    columns, rows = TILE
    # The finest last: what is missing in a font may be missing in a line, too.
    left = list(reversed(MOSAICS))
    while left:
        beside = left[: max(1, (console.width + GAP) // (columns + GAP))]
        left = left[len(beside) :]
        gap = Segment(" " * GAP)
        console.print(Text((" " * GAP).join(f"{mosaic:^{columns}}" for mosaic in beside)))
        drawings = [blocks.encode(path, columns, rows, mosaic, colours) for mosaic in beside]
        for strips in zip(*(drawing.strips for drawing in drawings), strict=True):
            line = [segment for strip in strips for segment in (*strip, gap)]
            console.print(Segments([*line[:-1], Segment.line()]))
