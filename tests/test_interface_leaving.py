"""The interface gives the terminal back as it found it, however it ends; and never hides in a file.

All in a pseudo-terminal that looks at the bytes.
"""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder, engine_lock
from tests.interface_runs import make_sampled_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SHOW = """
import sys
from pathlib import Path
from hero_engine.run.folder import RunFolder
from hero_tui.config import Config
from hero_tui.start import run_interface

sys.exit(run_interface(RunFolder(Path(sys.argv[1])), Config()))
"""
CHOOSE = """
import sys
from pathlib import Path
from hero_tui.start import choose_and_label

sys.exit(choose_and_label(Path(sys.argv[1]).parent))
"""
COMMAND = """
import sys
from hero_tui.cli import main
sys.argv = ["hero-tui", "attach", sys.argv[1]]
main()
"""
SET = re.compile(rb"\x1b\[\?(\d+)([hl])")
QUESTION = re.compile(rb"\x1b\[([56])n")
ANSWERS = {b"5": b"\x1b[0n", b"6": b"\x1b[5;5R"}


# Who runs the tests by nohup, or in the background, ignores these, and so would its children.
HEARING = "env --default-signal=HUP,INT,QUIT"

# Of the line below the pictures, where nothing was before: later words are written letter by letter
# where they differ from those before.
FIRST_WORDS = (b"page 1/", b"key: good")


class Window:
    """A process in a terminal of 80x24 that answers what it is asked, `late` seconds after.

    `led`: where its streams lead, as a shell has it.
    """

    def __init__(self, folder: RunFolder, script: str, late: float = 0.0, led: str = "") -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(80, 24)
        self._late = late
        self._due: list[tuple[float, bytes]] = []
        self._read_up_to = 0
        self.before = termios.tcgetattr(self.theirs)
        os.set_blocking(self.ours, False)
        environ = {"TERM": "xterm-256color", "XDG_CACHE_HOME": str(folder.path.parent / "cache")}
        self.process = subprocess.Popen(
            [
                "sh",
                "-c",
                f'exec {HEARING} "$@" {led}',
                "sh",
                sys.executable,
                "-c",
                script,
                str(folder.path),
            ],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)} | environ,
            start_new_session=True,
        )
        self.said = b""

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def resize(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, size)

    def resized(self, columns: int, rows: int) -> None:
        """The same, and the process is told: this is not the terminal that controls it."""
        self.resize(columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.said[-2000:].decode("utf-8", "replace")
            self.serve()
            time.sleep(0.01)
        self.serve()

    def until_up(self) -> None:
        self.until(lambda: any(text in self.said for text in FIRST_WORDS))

    def serve(self) -> None:
        """Reads, and answers what is due."""
        try:
            while chunk := os.read(self.ours, 65536):
                self.said += chunk
        except OSError:
            pass
        while asked := QUESTION.search(self.said, self._read_up_to):
            self._read_up_to = asked.end()
            self._due.append((time.monotonic() + self._late, ANSWERS[asked[1]]))
        while self._due and self._due[0][0] <= time.monotonic():
            self.type(self._due.pop(0)[1])

    def ended(self) -> int:
        self.until(lambda: self.process.poll() is not None)
        return int(self.process.returncode)

    def left_behind(self) -> bytes:
        """What the next program would read."""
        os.set_blocking(self.theirs, False)
        cooked = termios.tcgetattr(self.theirs)
        raw = [*cooked[:3], cooked[3] & ~termios.ICANON, *cooked[4:]]
        termios.tcsetattr(self.theirs, termios.TCSANOW, raw)
        try:
            return os.read(self.theirs, 4096)
        except BlockingIOError:
            return b""
        finally:
            termios.tcsetattr(self.theirs, termios.TCSANOW, cooked)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


def assert_given_back(window: Window) -> None:
    modes = dict(SET.findall(window.said))
    on = {number for number, to in modes.items() if to == b"h"}
    assert on <= {b"25", b"7"}, "only the cursor and wrapping are on"
    assert modes[b"25"] == b"h"
    assert {b"1049", b"1000", b"1003", b"1006", b"1004", b"2004"} <= set(modes)
    assert window.said.count(b"\x1b[>25u") == window.said.count(b"\x1b[<u") == 1
    assert termios.tcgetattr(window.theirs)[:4] == window.before[:4]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """A run whose first round of 16 pictures waits for labels, with an engine."""
    folder = make_sampled_run(tmp_path, images=16)
    with engine_lock(folder):
        yield folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was_and_says_how_to_come_back(
    run: RunFolder, number: signal.Signals
) -> None:
    with closing(Window(run, SHOW)) as window:
        window.until_up()
        window.process.send_signal(number)
        assert window.ended() == 128 + number
        assert_given_back(window)
        assert b"Come back with: hero-tui attach " in window.said.split(b"1049l")[1]


def test_so_does_the_list_of_runs(run: RunFolder) -> None:
    with closing(Window(run, CHOOSE)) as window:
        window.until(lambda: b"black-cat-1" in window.said)
        window.process.send_signal(signal.SIGTERM)
        assert window.ended() == 128 + signal.SIGTERM
        assert_given_back(window)


def test_a_signal_while_the_terminal_is_asked_leaves_it_as_it_was(run: RunFolder) -> None:
    ask = "import sys\nfrom hero_tui.config import Config\nimport hero_tui.start as start\n"
    ask += "start.probe = lambda: start_probe(fd=0, limit=60)\n"
    ask = ask.replace("start_probe", "probe") + "from hero_tui.preview.probe import probe\n"
    ask += "start._ask_terminal(Config())"
    with closing(Window(run, ask)) as window:
        window.until(lambda: b"\x1b[c" in window.said)
        window.process.send_signal(signal.SIGTERM)
        assert window.ended() == 128 + signal.SIGTERM
        assert termios.tcgetattr(window.theirs)[:4] == window.before[:4]


def test_no_answer_of_the_terminal_is_left_for_the_shell(run: RunFolder) -> None:
    with closing(Window(run, SHOW, late=0.3)) as window:
        window.until_up()
        window.type(b"  \x11")
        assert window.ended() == 0
        window.until(lambda: not window._due)
        assert window.left_behind() == b""
        assert_given_back(window)


def test_a_terminal_that_does_not_answer_is_not_waited_for(run: RunFolder) -> None:
    with closing(Window(run, SHOW, late=1e9)) as window:
        window.until_up()
        window.type(b"\x11")
        before = time.monotonic()
        assert window.ended() == 0
        assert time.monotonic() - before < 30
        assert_given_back(window)


# -- where the streams lead --------------------------------------------------------------------


def test_the_interface_is_in_the_terminal_though_stderr_is_a_file(
    run: RunFolder, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with closing(Window(run, SHOW, led=f"2> {log}")) as window:
        window.until_up()
        window.type(b"\x11")
        assert window.ended() == 0
        assert_given_back(window)
    assert log.read_bytes().startswith(b"The run goes on without you.")


@pytest.mark.parametrize(
    "led", ["<&-", ">&-", "< /dev/null", "> /dev/null", "<&- >&- 2>&-", "> /dev/null 2>&1"]
)
def test_without_a_terminal_to_read_and_to_write_nothing_is_shown(run: RunFolder, led: str) -> None:
    with closing(Window(run, COMMAND, led=led)) as window:
        assert window.ended() == 2
        assert b"\x1b" not in window.said
        assert (b"there is no terminal to label in" in window.said) == ("2>" not in led)


def test_the_interface_needs_no_standard_error(run: RunFolder) -> None:
    with closing(Window(run, COMMAND, led="2>&-")) as window:
        window.until_up()
        window.type(b"\x11")
        assert window.ended() == 0
        assert_given_back(window)


# -- a window that changes its size --------------------------------------------------------------


@pytest.mark.parametrize(
    "over", [b"", b"\x13", b"?", b":"], ids=["page", "summary", "keys", "palette"]
)
def test_a_storm_of_sizes_leaves_the_interface_alive(run: RunFolder, over: bytes) -> None:
    with closing(Window(run, SHOW)) as window:
        window.until_up()
        window.type(over)
        for size in [(80, 24), (70, 24), (80, 22), (80, 24), (20, 3), (200, 60), (1, 1)] * 8:
            window.resized(*size)
            window.serve()
            time.sleep(0.003)
        window.resized(70, 20)
        window.until(lambda: b"this terminal is 70x20" in window.said)
        window.resized(80, 24)
        window.until(lambda: b"\x1b[24;" in window.said[window.said.rindex(b"70x20") :])
        if over:
            window.type(b"\x1b[27u")
        seen = len(window.said)
        window.type(b"\x0c")
        window.until(lambda: any(text in window.said[seen:] for text in FIRST_WORDS))
        window.type(b"\x11")
        assert window.ended() == 0
        assert_given_back(window)


INTERRUPTED = """
import fcntl, os, signal, struct, termios
from hero_tui.driver import TerminalDriver
measure = TerminalDriver._get_terminal_size

def measure_slowly(driver):
    size = measure(driver)
    if size == (70, 20):
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 75, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
    return size

TerminalDriver._get_terminal_size = measure_slowly
"""


def test_the_last_of_two_sizes_is_the_one_that_counts(run: RunFolder) -> None:
    with closing(Window(run, INTERRUPTED + SHOW)) as window:
        window.until_up()
        window.resized(70, 20)
        window.until(lambda: b"this terminal is" in window.said)
        window.until(lambda: b"75" in window.said.rpartition(b"this terminal is")[2])
        window.type(b"\x11")
        assert window.ended() == 0


def test_a_watch_that_is_over_ends_nothing(tmp_path: Path) -> None:
    """The list of runs had its own watch, and the terminal goes when a run is shown."""
    script = """
import sys, time
from pathlib import Path
from hero_tui.hangup import when_terminal_goes

def keep():
    time.sleep(0.5)
    Path(sys.argv[1], "kept").touch()

with when_terminal_goes(0, lambda: None):
    pass
with when_terminal_goes(0, keep):
    print("up", flush=True)
    time.sleep(60)
"""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(theirs)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    os.close(ours)
    assert process.wait(30) == 128 + signal.SIGHUP
    assert (tmp_path / "kept").exists()
