"""What the screens ask of the app: messages go up, the RunView comes down.

A message says which round it is about: by the time it is handled, another may have begun.
"""

from dataclasses import dataclass
from typing import Literal

from textual.message import Message

from hero_tui.client.edits import Gesture


@dataclass
class Edited(Message):
    """The person changed the labels of a round."""

    round: int
    gesture: Gesture


@dataclass
class LookedAgain(Message):
    """The person said at a second look what the label of a picture should be."""

    round: int
    image: int
    gesture: Gesture


@dataclass
class Stepped(Message):
    """The person goes one edit of a round back or forward."""

    round: int
    way: Literal["undo", "redo"]


@dataclass
class Looked(Message):
    """The person has seen these pictures of a round."""

    round: int
    images: frozenset[int]


@dataclass
class Turned(Message):
    """The person is at the page of a picture of a round."""

    round: int
    image: int


@dataclass
class Submitted(Message):
    """The labels of a round are final."""

    round: int


@dataclass
class PairJudged(Message):
    """The person said which picture of a pair is better: the left one, or neither (None)."""

    place: int
    left: bool | None


@dataclass
class OutsideAsked(Message):
    """The person wants to see a picture of the round outside the terminal; None: all of them."""

    image: int | None = None


@dataclass
class TryAsked(Message):
    """The person wants a few pictures of a prompt."""

    prompt: str


@dataclass
class EngineAsked(Message):
    """The person wants the engine to go on, to pause, or to evaluate and end."""

    to: Literal["start", "stop", "finish"]


@dataclass
class RollbackAsked(Message):
    """The person wants to go on from the state after training `round`; maybe by half the step."""

    round: int
    smaller_step: bool = False
