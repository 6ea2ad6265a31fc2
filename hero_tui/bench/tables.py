"""The Markdown of an experiment: its table beside the paper's figures, and how it was made."""

from collections.abc import Mapping, Sequence
from typing import Any

from hero_tui.bench.experiments import Experiment
from hero_tui.bench.measures import COLUMNS, Column, Kind, Mean, Result, mean_of
from hero_tui.bench.paper import PAPER
from hero_tui.bench.results import finished_cells

DASH = "–"  # noqa: RUF001


def rows(found: Mapping[str, Any]) -> dict[tuple[str, str], list[Result]]:
    """The finished cells of every row that there will be, by task and row."""
    grouped: dict[tuple[str, str], list[Result]] = {
        (each["task"], each["row"]): [] for each in found["cells"]
    }
    for each in finished_cells(found):
        grouped[each["task"], each["row"]].append(each)
    order = list(dict.fromkeys(task for task, _ in grouped))
    return dict(sorted(grouped.items(), key=lambda item: order.index(item[0][0])))


def markdown(experiment: Experiment, found: Mapping[str, Any]) -> str:
    """NAME.md."""
    lines = [f"# {experiment.name}", "", experiment.what, "", _standing(found), ""]
    lines += _table(experiment, found)
    if experiment.by_round:
        lines += ["", "Success by round, mean over seeds:", "", *_by_round(found)]
    lines += ["", f"Mean over seeds {chr(177)} standard deviation. {_paper(experiment)}"]
    lines += [f"\n{note}" for note in experiment.notes]
    lines += ["", *_made(found)]
    return "\n".join(lines) + "\n"


def _standing(found: Mapping[str, Any]) -> str:
    said = f"{found['finished']} of {found['cells_in_all']} cells are finished"
    if found["complete"]:
        return f"All {found['cells_in_all']} cells are finished."
    return f"**Partial: {said}.**"


def _table(experiment: Experiment, found: Mapping[str, Any]) -> list[str]:
    columns = [COLUMNS[name] for name in experiment.columns]
    paper = PAPER.get(experiment.name, {})
    headings = ["Task", "Row", "Labels", "Seeds", *(column.heading for column in columns)]
    if paper:
        headings.append("Paper (Stable Diffusion 1.5, people)")
    lines = [_line(headings), "|" + "---|" * len(headings)]
    for (task, row), results in rows(found).items():
        of_row = next(e for e in found["cells"] if (e["task"], e["row"]) == (task, row))
        line = [task, row, str(of_row["labels"]), str(len(results))]
        line += [cell_of(column, results) for column in columns]
        if paper:
            known = paper.get((task, row)) or paper.get((task, of_row["variant"]))
            line.append(f"{known[0]:.3f} ({known[1]})" if known else DASH)
        lines.append(_line(line))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell_of(column: Column, results: Sequence[Result]) -> str:
    """A mean with its deviation, or a dash."""
    found = mean_of([column.of(result) for result in results])
    if found is None:
        return DASH
    said = shown(found, column.kind)
    # What some seeds never reach, such as a rate.
    return said if found.seeds == len(results) else f"{said} ({found.seeds} of {len(results)})"


def shown(found: Mean, kind: Kind) -> str:
    """A mean, as its kind is written."""
    digits = {"share": 2, "number": 3, "seconds": 1, "labels": 0, "round": 1}[kind]
    spread = "" if found.deviation is None else f" {chr(177)} {found.deviation:.{digits}f}"
    return f"{found.mean:.{digits}f}{spread}"


def _by_round(found: Mapping[str, Any]) -> list[str]:
    lines = ["| Task | Row | Success | Norm of z_T |", "|---|---|---|---|"]
    for (task, row), results in rows(found).items():
        success = by_round(results, "success_rate")
        norms = by_round(results, "noise_norm")
        lines.append(
            _line(
                [
                    task,
                    row,
                    " ".join(f"{value.mean:.2f}" for value in success) or DASH,
                    " ".join(f"{value.mean:.2f}" for value in norms) or DASH,
                ]
            )
        )
    return lines


def by_round(results: Sequence[Result], measure: str) -> list[Mean]:
    """The mean of a measure in each round, up to the first that nobody has."""
    means = []
    for number in range(max((len(result["history"]) for result in results), default=0)):
        values = [r["history"][number][measure] for r in results if number < len(r["history"])]
        found = mean_of(values)
        if found is None:
            break
        means.append(found)
    return means


def _paper(experiment: Experiment) -> str:
    if experiment.name not in PAPER:
        return "The paper has no such table, or says its figures in drawings only."
    return (
        "The paper's figures are of another model, other pictures and people's labels: they stand "
        "there for what comes before what, not to be reached."
    )


def _made(found: Mapping[str, Any]) -> list[str]:
    lines = [f"Made by `{found['command']}`."]
    if found.get("jobs"):
        lines.append(f"\n{found['jobs']}")
    finished = finished_cells(found)
    machines = sorted({each["machine"] for each in finished if "machine" in each})
    versions = sorted(
        {
            ", ".join(f"{name} {number}" for name, number in each["versions"].items())
            for each in finished
            if "versions" in each
        }
    )
    lines += [f"\nOn {machine}." for machine in machines]
    lines += [f"\nWith {each}." for each in versions]
    return lines
