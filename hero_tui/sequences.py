"""Cuts what a terminal sends into keys, pastes, and what it says of its own.

A terminal sends its answers among the keys that are typed, whenever they are ready, and a link cuts
all of it anywhere. An escape sequence is one piece here, however it arrives, so that nothing within
one can be taken for a key: neither of an answer that comes late or that nobody knows, nor of one
that breaks off.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "escape", "alt", "sequence", "string", "paste"]

DELAY, PATIENT_DELAY = 0.1, 1.0
"""The least `Cutter.delay`; and one for a slow link, while answers are waited for."""
STALE = 10.0
"""Seconds after which a sequence that has begun is not gone on with any more."""

PASTE, PASTED = "\x1b[200~", "\x1b[201~"

# A string begins as answers do: ESC and P alone may be alt and P.
_STRING = r"(?:P[0-9:-?!$+]|\][0-9lLI]|_)[^\x00-\x1f\x7f]*"
_WHOLE = re.compile(
    r"\x1b(?:"
    r"(?P<sequence>\[(?:\[[ -~]|M.{3}|(?![\[M])[0-?]*[ -/]*[@-~])|O[0-9;]*[@-~])"
    rf"|(?P<string>{_STRING}(?:\x07|\x1b\\)))",
    re.DOTALL,
)
_BEGUN = re.compile(
    rf"\x1b(?:\[(?:\[|M.{{0,2}}|[0-?]*[ -/]*)|O[0-9;]*|{_STRING}\x1b?|[P\]])?", re.DOTALL
)
# Two of three sequences of rxvt's keys with shift: `$` is not the end of anybody else's.
_RXVT = re.compile(r"\x1b\[\d+\$")
# Bytes that are no UTF-8, as `surrogateescape` has them: a terminal's 8-bit controls.
_EIGHT_BIT = {
    0xDC00 + code: f"\x1b{chr(code - 0x40)}" for code in (0x8F, 0x90, 0x9B, 0x9C, 0x9D, 0x9F)
}


@dataclass(frozen=True)
class Piece:
    """Something whole.

    Attributes:
        kind: `text`, characters without ESC; `escape`, that key; `alt` with a character; a control
            `sequence`; a control `string` (DCS, OSC, APC); the text of a `paste`.
        text: as it was sent, but of a paste without the sequences around it.
    """

    kind: Kind
    text: str


class Cutter:
    """Cuts what is fed to it; what has only begun waits for its rest.

    Attributes:
        delay: seconds after which an ESC that nothing follows was the key escape.
    """

    def __init__(self) -> None:
        self.delay = DELAY
        self._rest = ""
        self._since = 0.0
        self._escaped = False  # an ESC has just been taken for the key

    def feed(self, text: str, now: float) -> Iterator[Piece]:
        """The pieces that `text`, which has come at `now` (seconds), makes whole."""
        text = text.translate(_EIGHT_BIT)
        if self._escaped and (_WHOLE.match("\x1b" + text) or _BEGUN.fullmatch("\x1b" + text)):
            self._rest = "\x1b"  # it was none: the rest of an answer comes after a pause
        self._escaped = False
        # A pause in a key of two or three characters makes it ambiguous: ESC O, then A.
        paused = bool(self._rest) and now - self._since > self.delay
        text, self._rest, self._since = self._rest + text, "", now
        place = 0
        while place < len(text):
            end = text.find("\x1b", place)
            if end != place:
                end = len(text) if end < 0 else end
                yield Piece("text", text[place:end])
            elif text.startswith(PASTE, place):
                begin = place + len(PASTE)
                if (end := text.find(PASTED, begin)) < 0:
                    break
                yield Piece("paste", text[begin:end])
                end += len(PASTED)
            elif whole := _WHOLE.match(text, place):
                end = whole.end()
                if not (place == 0 and paused and whole[0][1] == "O"):
                    yield Piece("sequence" if whole["sequence"] else "string", whole[0])
            elif _BEGUN.fullmatch(text, place):
                break
            else:
                begun = _BEGUN.match(text, place)
                assert begun  # an ESC at least
                prefix = begun[0] if begun[0] == "\x1b" else begun[0].removesuffix("\x1b")
                end = place + len(prefix)
                if prefix == "\x1b" and text[end] == "\x1b":
                    yield Piece("escape", prefix)
                elif len(prefix) <= 2:
                    end = place + 2
                    yield Piece("alt", text[place + 1])
                # Else a sequence that breaks off.
            place = end
        self._rest = text[place:]

    def tick(self, now: float) -> Iterator[Piece]:
        """What is whole by now because nothing has followed it; call it now and then."""
        waited = now - self._since
        rest = self._rest
        if rest and waited >= self.delay:
            if rest == "\x1b":
                self._rest, self._escaped = "", True
                yield Piece("escape", rest)
            elif _RXVT.fullmatch(rest):
                self._rest = ""
                yield Piece("sequence", rest)
            elif waited >= STALE:
                self._rest = ""
                if rest.startswith(PASTE):
                    yield Piece("paste", rest.removeprefix(PASTE))
