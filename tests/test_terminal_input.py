"""What a terminal sends: whatever it says itself, whenever and however cut, only keys are keys."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from hero_tui import driver
from hero_tui.driver import InputParser, Said
from hero_tui.keyboard import KeyPress, about
from hero_tui.sequences import STALE

REPLIES = (
    "\x1bP>|kitty(0.35.2)\x1b\\",
    "\x1bP>|XTerm(379)\x1b\\",
    "\x1bP!|7E565445\x1b\\",
    "\x1bP1$r0m\x1b\\",
    "\x1bP1+r5463=3234\x1b\\",
    "\x1b_Gi=31;OK\x1b\\",
    "\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\",
    "\x1b[6;20;10t",
    "\x1b[4;480;800t",
    "\x1b[8;24;80t",
    "\x1b[?62;4;22c",
    "\x1b[?1;2c",
    "\x1b[>1;4000;35c",
    "\x1b[0n",
    "\x1b[?997;1n",
    "\x1b[12;40R",
    "\x1b[?12;40;1R",
    "\x1b[?2026;2$y",
    "\x1b[?2048;0$y",
    "\x1b[?1;0;256S",
    "\x1b[?31u",
    "\x1b[I",
    "\x1b[O",
    "\x1b[48;24;80;480;800t",
    "\x1b]11;rgb:1414/1616/1f1f\x1b\\",
    "\x1b]10;rgb:c0c0/caca/f5f5\x07",
    "\x1b]4;1;rgb:ffff/0000/0000\x07",
    "\x1b]52;c;cXdlcmFzZGY=\x07",
    "\x1b]lq1w2e3r4\x1b\\",
    "\x1b]1337;ReportCellSize=20.0;10.0\x1b\\",
    "\x1b[M qw",
    "\x1b[<0;20;10M\x1b[<0;20;10m",
    "\x1b[<64;20;10M",
)
KEYS = {
    "1": "1",
    "Q": "Q",
    " ": "space",
    "\r": "enter",
    "\x11": "ctrl+q",
    "\x7f": "backspace",
    "\x1b[A": "up",
    "\x1b[1;2C": "shift+right",
    "\x1bOB": "down",
    "\x1b[6~": "pagedown",
    "\x1bx": "alt+x",
    "\x1b[113;;113u": "q",
    "\x1b[115;5u": "ctrl+s",
    "é": "é",
}
Feed = list[tuple[str, float]]
Case = tuple[Feed, list[str]]


class Clock:
    """Stands in for `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def read(feed: Iterable[tuple[str, float]], patient: bool = False) -> list[object]:
    """The events that come of texts, each with the seconds that pass after it."""
    clock = Clock()
    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "time", clock)
        parser = InputParser()
        if patient:
            parser.cutter.delay = 1.0
        for text, pause in feed:
            found += parser.feed(text)
            clock.now += pause
            found += parser.tick()
        clock.now += 2 * STALE
        found += parser.tick()
    return found


def keys(found: Iterable[object]) -> list[str]:
    return [each.key for each in found if isinstance(each, events.Key)]


@st.composite
def streams(draw: st.DrawFn, most_pause: float) -> Case:
    """Keys and replies in any order, cut anywhere, with pauses; and the keys."""
    pieces = draw(st.lists(st.sampled_from([*REPLIES, *REPLIES, *KEYS]), min_size=1, max_size=12))
    text = "".join(pieces)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    pauses = st.sampled_from([0.0, 0.01, most_pause])
    return [(part, draw(pauses)) for part in parts], [KEYS[each] for each in pieces if each in KEYS]


@given(streams(most_pause=0.8))
def test_nothing_that_a_terminal_says_is_a_key_and_no_key_is_lost(
    case: tuple[Feed, list[str]],
) -> None:
    feed, typed = case
    assert keys(read(feed, patient=True)) == typed


@given(streams(most_pause=STALE / 2))
def test_over_a_link_that_stands_still_no_label_comes_of_a_reply(
    case: tuple[Feed, list[str]],
) -> None:
    # A pause within ESC and what follows it is a key escape, which labels nothing; one within a
    # key of several characters may cost that key.
    feed, typed = case
    labels = [key for key in keys(read(feed)) if key in ("1", "Q", "q", "é")]
    assert labels == [key for key in typed if key in ("1", "Q", "q", "é")]


# -- keyboards -----------------------------------------------------------------------------------


def pressed(*feed: str | tuple[str, float]) -> list[KeyPress]:
    timed = [(each, 0.0) if isinstance(each, str) else each for each in feed]
    return [each for each in read(timed) if isinstance(each, KeyPress)]


@pytest.mark.parametrize(
    ("sent", "key", "base", "character"),
    [
        ("\x1b[1081::113;;1081u", "й", "q", "й"),
        ("\x1b[1081:1049:113;2;1049u", "Й", "Q", "Й"),
        ("\x1b[1081::113;65;1049u", "й", "q", "Й"),  # CapsLock
        ("\x1b[1081::113;5u", "ctrl+й", "ctrl+q", None),
        ("\x1b[1102::46;;1102u", "ю", ".", "ю"),
        ("\x1b[1637::53;;1637u", "\u0665", "5", "\u0665"),
        ("\x1b[945::97;;945u", "\u03b1", "a", "\u03b1"),
        # Latin letters are where their keyboard has them.
        ("\x1b[97::113;;97u", "a", None, "a"),
        ("\x1b[233::50;;233u", "é", None, "é"),
        ("\x1b[186::96;;186u", "º", None, "º"),
    ],
)
def test_a_key_of_another_script_has_its_place_on_the_latin_layout(
    sent: str, key: str, base: str | None, character: str | None
) -> None:
    (press,) = pressed(sent)
    assert (press.key, press.base, press.character) == (key, base, character)


@pytest.mark.parametrize(
    ("sent", "key", "character"),
    [
        ("\x1b[119;;119u", "w", "w"),
        ("\x1b[119;65;87u", "w", "W"),  # CapsLock
        ("\x1b[119:87;66;119u", "W", "w"),  # CapsLock and shift
        ("\x1b[119:87;2;87u", "W", "W"),
        ("\x1b[119:87;2u", "W", "W"),  # a terminal that sends no text
        ("\x1b[119;69u", "ctrl+w", None),
        ("\x1b[49;65;49u", "1", "1"),
        ("\x1b[101;;8364u", "euro_sign", "€"),  # AltGr
        ("\x1b[57441;2u", "left_shift", None),
    ],
)
def test_caps_lock_is_no_shift(sent: str, key: str, character: str | None) -> None:
    (press,) = pressed(sent)
    assert (press.key, press.character) == (key, character)


def test_the_protocol_says_what_is_a_repeat_and_what_is_let_go() -> None:
    held = ["\x1b[49;;49u", "\x1b[49;1:2;49u", "\x1b[49;1:2;49u", "\x1b[49;1:3u", "\x1b[49;;49u"]
    assert [press.repeats for press in pressed(*held)] == [0, 1, 1, 0]
    assert [(press.key, press.repeats) for press in pressed("\x1b[1;1:2A", "\x1b[1;1:3A")] == [
        ("up", 1)
    ]


@pytest.mark.parametrize("pace", [0.0, 0.025, 0.033, 0.092])
def test_elsewhere_a_held_key_is_told_by_its_pace(pace: float) -> None:
    held = [("1", 0.5), *[("1", pace)] * 6, ("1", 1.0), ("1", 0.0)]
    assert [press.repeats for press in pressed(*held)] == [0, 0, 2, 1, 1, 1, 1, 1, 0]
    assert [press.repeats for press in pressed("111")] == [0, 1, 1]  # in one burst


def test_a_key_that_is_pressed_twice_is_no_held_key() -> None:
    assert [press.repeats for press in pressed(("1", 0.2), ("1", 0.2), ("1", 0.2))] == [0, 0, 0]
    assert [press.repeats for press in pressed("1", "2", "1", "2")] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (events.Key("й", "й"), "switch it to Latin letters"),
        (events.Key("ctrl+й", None), "switch it to Latin letters"),
        (events.Key("ש", "ש"), "switch it to Latin letters"),
        (events.Key("U", "U"), "U does nothing, u does: is CapsLock on?"),
        (events.Key("é", "é"), None),
        (events.Key("y", "y"), None),
        (events.Key("u", "u"), None),
        (events.Key("left_shift", None), None),
    ],
)
def test_a_key_that_does_nothing_is_explained_where_something_else_was_meant(
    key: events.Key, said: str | None
) -> None:
    problem = about(key, {"u", "q", "ctrl+q"})
    assert problem is None if said is None else said in str(problem)


# -- the mouse, and the rest -------------------------------------------------------------------

CLICK = "\x1b[<0;20;10M\x1b[<0;20;10m"


def clicks(*feed: tuple[str, float]) -> int:
    return sum(isinstance(each, events.MouseDown) for each in read(feed))


def test_the_click_that_focuses_the_window_is_none() -> None:
    assert clicks((CLICK, 0.0)) == 1
    assert clicks(("\x1b[O", 5.0), ("\x1b[I", 0.01), (CLICK, 0.0)) == 0
    assert clicks(("\x1b[O", 5.0), (CLICK, 0.0), ("\x1b[I", 0.0)) == 0
    assert clicks(("\x1b[O", 5.0), ("\x1b[I", 0.01), (CLICK, 0.5), (CLICK, 0.0)) == 1
    assert clicks(("\x1b[O", 5.0), ("\x1b[I", 1.0), (CLICK, 0.0)) == 1
    assert (
        clicks(("\x1b[O", 5.0), (CLICK, 1.0), (CLICK, 0.0)) == 1
    )  # it does not say that it has it
    up = [
        each for each in read([("\x1b[O\x1b[I" + CLICK, 0.0)]) if isinstance(each, events.MouseUp)
    ]
    assert up == []


def test_a_paste_is_no_keys_and_eight_bit_controls_are_controls() -> None:
    found = read([("\x1b[200~12", 0.2), ("q\x1b[31m\x1b[20", 0.2), ("1~3", 0.0)])
    assert [each.text for each in found if isinstance(each, events.Paste)] == ["12q\x1b[31m"]
    assert keys(found) == ["3"]
    sent = b"1\x9b?62;4c\x90>|XTerm(379)\x9c2".decode("utf-8", "surrogateescape")
    assert keys(read([(sent, 0.0)])) == ["1", "2"]


def test_what_the_terminal_says_is_passed_on_whole() -> None:
    found = read([("\x1bP>|kit", 0.5), ("ty(0.35.2)\x1b", 0.5), ("\\\x1b[?62;4", 0.5), ("c", 0.0)])
    said = "".join(each.text for each in found if isinstance(each, Said))
    assert said == "\x1bP>|kitty(0.35.2)\x1b\\\x1b[?62;4c"


@pytest.mark.parametrize(
    "broken", ["\x1b[12\r", "\x1bP>|kit\r", "\x1b]11;rgb\x1b[", "\x1b[99999999u"]
)
def test_a_sequence_that_breaks_off_costs_nothing_but_itself(broken: str) -> None:
    found = keys(read([(broken, 2 * STALE), ("1", 0.0)]))
    assert found[-1] == "1"
    assert set(found) <= {"enter", "1"}


@given(st.lists(st.text("\x1b\x9b\udc9b[]P_OM;:?<>$ 0123456789utRmcyq~\\\x07\r\x18é", max_size=20)))
def test_no_input_is_too_odd(texts: list[str]) -> None:
    read([(text, 0.2) for text in texts])
