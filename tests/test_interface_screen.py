"""The interface in a pseudo-terminal that draws pictures: they leave the text as it is."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder, engine_lock
from hero_tui.preview import pacer
from tests.interface_runs import make_sampled_run
from tests.test_interface_terminal import BLIND, Terminal

REQUEST = pacer.REQUEST.encode()
SCRIPT = """
import sys
from pathlib import Path
from hero_engine.run.folder import RunFolder
from hero_tui.app import HeroApp
from hero_tui.client.run_client import RunClient
from hero_tui.config import Config
from hero_tui.preview.terminal import Terminal
client = RunClient(RunFolder(Path(sys.argv[1])), lambda folder: None)
HeroApp(client, Config(), Terminal("{protocol}", "truecolor")).run()
"""

SEQUENCE = re.compile(
    rb"\x1bP[^\x1b]*\x1b\\|\x1b_[^\x1b]*\x1b\\|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    rb"|\x1b\[(?P<arguments>[0-9;?<=>]*)(?P<final>[ $]?[@-~])|\x1b(?P<keep>[78])"
    rb"|(?P<line>\r\n)|(?P<text>[^\x00-\x1f]+)"
)


def cells(written: bytes, columns: int = 80, rows: int = 24) -> list[str]:
    """The lines of a screen to which `written` has been written.

    It knows what the interface uses and nothing else: anything else fails.
    """
    screen = [[" "] * columns for _ in range(rows)]
    x = y = place = 0
    kept = (0, 0)
    while place < len(written):
        found = SEQUENCE.match(written, place)
        assert found, written[place : place + 80]
        place = found.end()
        if found["final"] == b"H":
            y, x = (int(number) - 1 for number in found["arguments"].split(b";"))
        elif found["final"] == b"C":
            x += int(found["arguments"] or 1)
        elif found["final"] == b"X":
            screen[y][x : x + int(found["arguments"])] = " " * int(found["arguments"])
        elif found["keep"] == b"7":
            kept = x, y
        elif found["keep"] == b"8":
            x, y = kept
        elif found["line"]:
            x, y = 0, y + 1
        elif found["text"]:
            text = found["text"].decode()
            screen[y][x : x + len(text)] = text
            x += len(text)
    return ["".join(line) for line in screen]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_sampled_run(tmp_path, images=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "drawn"), [("kitty", b"_Ga=p"), ("iterm2", b"]1337;"), ("sixel", b"P0;1;0q")]
)
def test_pictures_leave_the_text_as_it_is(run: RunFolder, protocol: str, drawn: bytes) -> None:
    with (
        engine_lock(run),
        closing(Terminal(run, BLIND + SCRIPT.format(protocol=protocol))) as terminal,
    ):
        answered = 0

        def places() -> list[bytes]:
            """Where pictures, or parts of them, have been drawn."""
            return re.findall(rb"\x1b7\x1b\[([0-9;]+)H\x1b" + re.escape(drawn), terminal.said)

        def shown() -> list[str]:
            """The screen, as far as an answer was asked for: whole sequences."""
            return cells(terminal.said[: max(0, terminal.said.rfind(REQUEST))])

        def all_drawn() -> bool:
            nonlocal answered
            requests = terminal.said.count(REQUEST)
            terminal.type(b"\x1b[1;1R" * (requests - answered))
            answered = requests
            return len(places()) >= 8 and "·" not in "".join(shown()[3:12])

        terminal.until(all_drawn)
        terminal.type(b"2W")
        terminal.until(lambda: all_drawn() and "★".encode() in terminal.said)
        terminal.type(b"\x11")
        terminal.until(lambda: terminal.process.poll() is not None)
        said = terminal.said[: terminal.said.index(b"\x1b[?1049l")]
    lines = cells(said)
    assert "2 ✓ good" in lines[2]
    assert "w ★ best" in lines[12]
    assert {re.sub("[▌▐]", " ", line) for line in lines[3:12]} == {" " * 80}
