"""What is printed: nothing from a file is obeyed, columns line up, estimates are sane."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_engine.run.folder import RunFolder
from hero_engine.run.record import Round
from hero_engine.run.text import plain, plain_lines
from hero_tui.headless.progress import seconds_left
from hero_tui.output import table


@given(text=st.text() | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))
def test_plain_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert plain(shown) == shown
    shown.encode("utf-8")


def test_plain_text_is_left_as_it_is() -> None:
    assert plain("Schrödinger's 猫 🐈 [bold]") == "Schrödinger's 猫 🐈 [bold]"
    assert plain("a\x1b[31m\nb\u202e") == r"a\x1b[31m\nb\u202e"
    assert plain_lines("a\x1b\nb") == "a\\x1b\nb"


def test_columns_line_up_with_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    table(["name", "x"], [["猫", "1"], ["abcdef", "2"], ["\x1b", "3"]])
    assert capsys.readouterr().out.splitlines() == [
        "name    x",
        "猫      1",
        "abcdef  2",
        r"\x1b    3",
    ]


def test_a_run_is_named_as_it_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunFolder(tmp_path / "runs" / "a b").reference == "'runs/a b'"
    assert RunFolder(Path("/elsewhere/a")).reference == "/elsewhere/a"


def a_round(number: int, started: float, trained: float | None) -> Round:
    return Round(number, 4, started, None, started + 4.0, None, trained, "")


def test_the_time_left_is_estimated_from_the_rounds_that_are_done() -> None:
    done = [a_round(0, 0.0, 10.0), a_round(1, 10.0, 30.0)]
    assert seconds_left([], 4, now=5.0) is None
    assert seconds_left([a_round(0, 0.0, None)], 4, now=5.0) is None
    assert seconds_left(done, 4, now=30.0) == 30.0
    assert seconds_left([*done, a_round(2, 30.0, None)], 4, now=36.0) == 24.0
    assert seconds_left([*done, a_round(2, 30.0, None)], 4, now=999.0) == 15.0
    assert seconds_left(done, 2, now=40.0) == 0.0
    assert seconds_left(done, 2, now=40.0, to_evaluate=30) == 30.0, "a second a picture"
    assert seconds_left(done, 4, now=30.0, to_evaluate=30) == 60.0
    # Of 30 seconds round 1 has waited 18 for somebody to go on.
    assert seconds_left(done, 4, now=30.0, measured={1: (1.0, 1.0)}) == 12.0
    assert seconds_left(done, 2, now=40.0, to_evaluate=8, measured={1: (1.0, 1.0)}) == 5.0
