"""Presses of keys: what of them Textual does not know of, and what a person is told about them.

Kitty's keyboard protocol says whether a press repeats because the key is held down, whether shift
is meant or CapsLock is on, and which letter the key has on the Latin layout. Other terminals send
characters: there a held key is told by its pace.
"""

import re
import unicodedata
from collections.abc import Container, Iterator
from dataclasses import dataclass

from textual import events

QUICK = 0.12
"""Seconds between a held key's repeats, at most; nobody means two presses within them."""
HELD = 0.3
"""The same once it is known to be held: a link may gather a few."""
FIRST = 1.5
"""Seconds until a held key begins to repeat, at most."""

_SHIFT, _OTHERS = 1, 2 | 4 | 8 | 16 | 32  # not the locks
_REPEAT, _RELEASE = "2", "3"
_LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd")
# CSI key:shifted:base;modifiers:event;text u, of which all may be left out.
_KITTY = re.compile(
    r"\x1b\[(?P<code>\d*)(?::(?P<shifted>\d*))?(?::(?P<base>\d*))?"
    r"(?:;(?P<modifiers>\d*)(?::(?P<event>\d*))?(?:;(?P<text>[\d:]*))?)?(?P<end>[u~ABCDEFHPQRS])"
)


class KeyPress(events.Key):
    """A key that a person pressed.

    Attributes:
        base: the key in its place on the Latin layout, if the layout in force is none.
        repeats: 1 if this is no press but a repeat of a key that is held down; 2 if so was the one
            before, which could not be told from a press; 0 for a press.
    """

    __slots__ = ["base", "repeats"]

    def __init__(
        self, key: str, character: str | None, base: str | None = None, repeats: int = 0
    ) -> None:
        super().__init__(key, character)
        self.base = base
        self.repeats = repeats


KeyPress.handler_name = events.Key.handler_name  # it is handled as any key


@dataclass(frozen=True)
class KittyKey:
    """A key by kitty's protocol.

    Attributes:
        sequence: it as Textual reads it, without what it does not.
        released: the key was let go.
        repeated: it is held down.
        letter: the letter that is meant, whatever CapsLock does; None if the key is no letter.
        base: as `KeyPress.base`, of the key without its modifiers.
    """

    sequence: str
    released: bool
    repeated: bool
    letter: str | None
    base: str | None

    def base_of(self, key: str) -> str | None:
        """`key`, as Textual names it, in its place on the Latin layout."""
        modifiers, plus, _ = key.rpartition("+")
        return self.base and f"{modifiers}{plus}{self.base}"


def read_kitty(sequence: str) -> KittyKey | None:
    """The key that a control sequence stands for; None if it is none of kitty's."""
    found = _KITTY.fullmatch(sequence)
    if found is None:
        return None
    code, modifiers = int(found["code"] or 1), max(0, int(found["modifiers"] or 1) - 1)
    parts = [found["code"]]
    if found["modifiers"] is not None:
        parts.append(found["modifiers"])
    if found["text"]:
        parts.append(found["text"])
    letter = base = None
    if found["end"] == "u" and _is_character(code):
        character = chr(code)
        # Not where the key makes something else, as with AltGr.
        own = found["text"] in (None, "", *(str(ord(each)) for each in _cases(character)))
        if character.isalpha() and not modifiers & _OTHERS and own:
            letter = _cased(character, modifiers)
        if _is_foreign(character) and found["base"] and _is_character(int(found["base"])):
            base = _cased(chr(int(found["base"])), modifiers)
    return KittyKey(
        f"\x1b[{';'.join(parts)}{found['end']}",
        found["event"] == _RELEASE,
        found["event"] == _REPEAT,
        letter,
        base,
    )


def _is_character(code: int) -> bool:
    return 32 < code < 0xE000 and not code >= 0xD800


def _is_foreign(character: str) -> bool:
    """Whether it is a letter or digit of another script, which is on no Latin layout."""
    beyond_latin = character >= "\u0370" and "LATIN" not in unicodedata.name(character, "LATIN")
    return beyond_latin and unicodedata.category(character)[:2] in _LETTERS


def _cases(letter: str) -> Iterator[str]:
    return (each for each in (letter.lower(), letter.upper()) if len(each) == 1)


def _cased(letter: str, modifiers: int) -> str:
    if modifiers & _OTHERS:
        return letter
    cased = letter.upper() if modifiers & _SHIFT else letter.lower()
    return cased if len(cased) == 1 else letter


class Pace:
    """Tells repeats of a held key from presses by when they come."""

    def __init__(self) -> None:
        self._key = ""
        self._time = self._gap = float("-inf")
        self._held = False

    def repeats(self, key: str, now: float) -> int:
        """As `KeyPress.repeats`, of `key`, which came at `now` (seconds)."""
        gap, gap_before = now - self._time, self._gap
        same, held = key == self._key, self._held
        self._key, self._time, self._gap = key, now, gap if same else float("inf")
        self._held = same and gap <= (HELD if held else QUICK)
        if not self._held:
            return 0
        return 2 if not held and QUICK < gap_before <= FIRST else 1


def about(key: events.Key, known: Container[str]) -> str | None:
    """Why a key does nothing, if it looks as if something else was meant; None if it does not.

    `known`: the keys that do something.
    """
    letter = key.character or key.key.rpartition("+")[2]
    if len(letter) != 1 or key.key in known:
        return None
    if _is_foreign(letter):
        return (
            f"The keyboard writes {letter}: switch it to Latin letters. ^\\ lists what can be done."
        )
    if letter != letter.lower() and letter.lower() in known:
        return f"{letter} does nothing, {letter.lower()} does: is CapsLock on?"
    return None
