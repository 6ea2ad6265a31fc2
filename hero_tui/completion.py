"""What a shell completes: tasks, runs, settings and their values.

A shell gets names that can be typed and nothing else: no error is said there.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import typer

from hero_engine.errors import InputError

VARIABLE = "_HERO_TUI_COMPLETE"
"""Set by a shell that asks."""


def tasks(incomplete: str) -> list[str]:
    """The shipped tasks and the task files that begin so."""
    from hero_engine.run.resolve import shipped_tasks

    begun = Path(incomplete)
    folder = begun if incomplete.endswith("/") else begun.parent
    files: list[str] = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            shown = str(folder / path.name)
            if path.is_dir() and not path.name.startswith("."):
                files.append(f"{shown}/")
            elif path.suffix in (".yaml", ".yml"):
                files.append(shown)
    return _beginning(incomplete, [*shipped_tasks(), *files])


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """The runs whose names begin so, the latest first."""
    from hero_engine.run.folder import list_runs

    given = context.params.get("runs_dir") or os.environ.get("HERO_TUI_RUNS_DIR") or "runs"
    try:
        found = list_runs(Path(given))
    except InputError:
        return []
    return _beginning(incomplete, [run.name for run in reversed(found)])


def settings(incomplete: str) -> list[str]:
    """What `--set` takes that begins so: a setting's name, or its value where there are a few."""
    from hero_engine.run.task import Task

    known = dict(_settings(Task))
    name, equals, _ = incomplete.partition("=")
    if not equals:
        return _beginning(incomplete, [f"{each}=" for each in known])
    return _beginning(incomplete, [f"{name}={value}" for value in known.get(name, ())])


def models(incomplete: str) -> list[str]:
    """The model that needs no name of a file."""
    return _beginning(incomplete, ["embedded"])


def methods(incomplete: str) -> list[str]:
    """The methods whose names begin so."""
    from hero_engine.run.methods import METHODS

    return _beginning(incomplete, list(METHODS))


def experiments(incomplete: str) -> list[str]:
    """What `hero-tui bench` takes that begins so."""
    from hero_tui.bench.experiments import EXPERIMENTS

    return _beginning(incomplete, list(EXPERIMENTS))


def _settings(section: Any, prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """(dotted name, the values to choose from, if there are a few)."""
    from hero_engine.run.task import Section

    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _settings(kind, f"{prefix}{name}.")
        else:
            values = ("true", "false") if kind is bool else get_args(kind)
            yield prefix + name, tuple(value for value in values if isinstance(value, str))


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]
