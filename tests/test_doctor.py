"""`hero-tui doctor`: what was found, from what, and what to change."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hero_engine.errors import InputError
from hero_tui import doctor
from hero_tui.doctor import advice, facts
from hero_tui.preview.decision import Signs, Tmux, decide
from hero_tui.preview.replies import Replies
from hero_tui.preview.terminal import Images, Keep
from tests.fake_terminal import KITTY, FakeTerminal

ROOT = Path(__file__).parents[1]
XTERM = {"TERM": "xterm-256color"}
TMUX = {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"}
LARGE = (200, 60)
FOOT = Signs(Replies("foot(1.16.2)", cell=(10, 20), attributes=("62", "4")), size=LARGE)
XTERM_WITH_SIXELS = Signs(Replies("XTerm(379)", attributes=("63", "4")), size=LARGE)
VTE = Signs(Replies("VTE(7600)", attributes=("65", "1")), size=LARGE)
XTERM_379 = Signs(Replies("XTerm(379)", attributes=("64",)), size=LARGE)
IN_TMUX = Signs(Replies("tmux 3.4", attributes=("1", "2")), size=LARGE)


def kitty(version: str) -> Replies:
    return Replies(f"kitty({version})", True, (10, 20), attributes=("62",))


def advised(signs: Signs, environ: dict[str, str], images: Images = "auto") -> str:
    return "\n".join(advice(signs, decide(signs, environ, images), environ))


def test_nothing_is_to_be_changed_where_all_is_at_its_best() -> None:
    assert advised(FOOT, XTERM) == ""


@pytest.mark.parametrize(
    ("signs", "environ", "said"),
    [
        (replace(FOOT, size=(79, 24)), XTERM, "at least 80x24"),
        (replace(FOOT, size=(80, 24)), XTERM, "200x60"),
        (FOOT, XTERM | {"SSH_CONNECTION": "a 1 b 2"}, "ssh -C"),
        (XTERM_WITH_SIXELS, XTERM, "`allowWindowOps: true`"),
        (VTE, XTERM, "kitty, Ghostty"),
        (Signs(size=LARGE, silence="mute"), XTERM, "export COLORTERM=truecolor"),
        (Signs(size=LARGE, silence="mute"), XTERM, "--images"),
        (Signs(size=LARGE), XTERM | {"TERM_PROGRAM": "vscode"}, "terminal.integrated.enableImages"),
        (Signs(Replies("Konsole 23"), size=LARGE), XTERM, "--images sixel"),
        (Signs(size=LARGE), {"TERM": "screen"}, "use tmux over SSH"),
        (replace(IN_TMUX, tmux=Tmux(False)), TMUX, "set -g allow-passthrough on"),
        (replace(IN_TMUX, behind=FOOT.replies), TMUX, "outside it, sixel works"),
        (
            replace(IN_TMUX, behind=kitty("0.26.5")),
            TMUX,
            "kitty shows pictures from its version 0.28",
        ),
        (replace(IN_TMUX, tmux=Tmux(True, client="xterm")), TMUX, "terminal-features ',*:RGB'"),
        (Signs(silence="there is no terminal"), {}, "there is no terminal"),
    ],
)
def test_a_line_says_what_to_change(signs: Signs, environ: dict[str, str], said: str) -> None:
    assert said in advised(signs, environ)


def test_who_chose_is_told_what_would_be_found() -> None:
    assert "`--images auto` shows pictures by sixel" in advised(FOOT, XTERM, "blocks")
    assert "`--images auto` shows pictures by sextants" in advised(VTE, XTERM, "quadrants")
    assert "Nothing says that octants works here" in advised(VTE, XTERM, "octants")
    assert "Nothing says that kitty works here" in advised(FOOT, XTERM, "kitty")
    assert advised(FOOT, XTERM, "sixel") == ""


def test_no_color_is_no_fault() -> None:
    assert advised(FOOT, XTERM | {"NO_COLOR": "1"}) == ""


def test_true_colour_that_tmux_keeps_needs_no_change() -> None:
    tmux = replace(IN_TMUX, tmux=Tmux(False, frozenset({"RGB"}), "xterm"))
    assert "RGB" not in advised(tmux, TMUX)


def test_the_facts_are_a_value_each(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    found = dict(facts(FOOT, decide(FOOT, XTERM), XTERM, path))
    assert found["window"] == "200x60 cells of 10x20 pixels"
    assert found["pictures"] == "sixel"
    assert found["connection"] == "local"
    assert found["preferences"] == f"{path} (not written yet)"
    path.touch()
    assert dict(facts(FOOT, decide(FOOT, XTERM), XTERM, path))["preferences"] == str(path)


def test_what_a_terminal_says_is_shown_and_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "evil \x9b31m[bold]\u202e"
    monkeypatch.setattr(doctor, "probe", lambda *_, **__: Signs(Replies(name), size=LARGE))
    doctor.examine(None, tmp_path, XTERM | {"HERO_TUI_CONFIG": str(tmp_path / "\x1b[31m.yaml")})
    said = capsys.readouterr().out
    assert r"evil \x9b31m[bold]\u202e" in said
    assert r"\x1b[31m.yaml" in said
    assert not set(said) & set("\x1b\x9b\u202e")


def test_runs_on_a_file_system_that_machines_share_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "probe", lambda *_, **__: FOOT)
    environ = XTERM | {"HERO_TUI_CONFIG": str(tmp_path / "config.yaml")}
    for kind, said in ((None, f"{tmp_path}\n"), ("nfs4", f"{tmp_path}, on nfs4, which machines")):
        monkeypatch.setattr(doctor, "shared_file_system", lambda path, kind=kind: kind)
        doctor.examine(None, tmp_path, environ)
        assert said in capsys.readouterr().out


def test_a_mistake_in_the_preferences_is_one_of_the_things_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("images: chafa\n")
    monkeypatch.setattr(doctor, "probe", lambda *_, **__: FOOT)
    doctor.examine(None, tmp_path, XTERM | {"HERO_TUI_CONFIG": str(path)})
    assert f"{path}: images: Input should be" in capsys.readouterr().out


def command(terminal: int, tmp_path: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """`hero-tui doctor` on the terminal, or on a pipe if it is subprocess.PIPE."""
    code = """
import fcntl, sys, termios
if sys.stdin.isatty():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from hero_tui.cli import main
sys.argv[0] = "hero-tui"
main()
"""
    folders = {f"XDG_{kind}_HOME": str(tmp_path) for kind in ("CACHE", "CONFIG")}
    return subprocess.Popen(
        [sys.executable, "-c", code, "doctor", "--model", "embedded", *arguments],
        stdin=terminal,
        stdout=terminal,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **XTERM, **folders},
        start_new_session=True,
    )


@pytest.mark.slow
def test_without_a_terminal_it_prints_what_it_can(tmp_path: Path) -> None:
    process = command(subprocess.PIPE, tmp_path)
    said = process.communicate()[0].decode()
    assert process.returncode == 0
    assert "there is no terminal" in said
    assert "No picture" in said
    assert "config.yaml (not written yet)" in said
    assert said.index("The engine") < said.index("embedded: StableDiffusionPipeline")
    assert "\x1b" not in said


@pytest.mark.slow
def test_in_a_terminal_it_asks_and_shows_a_picture_in_each_kind_of_text(tmp_path: Path) -> None:
    with FakeTerminal(KITTY) as terminal:
        assert command(terminal.theirs, tmp_path, "--images", "block").wait(200) == 0
        assert terminal.waiting() == b""
        said = terminal.said.decode()
    assert "kitty(0.35.2)" in said
    assert "pictures: blocks; asked for by --images" in said
    shown = said[said.index("As text") :]
    titles = [shown.index(mosaic) for mosaic in ("blocks", "quadrants", "sextants", "octants")]
    assert titles == sorted(titles)
    for first, last in (
        ("▀", "▀"),
        ("▖", "▟"),
        ("\U0001fb00", "\U0001fb3b"),
        ("\U0001cd00", "\U0001cde5"),
    ):
        assert sum(first <= character <= last for character in shown) > 20
    assert "\x1b[38;2;" in shown
    assert "hero-tui doctor --keep sextants" in shown


@pytest.mark.slow
def test_the_protocol_that_was_found_shows_the_picture_too(tmp_path: Path) -> None:
    with FakeTerminal(KITTY) as terminal:
        assert command(terminal.theirs, tmp_path).wait(200) == 0
        assert terminal.waiting() == b""
        said = terminal.said.decode()
    assert "pictures: kitty" in said
    assert said.index("By kitty") < said.index("a=t,i=") < said.index("a=p,i=")
    assert said.index("a=p,i=") < said.index("sextants")


def test_what_is_kept_is_found_again_in_that_kind_of_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = XTERM | {"HERO_TUI_CONFIG": str(tmp_path / "config.yaml")}

    def pictures(signs: Signs, keep: Keep | None = None) -> str:
        monkeypatch.setattr(doctor, "probe", lambda *_, **__: signs)
        doctor.examine(None, tmp_path, environ, keep)
        return next(
            line for line in capsys.readouterr().out.splitlines() if line.startswith("  pictures: ")
        )

    assert "quadrants; " in pictures(XTERM_379)
    assert "octants; " in pictures(XTERM_379, "octants")
    assert "octants; no sign of a graphics protocol, and kept for XTerm" in pictures(XTERM_379)
    assert "sextants; " in pictures(VTE)
    assert "quadrants; " in pictures(XTERM_379, "auto")


def test_nothing_is_kept_where_there_is_no_terminal_or_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "probe", lambda *_, **__: Signs(silence="there is no terminal"))
    with pytest.raises(InputError, match="--keep sextants: there is no terminal; run this in"):
        doctor.examine(None, tmp_path, XTERM, "sextants")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(doctor, "probe", lambda *_, **__: VTE)
    with pytest.raises(InputError, match=r"--keep sextants: .*file"):
        doctor.examine(None, tmp_path, XTERM, "sextants")
