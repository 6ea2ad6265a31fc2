"""What a terminal sends: whatever it says itself, whenever and however cut, only keys are keys."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from textual import events

from hero_tui import driver
from hero_tui.driver import InputParser
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
    before, driver.time = driver.time, clock  # type: ignore[assignment]
    found: list[object] = []
    try:
        parser = InputParser()
        if patient:
            parser.cutter.delay = 1.0
        for text, pause in feed:
            found += parser.feed(text)
            clock.now += pause
            found += parser.tick()
        clock.now += 2 * STALE
        found += parser.tick()
    finally:
        driver.time = before
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
