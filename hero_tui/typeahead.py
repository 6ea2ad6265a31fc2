"""Keys that were typed before the interface could read them."""

from collections.abc import Iterator

from textual import events

# XTermParser is Textual's own reader of keys: what was typed early means what it would mean now.
from hero_tui.textual_private import XTermParser


def typed_keys(typed: bytes) -> Iterator[events.Key | events.Paste]:
    """The keys, and the pasted text, that the bytes from a terminal stand for."""
    text = typed.decode("utf-8", "replace")
    parser = XTermParser()
    for data in (text, "") if text else ():  # "" tells the parser that no more comes
        for event in parser.feed(data):
            if isinstance(event, events.Key | events.Paste):
                yield event
