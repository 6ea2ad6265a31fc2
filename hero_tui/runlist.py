"""The runs of a folder and where each stands: for `hero-tui runs` and for the runs screen."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder, list_runs
from hero_engine.run.status import Status, status


@dataclass(frozen=True)
class ListedRun:
    """A run; `status` is None if it cannot be read, and `problem` then says why."""

    folder: RunFolder
    status: Status | None
    problem: str = ""

    @property
    def success_rate(self) -> float | None:
        """Of the last round that is labelled."""
        history = self.status["history"] if self.status else []
        return history[-1]["success_rate"] if history else None


def read_runs(runs_dir: Path, before: Iterable[ListedRun] = ()) -> tuple[ListedRun, ...]:
    """The runs of `runs_dir`, oldest first; what was finished `before` is not read again."""
    finished = {
        run.folder: run for run in before if run.status and run.status["state"] == "finished"
    }
    return tuple(finished.get(folder) or _read(folder) for folder in list_runs(runs_dir))


def _read(folder: RunFolder) -> ListedRun:
    try:
        return ListedRun(folder, status(folder))
    except (InputError, OSError) as error:
        return ListedRun(folder, None, str(error))
