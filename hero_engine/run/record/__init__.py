"""run.sqlite: what happened in a run, and the channel between the engine and who labels.

`schema` is what is in the file, `database` how it is opened and written, `rows` what is read from
it, and `record` the one object that both sides work with.
"""

from hero_engine.run.record.record import Record
from hero_engine.run.record.rows import (
    START,
    Command,
    Noise,
    Progress,
    Round,
    RunState,
    SecondLook,
    Start,
    Try,
    start_words,
)
from hero_engine.run.record.schema import SCHEMA_VERSION

__all__ = [
    "SCHEMA_VERSION",
    "START",
    "Command",
    "Noise",
    "Progress",
    "Record",
    "Round",
    "RunState",
    "SecondLook",
    "Start",
    "Try",
    "start_words",
]
