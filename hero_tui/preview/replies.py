"""What is asked of a terminal, and reading its answers from among the keys that are typed."""

import re
from dataclasses import dataclass

# Where the cursor is after one character of two bytes, which nowhere is wide.
_UTF8_QUERY = b"\r\xc3\xb1\x1b[6n"
# XTVERSION, kitty's graphics query, the size of a cell and of the window in pixels. DA1 is last:
# every terminal answers it, and answers in order, so that nothing comes after it.
_GRAPHICS = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[14t"
QUERIES = b"\x1b[>q" + _UTF8_QUERY + _GRAPHICS + b"\x1b[c"
# For tmux and screen, which take kitty's query for a title to show.
NAME_QUERIES = b"\x1b[>q" + _UTF8_QUERY + b"\x1b[c"
# For the terminal behind tmux, whose cursor tmux moves.
QUERIES_BEHIND = b"\x1b[>q" + _GRAPHICS + b"\x1b[c"

_REPLY = re.compile(
    rb"\x1bP>\|(?P<version>[^\x1b]*)\x1b\\"
    rb"|\x1b_G(?P<kitty>[^\x1b]*)\x1b\\"
    rb"|\x1b\[6;(?P<cell>\d{1,6};\d{1,6})t"
    rb"|\x1b\[4;(?P<window>\d{1,6};\d{1,6})t"
    rb"|\x1b\[\d{1,6};(?P<column>\d{1,6})R"
    rb"|\x1b\[\?(?P<attributes>[\d;]*)c"
)
_UNFINISHED = re.compile(rb"\x1b([P_][^\x1b]*\x1b?|\[[\d;?<>]*|O)?\Z")


@dataclass(frozen=True)
class Replies:
    """What a terminal answered to QUERIES.

    Attributes:
        version: XTVERSION, its name for itself and its version; "" if it does not say.
        kitty: whether it accepts kitty's graphics.
        cell: (width, height) of a cell in pixels.
        window: (width, height) of the text area in pixels.
        attributes: the fields of DA1, or None as long as it has not come.
        utf8: whether it takes UTF-8 for characters; None if it does not say.
    """

    version: str = ""
    kitty: bool = False
    cell: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    attributes: tuple[str, ...] | None = None
    utf8: bool | None = None


NONE = Replies()


def read_replies(received: bytes) -> tuple[Replies, bytes]:
    """The replies in `received`, and the rest: what a person typed meanwhile.

    A reply that has only begun at the end of `received` is in the rest: who reads on needs it.
    """
    found = {m.lastgroup: m[m.lastgroup] for m in _REPLY.finditer(received) if m.lastgroup}
    attributes = found.get("attributes")
    replies = Replies(
        version=found.get("version", b"")[:100].decode("utf-8", "replace"),
        kitty=found.get("kitty", b"").endswith(b";OK"),
        cell=_size(found.get("cell")),
        window=_size(found.get("window")),
        utf8={b"2": True, b"3": False}.get(found.get("column", b"")),
        attributes=None if attributes is None else tuple(attributes.decode().split(";")),
    )
    return replies, _REPLY.sub(b"", received)


def ends_unfinished(received: bytes) -> bool:
    """Whether the last thing received may go on: an escape sequence that has only begun."""
    return _UNFINISHED.search(received) is not None


def through_tmux(sequence: bytes) -> bytes:
    """`sequence` wrapped so that tmux hands it on to the terminal that it is shown in."""
    return b"\x1bPtmux;" + sequence.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\\"


def _size(height_and_width: bytes | None) -> tuple[int, int] | None:
    if height_and_width is None:
        return None
    height, width = map(int, height_and_width.split(b";"))
    return (width, height) if width and height else None
