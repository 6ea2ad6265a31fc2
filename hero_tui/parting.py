"""What is said, and which exit code is given, when a run's interface is left."""

from hero_engine.errors import EngineError, InputError
from hero_tui.client.runview import RunView

PAUSED = 3


def leaving_code(view: RunView) -> int:
    """The exit code of who leaves the run now: 0 if it is finished or goes on without them."""
    if view.stage != "stopped":
        return 0
    if view.problem:
        return InputError.exit_code
    return PAUSED if view.state == "paused" else EngineError.exit_code


def parting_words(view: RunView) -> str:
    """What to know after the interface is closed."""
    run = view.folder.reference
    if view.state == "finished":
        return f"Finished. Take the model with: hero-tui export {run}"
    if view.stage == "stopped":
        return f"The run waits. Go on with: hero-tui attach {run}"
    return f"The run goes on without you. Come back with: hero-tui attach {run}"
