"""Which settings of a run are not the paper's, as far as is known from where, and which differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from hero_engine.cartoons import is_embedded
from hero_engine.errors import InputError
from hero_engine.run.methods import METHODS
from hero_engine.run.profiles import profile_for
from hero_engine.run.resolve import resolve, setting_values, shipped_tasks
from hero_engine.run.task import Task

TAUGHT = ("name", "prompts", "negative_prompt", "criteria", "categories", "transfer_prompts")
"""What is taught, and no setting of how."""

_ANY = Task.model_validate({"name": "any", "prompts": ["any"], "criteria": ["any"]})


@dataclass(frozen=True)
class Setting:
    """A dotted field with another value than its default."""

    name: str
    value: str
    default: str
    origin: str


def changed_settings(task: Task) -> list[Setting]:
    """The settings that differ from the paper's protocol.

    A run keeps its settings and not whence each came: that is told from its method, the
    profile of its model and the shipped task of its name, where those have the same value.
    """
    defaults = dict(setting_values(_ANY))
    return [
        Setting(name, in_words(value), in_words(defaults[name]), _origin(task, name, value))
        for name, value in setting_values(task)
        if name not in TAUGHT and value != defaults[name]
    ]


def differing_settings(tasks: Sequence[Task]) -> list[tuple[str, list[str]]]:
    """Each setting in which the runs differ, and its value in each of them."""
    values = [dict(setting_values(task)) for task in tasks]
    return [
        (name, [in_words(each[name]) for each in values])
        for name in values[0]
        if name not in TAUGHT and any(each[name] != values[0][name] for each in values)
    ]


def in_words(value: object) -> str:
    """A setting's value as the documents have it."""
    match value:
        case None | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return ", ".join(map(str, value))
        case float():
            return f"{value:g}"
    return str(value)


def _origin(task: Task, name: str, value: object) -> str:
    method, profile = METHODS[task.method], profile_for(task.model)
    of_method = method.values | (method.embedded if is_embedded(task.model) else {})
    for layer, values in (
        (f"method {task.method}", of_method),
        (f"profile {profile.name}", profile.values),
    ):
        if name in values and values[name][0] == value:
            return f"{layer}: {values[name][1]}"
    if task.name in shipped_tasks():
        try:
            shipped = resolve(task.name).task
        except InputError:
            pass  # as when its model is a folder that is not here
        else:
            if dict(setting_values(shipped))[name] == value:
                return f"shipped task {task.name}"
    return "task file or command line"
