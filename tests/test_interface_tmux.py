"""A stranger's first round in tmux, on the embedded model, labelled and submitted by keys."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.run.folder import list_runs
from hero_engine.run.labels import Labels
from hero_engine.run.process import stop_engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux"),
]

SETTINGS = (
    "feedback.batch_size=8", "feedback.rounds=2", "sampling.steps=4", "update.k=2",
    "update.optimizer_steps=1",
)  # fmt: skip


class Tmux:
    """A tmux server of its own with one window, in which a command runs."""

    def __init__(self, socket: Path, command: str) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", os.devnull]
        self._do("new-session", "-d", "-s", "test", "-x", "80", "-y", "25", command)

    def _do(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def type(self, *keys: str) -> None:
        """Types as a person does: not in the same moment as what the keys are for comes."""
        time.sleep(0.5)
        self._do("send-keys", "-t", "test", *keys)

    def shown(self) -> str:
        return self._do("capture-pane", "-p", "-t", "test")

    def until(self, condition: Callable[[str], object]) -> None:
        deadline = time.monotonic() + 120
        while not condition(said := self.shown()):
            assert time.monotonic() < deadline, said
            time.sleep(0.05)

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True, timeout=30)


@pytest.fixture
def tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tmux]:
    for name in ("TMUX", "SSH_CONNECTION", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HERO_TUI_CONFIG", str(tmp_path / "none.yaml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    arguments = ["run", "black-cat", "--model", "embedded", "--runs-dir", str(tmp_path / "runs")]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    command = shlex.join([sys.executable, "-m", "hero_tui", *arguments])
    with closing(Tmux(tmp_path / "tmux", f"{command}; echo ended with $?; cat")) as tmux:
        yield tmux
    for folder in list_runs(tmp_path / "runs"):
        stop_engine(folder)


def all_drawn(said: str) -> bool:
    """Whether no line of a picture is blank, of two rows of four in 80x24."""
    lines = [line.ljust(80) for line in said.splitlines()]
    return all(
        "▀" in line[column : column + 20]
        for line in lines[3:12] + lines[13:22]
        for column in range(0, 80, 20)
    )


def test_a_round_is_labelled_and_submitted_by_keys_in_tmux(tmux: Tmux, tmp_path: Path) -> None:
    tmux.until(lambda said: "key: good, shift: best" in said and all_drawn(said))
    tmux.type("1", "W", "r")
    tmux.until(lambda said: "★ best" in said and "✓ good" in said and "3 good" in said)
    tmux.type("u")
    tmux.until(lambda said: "2 good" in said)
    tmux.until(lambda said: "waiting for labels" in said)
    tmux.type("C-s")
    tmux.until(lambda said: "submits. Labels cannot be changed after." in said)
    tmux.type("Enter")
    tmux.until(lambda said: "Round 0: 2 good of 8 (25%), the best is 5" in said)
    (run,) = list_runs(tmp_path / "runs")
    with closing(run.open_record()) as record:
        assert record.labels(0) == Labels.of([0, 5], 5)
        assert record.rounds()[0].submitted is not None
    tmux.until(lambda said: "round 1 (2 of 2)" in said and "page 1/1" in said)
    tmux.type("C-q")
    tmux.until(lambda said: "ended with 0" in said and "hero-tui attach" in said)
