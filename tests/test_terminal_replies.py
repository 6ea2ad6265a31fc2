"""Replies of a terminal are told from keys, however they are cut and mixed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_tui.preview.replies import Replies, ends_unfinished, read_replies, through_tmux

VERSION = b"\x1bP>|kitty(0.35.2)\x1b\\"
GRAPHICS = b"\x1b_Gi=31;OK\x1b\\"
CELL = b"\x1b[6;20;10t"
WINDOW = b"\x1b[4;480;800t"
ATTRIBUTES = b"\x1b[?62;4;22c"
ALL = Replies("kitty(0.35.2)", True, (10, 20), (800, 480), ("62", "4", "22"))

keys = st.lists(
    st.sampled_from(
        [b"1", b"Q", b" ", b"\r", b"\x11", b"\x1b[A", b"\x1b[6~", b"\x1bb", b"\x1bOP", "é".encode()]
    ),
    max_size=4,
).map(b"".join)


@given(typed=st.lists(keys, min_size=6, max_size=6))
def test_keys_between_replies_are_kept_in_order(typed: list[bytes]) -> None:
    replies = [VERSION, GRAPHICS, CELL, WINDOW, ATTRIBUTES, b""]
    received = b"".join(key + reply for key, reply in zip(typed, replies, strict=True))
    assert read_replies(received) == (ALL, b"".join(typed))


@given(cut=st.integers(0, 200), typed=keys)
def test_a_reply_that_is_cut_short_waits_for_its_rest(cut: int, typed: bytes) -> None:
    received = (typed + VERSION + GRAPHICS + ATTRIBUTES)[: len(typed) + cut]
    replies, rest = read_replies(received)
    assert replies.attributes in (None, ALL.attributes)
    assert rest.startswith(typed)
    begun = rest.removeprefix(typed)
    assert any(each.startswith(begun) for each in (VERSION, GRAPHICS, ATTRIBUTES))
    if begun:
        assert ends_unfinished(received)


def test_a_terminal_that_knows_no_more_than_da1() -> None:
    assert read_replies(b"\x1b[?6c") == (Replies(attributes=("6",)), b"")


@pytest.mark.parametrize(("column", "utf8"), [(2, True), (3, False), (1, None)])
def test_the_cursor_tells_whether_two_bytes_were_one_character(
    column: int, utf8: bool | None
) -> None:
    assert read_replies(b"1\x1b[24;%dR2" % column) == (Replies(utf8=utf8), b"12")


@pytest.mark.parametrize(
    "received", [b"\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\", b"\x1b[6;0;0t", b"\x1b[4;0;0t"]
)
def test_a_refusal_and_a_size_of_nothing_count_as_no_reply(received: bytes) -> None:
    assert read_replies(received) == (Replies(), b"")


@pytest.mark.parametrize("received", [b"a\x1b", b"\x1b[", b"\x1b[1;2", b"\x1bP>|kit", b"\x1bO"])
def test_an_escape_sequence_that_has_begun_may_go_on(received: bytes) -> None:
    assert ends_unfinished(received)


@pytest.mark.parametrize("received", [b"", b"a", b"\x1b[A", b"\x1b[?62;4c", VERSION])
def test_what_is_whole_does_not_go_on(received: bytes) -> None:
    assert not ends_unfinished(received)


def test_tmux_hands_on_what_is_wrapped_with_its_escapes_doubled() -> None:
    assert through_tmux(b"\x1b[c\x1b\\") == b"\x1bPtmux;\x1b\x1b[c\x1b\x1b\\\x1b\\"
