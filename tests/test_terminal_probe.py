"""The probe at a pty: right whatever the round trip, and no byte lost or left behind."""

import json
import os
import shutil
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.labels import Labels
from hero_tui.preview.asked import Asked
from hero_tui.preview.decision import Signs
from hero_tui.preview.mute import WEEK, identity, is_mute, set_mute
from hero_tui.preview.probe import probe
from hero_tui.preview.replies import Replies
from tests.fake_terminal import KITTY, MUTE, FakeTerminal
from tests.interface_runs import make_run, sample_round

ROOT = Path(__file__).parents[1]
ENVIRON = {"TERM": "xterm-256color"}
ANSWERED = Replies("kitty(0.35.2)", True, (10, 20), (800, 480), ("62", ""))


@pytest.fixture
def mute(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "mute-terminals.json"


@pytest.mark.parametrize("round_trip", [0.01, 0.15, 0.6])
def test_the_answer_is_right_at_any_round_trip(round_trip: float, mute: Path) -> None:
    with FakeTerminal(KITTY, round_trip, typed=b"e\x1b[A") as terminal:
        before = termios.tcgetattr(terminal.theirs)
        terminal.type(b"1Q\r")
        signs = probe(ENVIRON, terminal.theirs, limit=30, mute=mute)
        assert signs == Signs(ANSWERED, size=(80, 24), typed=b"1Q\re\x1b[A")
        assert terminal.waiting() == b""
        assert termios.tcgetattr(terminal.theirs) == before
    assert not mute.exists()


def test_a_mute_terminal_is_given_up_and_not_waited_for_again(mute: Path) -> None:
    with FakeTerminal(MUTE) as terminal:
        terminal.type(b"12")
        signs = probe(ENVIRON, terminal.theirs, limit=0.05, mute=mute)
        assert signs.replies == Replies()
        assert signs.silence == "it did not answer within 0.05 s"
        assert signs.typed == b"12"
        asked = len(terminal.said)
        terminal.type(b"3")
        # Would be longer than a test may take.
        signs = probe(ENVIRON, terminal.theirs, limit=1000, mute=mute)
        assert signs.silence.startswith("it did not answer lately")
        assert signs.typed == b"3"
        assert b"\x1b[c" not in terminal.said[asked:]
        assert probe(ENVIRON, terminal.theirs, limit=0.05, mute=mute, again=True).silence


def test_a_terminal_that_answers_when_it_is_asked_again_is_no_longer_mute(mute: Path) -> None:
    set_mute(identity(ENVIRON), mute, time.time(), mute=True)
    with FakeTerminal(KITTY) as terminal:
        assert probe(ENVIRON, terminal.theirs, mute=mute).replies == Replies()
        assert probe(ENVIRON, terminal.theirs, limit=30, mute=mute, again=True).replies == ANSWERED
        assert probe(ENVIRON, terminal.theirs, limit=30, mute=mute).replies == ANSWERED


@pytest.mark.parametrize(
    "environ", [{}, {"TERM": "dumb"}, {"TERM": "linux"}, {"TERM_PROGRAM": "Apple_Terminal"}]
)
def test_a_terminal_that_would_print_the_questions_is_not_asked(
    environ: dict[str, str], mute: Path
) -> None:
    with FakeTerminal(KITTY) as terminal:
        assert probe(environ, terminal.theirs, mute=mute).silence.startswith("not asked")
        assert terminal.said == b""


def test_replies_that_somebody_else_asked_for_are_dropped(mute: Path) -> None:
    with FakeTerminal(KITTY) as terminal:
        terminal.type(b"1\x1b[?1;2c2")
        signs = probe(ENVIRON, terminal.theirs, limit=30, mute=mute)
        assert (signs.replies, signs.typed) == (ANSWERED, b"12")


def test_a_key_that_is_half_read_when_the_answer_is_there_is_read_to_its_end(mute: Path) -> None:
    answers = {**KITTY, rb"\x1b\[c": b"\x1b[?62;c\x1b["}
    with FakeTerminal(answers) as terminal:
        rest = threading.Timer(0.02, terminal.type, [b"B"])
        rest.start()
        signs = probe(ENVIRON, terminal.theirs, limit=30, mute=mute)
        rest.join()
        assert signs.typed == b"\x1b[B"


def test_without_a_terminal_nothing_is_asked(tmp_path: Path) -> None:
    code = "from hero_tui.preview.probe import probe; print(probe().silence)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        check=True,
    )
    assert done.stdout == "there is no terminal\n"


@pytest.mark.parametrize("environ", [{"TERM": "screen"}, {"TERM": "xterm", "STY": "1.pts"}])
def test_a_multiplexer_is_not_asked_what_it_would_show_as_a_title(
    environ: dict[str, str], mute: Path
) -> None:
    with FakeTerminal({rb"\x1b\[c": b"\x1b[?1;2c"}) as terminal:
        signs = probe(environ, terminal.theirs, limit=30, mute=mute)
        assert signs.replies == Replies(attributes=("1", "2"))
        assert b"\x1b_G" not in terminal.said


def test_a_terminal_that_was_started_from_tmux_is_asked_everything(mute: Path) -> None:
    environ = {"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}
    with FakeTerminal(KITTY) as terminal:
        assert probe(environ, terminal.theirs, limit=30, mute=mute).replies == ANSWERED


# -- what is remembered ----------------------------------------------------------------------


def test_a_week_is_remembered(mute: Path) -> None:
    set_mute("one", mute, 0.0, mute=True)
    set_mute("two", mute, 5.0, mute=True)
    assert is_mute("one", mute, 10.0)
    assert not is_mute("one", mute, WEEK + 1)
    assert not is_mute("three", mute, 10.0)
    set_mute("three", mute, WEEK + 1, mute=True)
    assert json.loads(mute.read_text()) == {"two": 5.0, "three": WEEK + 1}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"one": "yes"}', "\x00"])
def test_a_damaged_file_is_ignored_and_replaced(damage: str, mute: Path) -> None:
    mute.parent.mkdir()
    mute.write_text(damage)
    assert not is_mute("one", mute, 1.0)
    set_mute("one", mute, 1.0, mute=True)
    assert is_mute("one", mute, 1.0)


def test_a_file_that_cannot_be_written_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    set_mute("one", tmp_path / "file" / "mute.json", 1.0, mute=True)


def test_terminals_are_told_apart() -> None:
    seen = {
        identity(ENVIRON),
        identity(ENVIRON | {"TERM_PROGRAM": "vscode"}),
        identity(ENVIRON | {"TMUX": "/tmp/tmux-0/default,1,0"}),
        identity(ENVIRON | {"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}),
        identity(ENVIRON | {"SSH_CONNECTION": "10.0.0.9 5000 10.0.0.2 22"}),
    }
    assert len(seen) == 5
    again = ENVIRON | {"SSH_CONNECTION": "10.0.0.9 6000 10.0.0.2 22"}
    assert identity(again) in seen


# -- what comes early, and late -----------------------------------------------------------------


def test_a_reply_that_is_cut_by_the_end_of_waiting_is_left_to_who_reads_on(mute: Path) -> None:
    with FakeTerminal(MUTE) as terminal:
        terminal.type(b"1\x1bP>|kit")
        assert probe(ENVIRON, terminal.theirs, limit=0.05, mute=mute).typed == b"1\x1bP>|kit"


def test_a_terminal_that_answers_late_is_believed_and_no_longer_mute(mute: Path) -> None:
    with FakeTerminal(MUTE) as terminal:
        signs = probe(ENVIRON, terminal.theirs, limit=0.05, mute=mute)
    asked = Asked(signs, environ=ENVIRON, mute=mute)
    assert asked.terminal().protocol != "kitty"
    assert is_mute(identity(ENVIRON), mute, time.time())
    found = asked.answered(ANSWERED)
    assert found is not None
    assert (found.protocol, found.cell) == ("kitty", (10, 20))
    assert not is_mute(identity(ENVIRON), mute, time.time())
    assert asked.answered(ANSWERED) is None  # nobody waits any more


def test_a_terminal_that_answers_anything_is_asked_the_next_time(mute: Path) -> None:
    set_mute(identity(ENVIRON), mute, time.time(), mute=True)
    asked = Asked(Signs(unanswered=identity(ENVIRON)), environ=ENVIRON, mute=mute)
    asked.is_there()
    assert not is_mute(identity(ENVIRON), mute, time.time())


def test_textual_is_not_imported_before_its_colours_are_known() -> None:
    code = """
import sys
import hero_tui.cli, hero_tui.start, hero_tui.headless.labelers, hero_engine.run.resolve
print(sorted({"textual", "PIL", "term_image", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "[]\n"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_keys_typed_while_the_terminal_is_asked_move_and_label_nothing(tmp_path: Path) -> None:
    folder = make_run(tmp_path, images=16)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
    with engine_lock(folder), FakeTerminal(KITTY, 0.15, typed=b" E") as terminal:
        terminal.type(b"2")
        process = started(terminal, folder, tmp_path)
        until(lambda: b"Nothing was changed" in terminal.said)
        assert labels(folder) == Labels()

        def labelled() -> bool:
            # The cursor is where a key would have labelled; M labels it as often as it is pressed.
            # At this pace it is not held down.
            terminal.type(b"M")
            time.sleep(0.5)
            return labels(folder) == Labels.of([14])

        until(labelled)
        terminal.type(b"\x11")
        assert process.wait(60) == 0
        assert b"38;2;" in terminal.said  # true colour, though TERM and COLORTERM do not say so
    assert labels(folder) == Labels.of([14])


@pytest.mark.slow
@pytest.mark.parametrize("column", [2, 3])
def test_in_a_locale_without_utf8_the_terminal_decides(column: int, tmp_path: Path) -> None:
    folder = make_run(tmp_path, images=8)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
    answers = {rb"\x1b\[c": b"\x1b[?62;c", rb"\xc3\xb1\x1b\[6n": b"\x1b[9;%dR" % column}
    with engine_lock(folder), FakeTerminal(answers) as terminal:
        process = started(terminal, folder, tmp_path, PYTHONIOENCODING="latin-1", LANG="de_DE")
        if column == 3:
            assert process.wait(60) == 2
            assert b"does not take UTF-8 (the locale is " in terminal.said
            assert "▀".encode() not in terminal.said
            return
        until(lambda: "▀".encode() in terminal.said)
        terminal.type(b"\x11")
        assert process.wait(60) == 0
        assert rb"\u25" not in terminal.said


def labels(folder: RunFolder) -> Labels:
    with closing(folder.open_record()) as record:
        return record.labels(0)


def started(
    terminal: FakeTerminal, folder: RunFolder, cache: Path, **more: str
) -> "subprocess.Popen[bytes]":
    """`hero-tui attach` with the terminal as the one that controls it."""
    code = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from hero_tui.cli import main
sys.argv = ["hero-tui", "attach", sys.argv[1]]
main()
"""
    telling = ("COLORTERM", "TEXTUAL_COLOR_SYSTEM", "NO_COLOR", "TMUX", "STY", "TERM_PROGRAM")
    environ = {name: value for name, value in os.environ.items() if name not in telling}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)],
        stdin=terminal.theirs,
        stdout=terminal.theirs,
        stderr=terminal.theirs,
        cwd=ROOT,
        env=environ | {"TERM": "xterm-256color", "XDG_CACHE_HOME": str(cache)} | more,
        start_new_session=True,
    )


# -- tmux --------------------------------------------------------------------------------------

IN_TMUX = """
import os, sys
from pathlib import Path
from hero_tui.preview.decision import decide
from hero_tui.preview.probe import probe
found = decide(probe(mute=Path(sys.argv[1]).with_name("mute.json")), os.environ)
Path(sys.argv[1]).with_name("writing").write_text(f"{found.protocol} {found.cell} {found.name}")
Path(sys.argv[1]).with_name("writing").rename(sys.argv[1])
"""


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.parametrize(
    ("passthrough", "found"),
    [("on", "kitty (10, 20) kitty(0.35.2)"), ("off", "sextants (10, 20) kitty(0.35.2)")],
)
def test_in_tmux_the_terminal_behind_it_is_asked(
    passthrough: str, found: str, tmp_path: Path
) -> None:
    result, script = tmp_path / "result", tmp_path / "script.py"
    script.write_text(IN_TMUX)
    configuration = tmp_path / "tmux.conf"
    configuration.write_text(f"set -g allow-passthrough {passthrough}\nset -g exit-empty on\n")
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", str(configuration)]
    environ = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
    with FakeTerminal(KITTY, 0.05) as terminal:
        process = subprocess.Popen(
            [*tmux, "new-session", f"{sys.executable} {script} {result}"],
            stdin=terminal.theirs,
            stdout=terminal.theirs,
            stderr=terminal.theirs,
            env=environ | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        try:
            until(result.exists)
        finally:
            subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)
            process.wait(60)
    assert result.read_text() == found
