"""Which class makes an update: by the task's `update.objective`."""

from hero_engine.errors import InputError
from hero_engine.method.update import Objective
from hero_engine.run.functions import load_function
from hero_engine.run.methods import OBJECTIVES
from hero_engine.run.task import Task


def objective_of(task: Task) -> type[Objective]:
    """The class of the table `OBJECTIVES`, or the user's own, `module:class`.

    Raises:
        InputError: the user's module or class cannot be had.
    """
    name = task.update.objective
    found = load_function(OBJECTIVES.get(name, name), "update.objective")
    if not isinstance(found, type):
        raise InputError(f"update.objective {name}: expected a class, found {found!r}")
    return found
