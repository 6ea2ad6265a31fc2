"""Pictures that are placed by text, as they come out of a real tmux.

The kitty of the distribution may be too old to show them, so a terminal that is none reads them, as
strictly: of an image only the cells are shown whose number and place are exactly right.
"""

import io
import os
import subprocess
import sys
from base64 import standard_b64decode
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hero_engine.run.folder import RunFolder
from tests.fake_terminal import KITTY, FakeTerminal
from tests.kitty_codes import commands, placeholders
from tests.terminals.seen import FIRST, MOST_ERROR, SECOND, strong
from tests.terminals.servers import until
from tests.terminals.tmux import Tmux

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def images(said: str) -> dict[int, tuple[Image.Image, int, int]]:
    """By its number, each image that was sent whole, with the columns and rows it is placed in."""
    sent: dict[int, tuple[Image.Image, int, int]] = {}
    first: dict[str, str] = {}
    data = ""
    for keys, part in commands(said):
        if keys.get("a") == "T":
            first, data = keys, ""
        data += part
        if keys.get("m") == "0":
            file = io.BytesIO(standard_b64decode(data))
            sent[int(first["i"])] = (Image.open(file), int(first["c"]), int(first["r"]))
    return sent


def shown(said: str) -> set[int]:
    """The pictures of which every cell is on the screen."""
    cells = defaultdict(set)
    for number, row, column in placeholders(said):
        cells[number].add((row, column))
    return {
        recognized(image)
        for number, (image, columns, rows) in images(said).items()
        if cells[number] == {(row, column) for row in range(rows) for column in range(columns)}
    }


def recognized(image: Image.Image) -> int:
    """The number of the picture that an image is."""

    def error(number: int) -> float:
        pixels = np.asarray(image.convert("RGB").resize((96, 96)), float)
        return float(np.abs(pixels - np.asarray(strong(number))).mean())

    best = min(range(16), key=error)
    assert error(best) <= MOST_ERROR
    return best


@pytest.mark.parametrize("colours", ["true colour", "256 colours"])
def test_each_cell_of_a_picture_passes_through_tmux(
    colours: str, run: RunFolder, tmux: Tmux, tmp_path: Path
) -> None:
    if colours == "true colour":
        tmux.configure("set -as terminal-features ',*:RGB'")
    inside = [sys.executable, "-m", "hero_tui", "attach", str(run.path)]
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "USER") if name in os.environ}
    with FakeTerminal({**KITTY, rb"\x1b\[6n": b"\x1b[1;1R"}) as terminal:
        process = subprocess.Popen(
            tmux.around(inside),
            stdin=terminal.theirs,
            stdout=terminal.theirs,
            stderr=terminal.theirs,
            env=environ
            | {
                "TERM": "xterm-256color",
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": str(ROOT),
                "XDG_CACHE_HOME": str(tmp_path),
                "HERO_TUI_CONFIG": str(tmp_path / "none.yaml"),
            },
            start_new_session=True,
        )
        try:
            until(lambda: shown(text(terminal)) == set(FIRST), lambda: text(terminal)[-3000:])
            terminal.type(b" ")
            until(lambda: shown(text(terminal)) == {*FIRST, *SECOND})
        finally:
            process.kill()
            tmux.close()
            process.wait(30)
    assert ("38;2;" in text(terminal)) == (colours == "true colour")


def text(terminal: FakeTerminal) -> str:
    return terminal.said.decode("utf-8", "replace")
