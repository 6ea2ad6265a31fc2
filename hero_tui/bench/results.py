"""What is known of a cell, read from its run; and of an experiment, as one JSON object.

Beside a run the bench keeps `bench.json`: when it worked on it, where, and what else was judged.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

from hero_engine import __version__
from hero_engine.cartoons import EMBEDDED
from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.status import status
from hero_tui.bench.cell import Cell, settings_of, with_later_settings
from hero_tui.bench.experiments import Experiment
from hero_tui.bench.measures import COLUMNS, Result
from hero_tui.enginecommand import command

_ASKING = Lock()

PACKAGES = ("torch", "diffusers", "peft", "transformers", "numpy")


def notes_of(folder: RunFolder) -> dict[str, Any]:
    """What the bench has written of a run; {} before it worked on it."""
    try:
        found = json.loads((folder.path / "bench.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_notes(folder: RunFolder, notes: Mapping[str, Any]) -> None:
    """Keeps what the bench knows of a run.

    Raises:
        OSError: it cannot be written.
    """
    _write(folder.path / "bench.json", notes)


@dataclass(frozen=True)
class Known:
    """Where results are looked for: in the runs, and in an earlier NAME.json.

    What was committed counts when its runs are gone, or were made on another machine.

    Attributes:
        earlier: finished, by their row and the name of their run.
    """

    runs_dir: Path
    earlier: Mapping[tuple[str, str], Result]

    @classmethod
    def of(cls, runs_dir: Path, results: Path) -> "Known":
        """What is known of an experiment, whose results are in a JSON file or will be.

        Raises:
            InputError: the file is damaged, and would be lost if it were written anew.
        """
        try:
            cells = json.loads(results.read_text("utf-8"))["cells"]
            finished = {(e["row"], e["run"]): e for e in cells if e["state"] == "finished"}
            for each in finished.values():
                _check_known(each)
        except (FileNotFoundError, NotADirectoryError):  # whether it can be is found out later
            return cls(runs_dir, {})
        except OSError as error:
            raise InputError(f"{results}: cannot be read: {error.strerror}") from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InputError(
                f"{results}: it is damaged, or no results of hero-tui bench; restore it, remove "
                "it, or choose another folder with -o"
            ) from None
        return cls(runs_dir, finished)

    def result_of(self, cell: Cell) -> Result:
        """A cell, as the JSON file has it.

        Raises:
            InputError: its run is damaged.
        """
        found = result_of(cell, self.runs_dir)
        if found["state"] == "finished":
            return found
        return self.earlier.get((cell.row, cell.name), found)

    def check_same_rows(self, cells: Sequence[Cell], file: Path) -> None:
        """Other seeds and tasks come together in a table, but not other settings.

        Raises:
            InputError: `file`, where the earlier results are, has a row of the same name.
        """
        asked = {(cell.task.name, cell.row): cell for cell in cells}
        for earlier in self.earlier.values():
            cell = asked.get((earlier["task"], earlier["row"]))
            if cell is None:
                continue
            theirs, ours = (
                {
                    "labeler": e["labeler"],
                    "prompts": e["prompts"],
                    **with_later_settings(e["settings"]),
                }
                for e in (earlier, result_of(cell, self.runs_dir))
            )
            differing = [name for name in ours if ours[name] != theirs.get(name)]
            if differing:
                raise InputError(
                    f"{file}: has finished cells of {cell.task.name}, {cell.row}, with another "
                    f"{' and '.join(differing)}; choose another folder for these with -o, or "
                    "remove the file"
                )

    def is_done(self, cell: Cell) -> bool:
        """Whether a cell's run is finished, and its pictures are judged as its row wants."""
        return bool(self.result_of(cell)["state"] == "finished")


def _check_known(earlier: Result) -> None:
    """Reads a finished cell of the JSON file as a table does, and raises what that raises."""
    missing = {"task", "variant", "seed", "labels", "labeler", "prompts"} - earlier.keys()
    if missing or not isinstance(earlier["settings"], dict):
        raise ValueError(missing)
    for column in COLUMNS.values():
        column.of(earlier)


def result_of(cell: Cell, runs_dir: Path) -> dict[str, Any]:
    """A cell, by its run; its `state` is `missing` before that is begun.

    Raises:
        InputError: its run is damaged.
    """
    task, folder = cell.task, cell.folder(runs_dir)
    found: dict[str, Any] = {
        "run": cell.name,
        "task": task.name,
        "row": cell.row,
        "variant": cell.variant.name,
        "method": task.method,
        "seed": task.seed,
        "labels": task.labels_budget,
        "labeler": cell.labeler if task.labels_budget else None,
        "labelled": task.asks_for_labels,
        "has_pool": task.has_pool,
        "settings": settings_of(task),
        "prompts": list(task.prompts),
        "state": "missing",
        "history": [],
        "seconds": None,
    }
    if not folder.record_file.exists():
        return found
    now, notes = status(folder), notes_of(folder)
    found["state"], found["history"] = now["state"], now["history"]
    if "final" in now:
        found["final"] = now["final"]
    spent = notes.get("spent", [])
    # The first rounds of another cell's run were not paid for here.
    found["seconds"] = None if "begins" in notes else _sum(spent)
    found["attempts"] = len(spent)
    for name in ("machine", "versions", "measured", "begins"):
        if name in notes:
            found[name] = notes[name]
    if now["state"] == "finished" and not _is_judged(cell, found.get("measured", {})):
        found["state"] = "not judged"
    return found


def _is_judged(cell: Cell, measured: Mapping[str, Mapping[str, int]]) -> bool:
    return set(cell.variant.judges) <= measured.get("fresh", {}).keys()


def _sum(spent: Sequence[float | None]) -> float | None:
    """Seconds of all attempts; None where one was killed, so that nobody counted."""
    known = [seconds for seconds in spent if seconds is not None]
    return round(sum(known), 1) if known and len(known) == len(spent) else None


def results(
    experiment: Experiment, cells: Sequence[Cell], known: Known, how: Mapping[str, Any]
) -> dict[str, Any]:
    """All that is known of an experiment now, other seeds and tasks too. `how`: it was asked for
    and run.
    """
    found = [known.result_of(cell) for cell in cells]
    there = {each["run"] for each in found}
    found += [earlier for earlier in known.earlier.values() if earlier["run"] not in there]
    finished = sum(each["state"] == "finished" for each in found)
    return {
        "bench": experiment.name,
        "what": experiment.what,
        "complete": finished == len(found),
        "finished": finished,
        "cells_in_all": len(found),
        **how,
        "cells": found,
    }


def finished_cells(found: Mapping[str, Any]) -> list[Result]:
    """The results of the cells that are finished, each run once in each row."""
    once = {(each["task"], each["row"], each["run"]): each for each in found["cells"]}
    return [each for each in once.values() if each["state"] == "finished"]


def write_results(folder: Path, found: Mapping[str, Any], table: str) -> None:
    """Writes NAME.json and NAME.md.

    Raises:
        InputError: they cannot be written.
    """
    try:
        _write(folder / f"{found['bench']}.json", found)
        write_complete(folder / f"{found['bench']}.md", lambda path: _put(path, table))
    except OSError as error:
        raise InputError(
            f"{error.filename or folder}: cannot be written: {error.strerror}; choose another "
            "folder for the results with -o"
        ) from None


def check_writable(folder: Path, what: str, option: str) -> None:
    """Makes the folder, and finds out whether files can be made in it, before hours of work.

    Args:
        what: is written there.
        option: chooses it.

    Raises:
        InputError: they cannot.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{folder}: no {what} can be written there: {error.strerror}; expected a folder, or a "
            f"place for one, that you may write to; choose it with {option}"
        ) from None


def here() -> dict[str, Any]:
    """This machine and the versions of what computes on it."""
    return {
        "machine": f"{_processor()}, {platform.system()} {platform.machine()}; {_computes_on()}",
        "versions": {
            "hero-tui": __version__,
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "a processor of unknown kind"


def _computes_on() -> str:
    """The engine's device, and the precision that `auto` stands for there: only it loads torch."""
    with _ASKING:  # cells that end together ask once
        return _asked()


@cache
def _asked() -> str:
    asked = subprocess.run(command("doctor", EMBEDDED), capture_output=True, text=True)
    lines = (line.partition("  ") for line in asked.stdout.splitlines())
    facts = {label: value.strip() for label, _, value in lines}
    return f"{facts.get('device', 'an unknown device')}, {facts.get('precision', 'unknown')}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _write(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_complete(path, lambda temporary: _put(temporary, text))


def _put(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
