"""`hero-tui bench NAME`: settles the cells, runs those that are not done, writes the results."""

import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hero_engine.cartoons import EMBEDDED, is_embedded
from hero_engine.errors import EngineError, InputError
from hero_tui.bench.cell import Cell, settle
from hero_tui.bench.estimate import clock, left_of, megabytes, pass_seconds
from hero_tui.bench.experiments import Experiment, find_experiment
from hero_tui.bench.figures import figure
from hero_tui.bench.measures import COLUMNS
from hero_tui.bench.results import Known, check_writable, result_of, results, write_results
from hero_tui.bench.side_by_side import (
    Board,
    cores,
    in_families,
    jobs_here,
    run_side_by_side,
    sigterm_as_ctrl_c,
)
from hero_tui.bench.tables import markdown
from hero_tui.bench.work import Outcome, Workshop
from hero_tui.headless.labelers import from_function
from hero_tui.output import message, table

RESULTS = Path("benchmarks") / "results"
RUNS = Path("runs") / "bench"
SEEDS = (0, 1, 2)
FINISHED, PAUSED = 0, 3
SETTLED = {
    "seed": "expected --seeds in its place",
    "model": "expected --model in its place",
    "method": "each row has its own; hero-tui run tries another",
    "name": "a table tells its tasks apart by their own names",
}
"""What `--set` cannot change here, and why."""


@dataclass(frozen=True)
class Asked:
    """The options of the command, as `hero-tui bench --help` says them."""

    name: str
    seeds: Sequence[str] = ()
    tasks: Sequence[str] = ()
    rows: Sequence[str] = ()
    model: str = EMBEDDED
    labeler: str | None = None
    overrides: Sequence[str] = ()
    jobs: int | None = None
    runs_dir: Path = RUNS
    output: Path = RESULTS

    @property
    def command(self) -> str:
        """How one asks for it again."""
        words = ["hero-tui", "bench", self.name]
        for option, values in (
            ("--seeds", self.seeds),
            ("--tasks", self.tasks),
            ("--rows", self.rows),
            ("--set", self.overrides),
        ):
            words += [word for value in values for word in (option, value)]
        words += [] if is_embedded(self.model) else ["--model", self.model]
        words += ["--labeler", self.labeler] if self.labeler else []
        words += ["--runs-dir", str(self.runs_dir)] if self.runs_dir != RUNS else []
        words += ["-o", str(self.output)] if self.output != RESULTS else []
        return shlex.join(words)


def bench(asked: Asked, dry_run: bool = False) -> int:
    """Runs an experiment, or says what it would run; the exit code: 0 finished, 3 interrupted.

    Raises:
        InputError: what was asked for is not possible; nothing is begun.
        EngineError: cells failed; the others are finished.
    """
    experiment = find_experiment(asked.name)
    cells = cells_of(experiment, asked)
    now = _in_rows(cells, asked)
    once = list({cell.name: cell for cell in now}.values())
    # A run that several rows want is done when all of them have what they want.
    file = asked.output / f"{asked.name}.json"
    known = Known.of(asked.runs_dir, file)
    known.check_same_rows(cells, file)
    wanting = [cell for cell in now if not known.is_done(cell)]
    todo = list({(cell.name, cell.variant.judges): cell for cell in wanting}.values())
    families = in_families(todo)
    jobs = max(1, min(_jobs(asked), len(families)))
    second = pass_seconds(
        (cell.task, known.result_of(cell)["seconds"]) for cell in once if cell not in wanting
    )
    if dry_run:
        _show(now, families, second, jobs)
        return FINISHED
    if asked.labeler is not None:
        from_function(asked.labeler)
    check_writable(asked.output, "results", "-o")
    check_writable(asked.runs_dir, "runs", "--runs-dir")
    # The table has all rows, so that the others come to it.
    how = {"command": replace(asked, rows=()).command, "model": asked.model}
    threads = 1 if is_embedded(asked.model) else None
    done = [cell for cell in once if cell.name not in {each.name for each in todo}]
    workshop = Workshop(asked.runs_dir, cells, threads)
    outcomes: list[Outcome] = []
    with (
        sigterm_as_ctrl_c(),
        closing(Board([*done, *todo], done, asked.runs_dir, jobs, second)) as board,
    ):
        board.say(_beginning(experiment, now, once, todo, jobs, threads))
        began = time.monotonic()

        def write() -> dict[str, Any]:
            elapsed = time.monotonic() - began
            spent = _spent(outcomes, jobs, threads, elapsed)
            found = results(experiment, cells, known, {**how, "jobs": spent})
            found["figure"] = figure(experiment, found)
            write_results(asked.output, found, markdown(experiment, found))
            return found

        def ended(outcome: Outcome) -> None:
            board.say(_said(outcome, experiment, asked.runs_dir, board.left()))
            outcomes.append(outcome)
            write()

        run_side_by_side(todo, workshop, jobs, ended, board)
        found = write()
        if outcomes:
            board.say(found["jobs"])
    _draw(asked, found)
    left = sum(not known.is_done(cell) for cell in now)
    return _end(asked, found, outcomes, left)


def cells_of(experiment: Experiment, asked: Asked) -> list[Cell]:
    """Every cell, a seed's before the next one's, so that early tables are whole ones of few seeds.

    Raises:
        InputError: a task, a seed or a setting is wrong, or the model or the labeler does not go
            with the experiment.
    """
    if experiment.own_raters and (asked.labeler or not is_embedded(asked.model)):
        raise InputError(
            f"hero-tui bench {asked.name}: it has raters of its own, who see the pictures of the "
            "embedded model only; expected no --labeler, and --model embedded or none"
        )
    for setting in asked.overrides:
        reason = SETTLED.get(setting.partition("=")[0].strip())
        if reason is not None:
            raise InputError(f"--set {setting}: {reason}")
    tasks = list(dict.fromkeys(_words(asked.tasks))) or list(experiment.tasks)
    limited = {task for variant in experiment.variants for task in variant.tasks}
    if limited and not set(tasks) <= limited:
        raise InputError(
            f"--tasks {','.join(tasks)}: expected, of {experiment.name}, "
            f"{' or '.join(sorted(limited))}: whoever judges looks at what only these show"
        )
    cells = [
        settle(
            variant, task, seed,
            model=asked.model, labeler=asked.labeler, overrides=asked.overrides,
        )
        for seed in seeds_of(asked.seeds)
        for task in tasks
        for variant in experiment.variants
        if not variant.tasks or task in variant.tasks
    ]  # fmt: skip
    _check_told_apart(experiment, cells)
    # With the user's own number of rounds, a method's budgets are one row.
    return list({(cell.name, cell.row): cell for cell in cells}.values())


def _in_rows(cells: Sequence[Cell], asked: Asked) -> list[Cell]:
    """Those of the rows that were asked for, by their whole name or without the labels.

    Raises:
        InputError: there is no such row.
    """
    if not asked.rows:
        return list(cells)
    there = {name for cell in cells for name in (cell.variant.name, cell.row)}
    # A row's own name may have a comma in it.
    given = [[text] if text in there else text.split(",") for text in asked.rows]
    names = [name.strip() for texts in given for name in texts]
    unknown = [name for name in names if name not in there]
    if unknown:
        rows = dict.fromkeys(cell.variant.name for cell in cells)
        raise InputError(
            f"--rows {', '.join(unknown)}: expected rows of {asked.name}: {', '.join(rows)}"
        )
    return [cell for cell in cells if cell.variant.name in names or cell.row in names]


def _check_told_apart(experiment: Experiment, cells: Sequence[Cell]) -> None:
    """A table of rows that are one run, or of a row that is two tasks, would say what is not so.

    Raises:
        InputError: it would.
    """
    runs: dict[str, Cell] = {}
    rows: dict[tuple[str, str, int], Cell] = {}
    for cell in cells:
        one = runs.setdefault(cell.name, cell)
        if one.row != cell.row:
            raise InputError(
                f"hero-tui bench {experiment.name}: with these settings {one.row} and {cell.row} "
                f"are the same run of {cell.task.name}; expected no --set, and no task, that takes "
                "away what they differ in"
            )
        task = cell.task.name
        if rows.setdefault((task, cell.row, cell.task.seed), cell).name != cell.name:
            raise InputError(
                f"--tasks: two tasks are called {task}, and would share its rows; give one of "
                "them another name"
            )


def seeds_of(given: Sequence[str]) -> list[int]:
    """The seeds of `0,1,2`, `0-2` and the like; `SEEDS` for none.

    Raises:
        InputError: one is no number.
    """
    seeds: list[int] = []
    for word in _words(given):
        found = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", word)
        first, last = (found[1], found[2] or found[1]) if found else ("1", "0")
        numbers = range(int(first), int(last) + 1)
        if not 0 < len(numbers) <= 1000:
            raise InputError(f"--seeds {word}: expected numbers from 0, such as 0,1,2 or 0-7")
        seeds += numbers
    return list(dict.fromkeys(seeds)) or list(SEEDS)


def _words(given: Iterable[str]) -> list[str]:
    return [word for text in given for word in re.split(r"[,\s]+", text.strip()) if word]


def _jobs(asked: Asked) -> int:
    if asked.jobs is not None:
        return asked.jobs
    # A model of the user's own may take a whole GPU, and all of its memory.
    return jobs_here() if is_embedded(asked.model) else 1


def _show(
    cells: Sequence[Cell], families: Sequence[Sequence[Cell]], second: float, jobs: int
) -> None:
    """The cells on stdout, and below them, on stderr, how long those of `families` take."""
    left = {cell.name: cell for family in families for cell in family}
    table(
        ["task", "row", "seed", "labels", "labeled by", "run", "state", "about"],
        [
            [
                cell.task.name,
                cell.row,
                str(cell.task.seed),
                str(cell.task.labels_budget),
                cell.labeler if cell.task.labels_budget else "",
                cell.name,
                "" if cell.name in left else "finished",
                clock(left_of(cell, cells) * second),
            ]
            for cell in cells
        ],
    )
    in_turn = [
        sum(left_of(cell, cells) for cell in {each.name: each for each in family}.values())
        for family in families
    ]
    # The runs of a family wait for each other.
    seconds = max(sum(in_turn) / jobs, max(in_turn, default=0.0)) * second
    space = sum(megabytes(cell.task) for cell in left.values()) / 1024
    message(
        f"{len(cells)} cells; {len(left)} runs to do: about {clock(seconds)}, {jobs} at a time, "
        f"and {space:.1f} GB of disk"
    )


def _beginning(
    experiment: Experiment,
    cells: Sequence[Cell],
    once: Sequence[Cell],
    todo: Sequence[Cell],
    jobs: int,
    threads: int | None,
) -> str:
    shared = len(cells) - len(once)
    said = f"{experiment.name}: {len(cells)} cells"
    said += f", of which {shared} are runs that another row has, too" if shared else ""
    left = len({cell.name for cell in todo})
    said += f"; {len(once) - left} are finished already" if len(once) > left else ""
    if not todo:
        return said
    return f"{said}. {_how(jobs, threads)}."


def _how(jobs: int, threads: int | None) -> str:
    each = "one thread each" if threads == 1 else "threads as the machine has them"
    return f"{jobs} at a time, {each}, on {cores()} cores"


def _spent(outcomes: Sequence[Outcome], jobs: int, threads: int | None, elapsed: float) -> str:
    """What the work of this call was, in words; "" if there was none."""
    if not outcomes:
        return ""
    finished = sum(outcome.state == "finished" for outcome in outcomes)
    together = sum(outcome.seconds for outcome in outcomes)
    return (
        f"The last call finished {finished} cells in {clock(elapsed)}, {_how(jobs, threads)}; "
        f"their own times add up to {clock(together)}."
    )


def _said(outcome: Outcome, experiment: Experiment, runs_dir: Path, left: str) -> str:
    title = outcome.cell.title
    if outcome.state != "finished":
        return f"{title}: {outcome.state}" + (f"; {outcome.said}" if outcome.said else "")
    found = result_of(outcome.cell, runs_dir)
    figures = [
        f"{column.heading} {value:.2f}"
        for name in experiment.columns
        if (column := COLUMNS[name]).kind == "share" and (value := column.of(found)) is not None
    ]
    return f"{title}: {', '.join(figures) or 'finished'} ({left})"


def _draw(asked: Asked, found: Mapping[str, Any]) -> None:
    """Says where the results are, and draws the plot if there is anything to draw."""
    from hero_tui.enginecommand import run_engine_command

    place = asked.output.absolute()
    for suffix in ("json", "md"):
        print(place / f"{asked.name}.{suffix}", flush=True)
    if found["figure"]["panels"]:
        names = (str(place / f"{asked.name}.{suffix}") for suffix in ("json", "svg"))
        run_engine_command("figure", *names)


def _end(asked: Asked, found: Mapping[str, Any], outcomes: Sequence[Outcome], left: int) -> int:
    again = f"`{asked.command}` goes on with the others; what is finished is kept"
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    there = f"{found['finished']} of {found['cells_in_all']} cells are finished"
    if failed:
        lines = [f"{outcome.cell.title}: {outcome.said}" for outcome in failed]
        count = f"{len(failed)} of {found['cells_in_all']} cells failed"
        raise EngineError("\n".join([f"hero-tui bench {asked.name}: {count}:", *lines, again]))
    if left:
        message(f"{there}; {again}.")
        return PAUSED
    if not found["complete"]:
        message(f"{there}; those of the other rows are left.")
    return FINISHED
