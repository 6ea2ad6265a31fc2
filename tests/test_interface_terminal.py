"""The interface as a process in a pseudo-terminal: its exit code, and what a kill -9 leaves."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.labels import Labels
from tests.interface_runs import make_sampled_run

SCRIPT = """
import sys
from pathlib import Path
from hero_engine.run.folder import RunFolder
from hero_tui.config import Config
from hero_tui.start import run_interface

sys.exit(run_interface(RunFolder(Path(sys.argv[1])), Config()))
"""
# Of keys that are no sooner typed than their pictures are shown, other tests tell.
BLIND = """
from hero_tui.screens.run_screen import RunFollower
RunFollower.in_time = lambda *_: True
"""

pytestmark = pytest.mark.slow


class Terminal:
    """A process in an 80x24 terminal that types and reads."""

    def __init__(self, folder: RunFolder, script: str = SCRIPT) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(self._ours, False)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder.path)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
            # As under `nohup`: nothing but the terminal's end tells it of its end.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        os.close(theirs)
        self.said = b""

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.said[-2000:].decode("utf-8", "replace")
            self._read()
            time.sleep(0.02)
        self._read()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._ours, 65536):
                self.said += chunk
        except OSError:  # nothing to read, or the process has closed its side
            return

    def hang_up(self) -> None:
        """Closes the terminal."""
        os.close(self._ours)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose first round, two pages of 8 pictures, waits for labels."""
    return make_sampled_run(tmp_path, images=16)


def labels(run: RunFolder) -> Labels:
    with closing(run.open_record()) as record:
        return record.labels(0)


def test_a_killed_interface_loses_no_label_and_the_next_one_goes_on(run: RunFolder) -> None:
    with engine_lock(run):
        terminal = Terminal(run, BLIND + SCRIPT)
        terminal.until(lambda: b"waiting for labels" in terminal.said)
        terminal.type(b"1eiWiW")  # all at once, as over a slow connection
        terminal.until(lambda: labels(run) == Labels.of([0, 5, 6], 5))
        terminal.type(b" ")
        terminal.until(lambda: (run.path / "interface-0.lock").read_bytes() == b"0 0 8")
        terminal.close()
        assert labels(run) == Labels.of([0, 5, 6], 5)

        terminal = Terminal(run)
        terminal.until(lambda: b"3 good" in terminal.said)
        terminal.until(lambda: b"page 2/2" in terminal.said)
        assert b"page 1/2" not in terminal.said
        terminal.type(b"u")
        terminal.until(lambda: labels(run) == Labels.of([0, 6]))
        terminal.type(b"\x11")
        terminal.until(lambda: terminal.process.poll() is not None)
        assert terminal.process.returncode == 0
        assert f"Come back with: hero-tui attach {run.reference}".encode() in terminal.said
        terminal.close()


def test_the_first_picture_is_shown_without_torch(run: RunFolder) -> None:
    heavy = "{'torch', 'diffusers', 'transformers', 'peft'}"
    script = SCRIPT.replace("sys.exit(", "code = ").rstrip().removesuffix(")")
    script += f"\nsys.exit(code or 90 * bool({heavy} & set(sys.modules)))"
    with engine_lock(run), closing(Terminal(run, script)) as terminal:
        terminal.until(lambda: "▀".encode() in terminal.said or "▄".encode() in terminal.said)
        terminal.type(b"\x11")
        terminal.until(lambda: terminal.process.poll() is not None)
        assert terminal.process.returncode == 0


def test_an_interface_whose_terminal_has_gone_keeps_its_labels_and_ends(run: RunFolder) -> None:
    with engine_lock(run):
        terminal = Terminal(run, BLIND + SCRIPT)
        terminal.until(lambda: b"waiting for labels" in terminal.said)
        terminal.type(b"1eW")
        terminal.until(lambda: labels(run) == Labels.of([0, 5, 6], 5))
        terminal.hang_up()
        assert terminal.process.wait(timeout=30) == 128 + signal.SIGHUP
        assert labels(run) == Labels.of([0, 5, 6], 5)


def test_leaving_a_paused_run_is_exit_code_3(run: RunFolder) -> None:
    with engine_lock(run):
        terminal = Terminal(run)
        terminal.until(lambda: b"waiting for labels" in terminal.said)
        with closing(run.open_record()) as record:
            record.set_state("paused")
    terminal.until(lambda: b"Paused" in terminal.said)
    terminal.type(b"\x11")
    terminal.until(lambda: terminal.process.poll() is not None)
    assert terminal.process.returncode == 3
    terminal.close()
