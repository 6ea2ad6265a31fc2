"""What can go wrong, as messages for the person who runs hero-tui; each class has its exit code.

A message names the file and the field, what was expected, and what to do next.
"""


class HeroError(Exception):
    """Base of every error that is shown as a message, never as a traceback."""

    exit_code = 1


class InputError(HeroError):
    """What was given is wrong or unusable: a task, a label file, an option, a run folder."""

    exit_code = 2


class EngineError(HeroError):
    """The engine cannot go on: a failed self-check, a model that does not load, a full disk."""

    exit_code = 4
