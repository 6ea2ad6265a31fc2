"""From a task's name or file, a model, a method and overrides to one Task, every value settled.

Later layers win: the paper's defaults, the model family's profile, the file's method, the task
file, `--method`, `--set`. Where each value came from is kept, for `tasks show`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hero_engine.cartoons import SUBJECTS, is_embedded
from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.functions import check_module
from hero_engine.run.methods import METHODS
from hero_engine.run.profiles import profile_for
from hero_engine.run.task import Section, Task

_WEIGHTED = re.compile(r"\([^()]*:\s*\d*\.?\d+\s*\)|<\w+:[^<>]*>|\(\([^()]+\)\)|\[\[[^\[\]]+\]\]")
"""How other programs write the weight of words, and a LoRA, into a prompt."""

_SHAPE = "what is learned so far has its shape"
_MODEL = "what is learned so far belongs to the model"
FIXED: Mapping[str, str] = {
    "name": "label files are for a task by its name",
    "method": "it stands for settings that can; change those",
    **dict.fromkeys(("model", "revision", "variant", "config"), _MODEL),
    **dict.fromkeys(("embedding.channels", "embedding.width", "embedding.head"), _SHAPE),
    "update.lora_rank": _SHAPE,
    "feedback.batch_size": "the budget counts rounds of one size",
}
"""Settings that hold for the whole of a run, and why."""


MOST_EVALUATED = 2000


@dataclass(frozen=True)
class Resolved:
    """A task and, for each dotted field, the layer and reason its value came from."""

    task: Task
    origins: Mapping[str, str]


def shipped_tasks() -> dict[str, Path]:
    """The tasks that come with hero-tui, by name: in the wheel, or in the checkout."""
    folder = Path(__file__).parents[1] / "shipped_tasks"
    if not folder.is_dir():
        folder = Path(__file__).parents[2] / "tasks"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_task(name_or_path: str) -> Path:
    """The file of a shipped task's name, or of a path; a file of such a name is `./name`.

    Raises:
        InputError: neither exists.
    """
    shipped = shipped_tasks()
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if os.path.isfile(path):  # noqa: PTH113, False for a name that is too long
        return path
    raise InputError(
        f"{name_or_path}: no such task file, and no shipped task of that name; "
        f"shipped tasks: {', '.join(shipped)}"
    )


def resolve(
    name_or_path: str,
    *,
    model: str | None = None,
    method: str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
) -> Resolved:
    """The settled task.

    Args:
        name_or_path: a shipped task's name or a task file.
        model: replaces the task's model.
        method: replaces the task's method; its settings replace the task file's, too.
        seed: replaces the task's seed.
        overrides: `section.field=value`, the value written as in YAML.

    Raises:
        InputError: names the file (or option), the field and what was expected.
    """
    path = find_task(name_or_path)
    written = yamlfile.read_mapping(path)
    options: dict[str, Any] = {}
    for text in overrides:
        dotted, value = _parse_override(text)
        options[dotted] = value
    given = {"model": model, "method": method, "seed": seed}
    for name, value in given.items():
        if value is not None and options.setdefault(name, value) != value:
            raise InputError(
                f"--{name} {value} and --set {name}={options[name]}: expected one of them"
            )
    for field in ("model", "config"):
        # The engine, and who continues the run, may be in another folder.
        where = "" if field in options else f"{path}: "
        local = _local_path(options.get(field, written.get(field)), field, where)
        if local is not None:
            (options if field in options else written)[field] = local

    # The file alone is checked first, so that its mistakes are reported as its own.
    _check_oracle(_validate(written, str(path)), str(path))
    chosen_model = str(
        options.get("model", written.get("model", Task.model_fields["model"].default))
    )
    profile = profile_for(chosen_model)

    values: dict[str, Any] = {}
    origins = dict(_default_origins(Task))
    for dotted, (value, why) in profile.values.items():
        _put(values, dotted, value)
        origins[dotted] = f"profile {profile.name}: {why}"
    default = values.get("method", Task.model_fields["method"].default)
    name = options.get("method", written.get("method", default))
    for_method = _method_values(name, is_embedded(chosen_model))
    if method is None:
        layers = (for_method, _of_file(written, path))
    else:
        layers = (_of_file(written, path), for_method)
    for layer in layers:
        for dotted, (value, origin) in layer.items():
            _put(values, dotted, value)
            origins[dotted] = origin
    for dotted, value in options.items():
        _put(values, dotted, value)
        origins[dotted] = "command line"
    where = f"{path} with {profile.name} profile and command line"
    if values.get("method") == "enhanced":
        if "enhanced_prompt" not in values:
            raise InputError(f"{where}: enhanced_prompt: the method enhanced needs one, found none")
        values["prompts"] = [values["enhanced_prompt"]]
        origins["prompts"] = "method enhanced: the task's enhanced_prompt"
    task = _validate(values, where)
    _check_oracle(task, where)
    _check_batch(task, where)
    _check_work(task, where)
    return Resolved(task, origins)


def _of_file(written: Mapping[str, Any], path: Path) -> dict[str, tuple[Any, str]]:
    return {dotted: (value, f"task file {path.name}") for dotted, value in _leaves(written)}


def _method_values(name: object, embedded: bool) -> dict[str, tuple[Any, str]]:
    """The settings of the method of that name, with where they came from."""
    if not isinstance(name, str) or name not in METHODS:
        return {}  # the task will say so
    method = METHODS[name]
    return {
        dotted: (value, f"method {name}: {why}")
        for dotted, (value, why) in (method.values | (method.embedded if embedded else {})).items()
    }


def _check_batch(task: Task, where: str) -> None:
    # Not in Task, like the oracle.
    if task.feedback.batch_size < len(task.prompts):
        raise InputError(
            f"{where}: feedback.batch_size: expected at least {len(task.prompts)}, a picture of "
            f"each prompt in every round, found {task.feedback.batch_size}"
        )


def _check_work(task: Task, where: str) -> None:
    # Not in Task, like the oracle.
    if task.evaluation.images > MOST_EVALUATED:
        raise InputError(
            f"{where}: evaluation.images: expected at most {MOST_EVALUATED}, which are in memory "
            f"at once and compared with each other, found {task.evaluation.images}"
        )
    if task.reward.function is not None:
        check_module(task.reward.function, f"{where}: reward.function")
    if ":" in task.update.objective:
        check_module(task.update.objective, f"{where}: update.objective")


def _check_oracle(task: Task, where: str) -> None:
    # Not in Task, so that a run which was begun before this check can be read.
    if task.oracle is None or task.oracle in SUBJECTS:
        return
    near = get_close_matches(task.oracle, SUBJECTS, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    raise InputError(
        f"{where}: oracle: there is no oracle {_shortened(task.oracle)}; {meant}"
        f"expected one of {', '.join(SUBJECTS)}, or none"
    )


def remarks(task: Task) -> list[str]:
    """What whoever wrote the task may not expect, though nothing is wrong with it."""
    weighted = _WEIGHTED.search("\n".join((*task.prompts, task.negative_prompt)))
    if weighted is None:
        return []
    return [
        f"{weighted[0]} is read letter by letter: weights of words, and LoRAs, in a prompt mean "
        "nothing here"
    ]


def load_frozen(path: Path) -> Task:
    """The task of a run folder's task.yaml: no layer is applied again.

    Raises:
        InputError: the file is missing or not a task.
    """
    return _validate(yamlfile.read_mapping(path), str(path))


def with_changes(task: Task, overrides: Sequence[str], seed: int | None) -> Task:
    """The task of a run that goes on with other settings.

    Args:
        overrides: `section.field=value`, as in `resolve`.
        seed: of the draws to come.

    Raises:
        InputError: a field does not exist, its value is none that it can have, or it cannot change
            in the middle of a run.
    """
    values = task.model_dump(mode="json")
    for text in overrides:
        dotted, value = _parse_override(text)
        if dotted in FIXED:
            raise InputError(
                f"--set {text}: {dotted} cannot change in the middle of a run: {FIXED[dotted]}"
            )
        _put(values, dotted, value)
    if seed is not None:
        values["seed"] = seed
    changed = _validate(values, "--set")
    if changed.asks_for_labels != task.asks_for_labels:
        kind = "labels" if task.asks_for_labels else "a function's rewards"
        raise InputError(f"--set: reward.name: {task.name} learns from {kind}, and goes on so")
    if len(changed.prompts) != len(task.prompts):
        raise InputError(
            f"--set: prompts: expected {len(task.prompts)} of them, found {len(changed.prompts)}: "
            "which one an earlier picture is of is told by its number"
        )
    _check_oracle(changed, "--set")
    _check_work(changed, "--set")
    return changed


def setting_values(task: Task) -> list[tuple[str, Any]]:
    """Every dotted field of the task and its value, in the order of the file format."""
    return _leaves({name: getattr(task, name) for name in Task.model_fields})


def _local_path(value: Any, field: str, where: str) -> str | None:
    """The whole path of a file or folder that is there; None for a name on the hub.

    Args:
        where: before the field, for messages: the file that has it.

    Raises:
        InputError: it can only be a path, and there is nothing.
    """
    if not isinstance(value, str) or (field == "model" and is_embedded(value)):
        return None
    path = Path(value)
    with suppress(RuntimeError):  # there is no such user, and so no such folder
        path = path.expanduser()
    if _is_there(path):
        return str(path.absolute())
    if value.startswith((".", "/", "~")) or path.suffix in (".safetensors", ".ckpt"):
        raise InputError(
            f"{where}{field} {value}: there is no such file or folder; expected 'embedded', a "
            "pipeline folder, a .safetensors file, or a name on the Hugging Face hub (owner/name)"
        )
    return None


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True  # what is the matter with it is for `modelfiles` to say
    except (OSError, ValueError):
        return False
    return True


def _validate(values: Mapping[str, Any], where: str) -> Task:
    try:
        return Task.model_validate(values)
    except ValidationError as error:
        raise InputError(describe(error, where)) from None


def describe(error: ValidationError, where: str) -> str:
    """A pydantic error as lines of `file: field: what was expected`."""
    lines = []
    for problem in error.errors(include_url=False):
        field = ".".join(str(part) for part in problem["loc"]) or "the file"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "there is no such field"
        elif problem["type"] == "tuple_type" and isinstance(problem["input"], str | int | float):
            message = f"expected a list, such as [{_shortened(problem['input'])}]"
        elif problem["type"] != "missing" and not isinstance(problem["input"], dict | BaseModel):
            message += f", found {_shortened(problem['input'])}"
        lines.append(f"{where}: {field}: {message}")
    return "\n".join(lines)


def _shortened(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of over 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def _parse_override(text: str) -> tuple[str, Any]:
    dotted, equals, value = text.partition("=")
    dotted = dotted.strip()
    known = _default_origins(Task)
    if not equals or dotted not in known:
        raise InputError(
            f"--set {text}: expected section.field=value, for example sampling.steps=20; "
            f"fields: {', '.join(name for name in known if '.' in name)}"
        )
    return dotted, yamlfile.parse(value, f"--set {text}")


def _default_origins(section: type[BaseModel], prefix: str = "") -> dict[str, str]:
    origins: dict[str, str] = {}
    for name, field in section.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            origins |= _default_origins(annotation, f"{prefix}{name}.")
        else:
            extra = field.json_schema_extra
            source = extra.get("source") if isinstance(extra, dict) else None
            origins[prefix + name] = f"default: {source}" if source else "default"
    return origins


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Section):
            value = {field: getattr(value, field) for field in type(value).model_fields}
        if isinstance(value, Mapping):
            leaves += _leaves(value, f"{prefix}{name}.")
        else:
            leaves.append((prefix + name, value))
    return leaves


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, name = dotted.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[name] = value
