"""What the screens ask of the app: messages go up, the RunView comes down."""

from dataclasses import dataclass
from typing import Literal

from textual.message import Message

from hero_tui.edits import Edit


@dataclass
class Edited(Message):
    """The person changed the labels of the open round."""

    edit: Edit


@dataclass
class Stepped(Message):
    """The person goes one edit back or forward."""

    way: Literal["undo", "redo"]


@dataclass
class Looked(Message):
    """The person has seen these pictures of the open round."""

    images: frozenset[int]


@dataclass
class Submitted(Message):
    """The open round's labels are final."""


@dataclass
class EngineAsked(Message):
    """The person wants the engine to go on, to pause, or to evaluate and end."""

    to: Literal["start", "stop", "finish"]
