"""The interface in terminals as they really are: what is on their screens is what should be.

Each terminal draws the pages of a round on a screen that nobody sees. A screenshot is compared with
the pictures of the round after a page turn, a change of the font, a storm of sizes, and where tmux
was left and come back to.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder
from tests.terminals.seen import FIRST, SECOND, errors, shows
from tests.terminals.servers import SIZE, WINDOW, Server, Sway, X, needs, until
from tests.terminals.tmux import Tmux

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Program:
    """A terminal, and how it is told to run a command in a window of the size that it needs.

    Attributes:
        larger: the keys that make its font larger; "" where there are none.
    """

    server: type[X] | type[Sway]
    command: tuple[str, ...]
    larger: str = ""


KITTY = os.environ.get("HERO_TUI_TEST_KITTY", "kitty")
"""Another one, such as one that the distribution does not have yet."""
PROGRAMS = {
    "kitty": Program(
        X,
        (
            *(KITTY, "--config=NONE", "-o", "linux_display_server=x11", "-o", "font_size=8"),
            *("-o", "remember_window_size=no", "-o", "update_check_interval=0"),
            *("-o", "confirm_os_window_close=0", "-o", "enable_audio_bell=no"),
            *("-o", "initial_window_width=124c", "-o", "initial_window_height=34c"),
        ),
        larger="ctrl+shift+equal",
    ),
    "xterm": Program(
        X,
        (
            "xterm",
            "-ti",
            "vt340",
            "-tn",
            "xterm-256color",
            "-fa",
            "Monospace",
            "-fs",
            "8",
            "-geometry",
            "84x24",
            "-e",
        ),
        larger="shift+KP_Add",
    ),
    "mlterm": Program(X, ("mlterm", "-g", "84x24", "-w", "14", "-e")),
    "foot": Program(
        Sway,
        ("foot", "-c", os.devnull, "-o", "font=monospace:size=11.5"),
        larger="ctrl+plus",
    ),
}


class Shown:
    """The interface on a run, in a terminal."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self._folder = folder

    def is_page(self, numbers: range) -> None:
        """Waits until the terminal shows these pictures, as they are."""

        def why() -> str:
            shot = self.server.shot()
            shot.save(self._folder / "shot.png")
            log = (self._folder / "terminal.log").read_text("utf-8", "replace")[-500:]
            return f"{numbers}: {errors(shot)}; {self._folder / 'shot.png'}; {log}"

        until(lambda: shows(self.server.shot(), numbers), why)

    def press(self, key: str) -> None:
        self.server.press(key)

    def changes(self, act: Callable[[], object]) -> None:
        """Acts, and waits until something else is on the screen."""
        before = self.server.shot()
        act()
        until(lambda: self.server.shot().tobytes() != before.tobytes())

    def storm(self, sizes: int) -> None:
        """Another size for the window, again and again, many of them too small."""
        storm = ((300 + 173 * each % (SIZE[0] - 300), 200 + 131 * each % (SIZE[1] - 200))
                 for each in range(sizes))  # fmt: skip
        self.server.resize(*storm, (WINDOW[0] - 20, WINDOW[1] - 20))


@pytest.fixture
def opened(tmp_path: Path, run: RunFolder) -> Iterator[Callable[..., Shown]]:
    """Opens the run's interface in a terminal; `around` makes another command of the command."""
    servers: list[Server] = []

    def opened(
        program: Program, around: Callable[[list[str]], list[str]] = lambda command: command
    ) -> Shown:
        needs(program.command[0])
        folder = tmp_path / "server"
        folder.mkdir()
        server = program.server(folder)
        servers.append(server)
        for name in ("TMUX", "STY", "COLORTERM", "NO_COLOR", "TEXTUAL_COLOR_SYSTEM", "LANG"):
            server.environ.pop(name, None)
        server.environ |= {
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "HERO_TUI_CONFIG": str(tmp_path / "none.yaml"),
        }
        command = around([sys.executable, "-m", "hero_tui", "attach", str(run.path)])
        log = tmp_path / "terminal.log"
        # A window that stays tells why the command has ended.
        kept = f"{shlex.join(command)}; echo ended with $? | tee -a {log}; exec cat"
        server.start(*program.command, "sh", "-c", kept, log=log)
        return Shown(server, tmp_path)

    yield opened
    for server in servers:
        server.close()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_terminal_shows_the_pictures_of_the_page(name: str, opened: Callable[..., Shown]) -> None:
    program = PROGRAMS[name]
    shown = opened(program)
    shown.is_page(FIRST)
    shown.press("space")
    shown.is_page(SECOND)
    if program.larger:
        shown.changes(lambda: shown.press(program.larger))
        shown.is_page(SECOND)
        shown.press("BackSpace")
        shown.is_page(FIRST)
        shown.press("space")
        shown.is_page(SECOND)
    shown.changes(lambda: shown.storm(80))
    shown.is_page(SECOND)
    shown.press("BackSpace")
    shown.is_page(FIRST)


@pytest.mark.parametrize("name", ["kitty", "xterm"])
def test_in_tmux_the_pictures_are_there_again_when_it_is_come_back_to(
    name: str, opened: Callable[..., Shown], tmux: Tmux
) -> None:
    # It asks a terminal for that whenever it is attached to, and does not wait long: on a busy
    # machine the second client had 256 colours.
    tmux.configure("set -as terminal-features ',*:RGB'")
    shown = opened(PROGRAMS[name], tmux.around)
    shown.is_page(FIRST)
    shown.press("space")
    shown.is_page(SECOND)
    shown.changes(lambda: tmux.run("detach-client"))
    shown.is_page(SECOND)
    shown.press("BackSpace")
    shown.is_page(FIRST)
