"""A cell of an experiment: one run, named by what determines it.

So a finished cell is a finished run, found again by its name; one that several experiments ask for
is run once; and one whose settings have changed is another cell.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder, create_run
from hero_engine.run.judges import why_no_oracle
from hero_engine.run.resolve import resolve
from hero_engine.run.task import Task

ORACLE = "oracle"
"""Who labels, if no function of the form module:function does."""

HASH_DIGITS = 8


@dataclass(frozen=True)
class Variant:
    """A row of an experiment's table, for every task and seed.

    Attributes:
        name: in the table.
        method: of `hero_engine.run.methods`.
        overrides: settings, as for `--set`; the user's own win over them.
        fixed: settings that win over the user's, because without them it is another row.
        labels: the budget, in whole rounds; None: the task's, or the method's.
        labeler: module:function; None: the oracle, or the user's own.
        tasks: the only ones that have it; (): all.
        judges: of `raters.JUDGES`, what else is asked of its last pictures.
        pictures: those that the judges see: of the final evaluation, or of the transfer prompts.
        prompts: asked for: the task's own, or its transfer prompts.
    """

    name: str
    method: str = "hero"
    overrides: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    labels: int | None = None
    labeler: str | None = None
    tasks: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    pictures: Literal["final", "transfer"] = "final"
    prompts: Literal["own", "transfer"] = "own"


@dataclass(frozen=True)
class Cell:
    """A variant of a task with a seed, every setting settled. `labeler` as in `ORACLE`."""

    variant: Variant
    task: Task
    labeler: str

    @property
    def name(self) -> str:
        """Of its run: for people, and a hash of what determines it.

        What is at its default is left out: a setting that a later version has besides, which
        leaves all as it was, makes no other cell.
        """
        settings = self.task.model_dump(mode="json", exclude_defaults=True)
        told = {"task": settings, "labeler": self.labeler}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        method = self.task.method.replace("+", "-plus")
        return f"{self.task.name}-{method}-s{self.task.seed}-{digest[:HASH_DIGITS]}"

    @property
    def title(self) -> str:
        """For people: which it is."""
        return f"{self.task.name}, {self.row}, seed {self.task.seed}"

    @property
    def row(self) -> str:
        """The variant, with its budget if the experiment has several."""
        labels = f" at {self.task.labels_budget} labels" if self.variant.labels else ""
        return f"{self.variant.name}{labels}"

    def is_beginning_of(self, other: "Cell") -> bool:
        """Whether its run is the first rounds of the other's, which has more."""
        rounds = self.task.feedback.rounds
        return (
            0 < rounds < other.task.feedback.rounds
            and self.labeler == other.labeler
            # This objective learns once, after the last round.
            and self.task.update.objective != "supervised"
            and self.task == _with_rounds(other.task, rounds)
        )

    def shares_base_with(self, other: "Cell") -> bool:
        """Whether the base model draws the same pictures for both evaluations."""
        return all(getattr(self.task, name) == getattr(other.task, name) for name in _OF_THE_BASE)

    def folder(self, runs_dir: Path) -> RunFolder:
        """Where its run is, or will be."""
        return RunFolder(runs_dir.absolute() / self.name)

    def made(self, runs_dir: Path) -> RunFolder:
        """Its run, made now if it is not there yet.

        Raises:
            InputError: the folder cannot be made.
        """
        folder = self.folder(runs_dir)
        if folder.record_file.exists():
            return folder
        try:
            return create_run(runs_dir.absolute(), self.task, self.name)
        except InputError:
            if folder.record_file.exists():  # another bench was faster
                return folder
            raise


_OF_THE_BASE = (
    *("model", "revision", "variant", "config", "precision", "long_prompts", "seed", "sampling"),
    *("prompts", "negative_prompt", "evaluation"),
)
"""What of a task determines the base model's pictures."""


def _with_rounds(task: Task, rounds: int) -> Task:
    feedback = task.feedback.model_copy(update={"rounds": rounds})
    return task.model_copy(update={"feedback": feedback})


def settle(
    variant: Variant,
    task: str,
    seed: int,
    *,
    model: str,
    labeler: str | None = None,
    overrides: Sequence[str] = (),
) -> Cell:
    """The cell of a variant for a task, by its name or file.

    Args:
        labeler: of the user's own, for a variant that has none.
        overrides: of the user's own, as for `--set`.

    Raises:
        InputError: there is no such task, a setting is wrong, or nobody can label its pictures.
    """

    def resolved(*more: str) -> Task:
        return resolve(task, model=model, method=variant.method, seed=seed, overrides=more).task

    given = [*variant.overrides, *overrides]
    fixed = list(variant.fixed)
    if variant.prompts == "transfer":
        fixed += [f"prompts={json.dumps(resolved(*given).transfer_prompts)}"]
    if variant.labels is not None:
        batch = resolved(*given).feedback.batch_size
        # The user's own number of rounds, as in a reduced form, comes after.
        given.insert(0, f"feedback.rounds={max(1, variant.labels // batch)}")
    settled = resolved(*given, *fixed)
    who = variant.labeler or labeler or ORACLE
    problem = why_no_oracle(settled) if who == ORACLE and settled.asks_for_labels else None
    if problem is not None:
        raise InputError(f"hero-tui bench, {settled.name}: {problem}, with --labeler")
    return Cell(variant, settled, who)


def with_later_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `settings_of` an earlier version said, with the defaults of what it did not have."""
    complete = dict(settings)
    for name, values in settings.items():
        field = Task.model_fields.get(name)
        if isinstance(values, dict) and field is not None and field.annotation is not None:
            complete[name] = field.annotation().model_dump(mode="json") | values
    return complete


def settings_of(task: Task) -> dict[str, Any]:
    """What of a task a result says: its sections and its model, not its words."""
    told = task.model_dump(mode="json")
    sections = {name: value for name, value in told.items() if isinstance(value, dict)}
    return {"model": task.model, "precision": task.precision, **sections}
