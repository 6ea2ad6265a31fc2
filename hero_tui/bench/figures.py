"""What an experiment's drawing shows, as values; the engine's matplotlib draws it.

The same results make the same values, and so the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hero_tui.bench.experiments import Bars, Curves, Experiment
from hero_tui.bench.measures import COLUMNS, Mean, Result, mean_of
from hero_tui.bench.tables import by_round, rows

Panel = dict[str, Any]


def figure(experiment: Experiment, found: Mapping[str, Any]) -> dict[str, Any]:
    """The panels of NAME.svg, as `hero_engine.results.report.figure` reads them."""
    panels: list[Panel] = []
    for each in experiment.figures:
        panels += _curves(each, found) if isinstance(each, Curves) else [_bars(each, found)]
    return {"panels": [panel for panel in panels if panel["series"]]}


def _curves(wanted: Curves, found: Mapping[str, Any]) -> list[Panel]:
    of_task: dict[str, Panel] = {}
    places: dict[str, int] = {}
    for (task, row), results in rows(found).items():
        variant = results[0]["variant"] if results else ""
        place = places.setdefault(row, len(places))
        if not results or (wanted.variants and variant not in wanted.variants):
            continue
        panel = of_task.setdefault(
            task,
            {
                "kind": "curves",
                "title": f"{wanted.title}: {task}",
                "x": "labels before the round",
                "percent": wanted.percent,
                "series": [],
            },
        )
        points = [
            _point(_labels_before(results[0], number), value)
            for number, value in enumerate(by_round(results, wanted.measure))
        ]
        if points:
            panel["series"].append({"name": row, "place": place, "points": points})
    return list(of_task.values())


def _labels_before(result: Result, number: int) -> int:
    return sum(r["images"] for r in result["history"][:number])


def _bars(wanted: Bars, found: Mapping[str, Any]) -> Panel:
    column = COLUMNS[wanted.column]
    grouped = rows(found)
    tasks = list(dict.fromkeys(task for task, _ in grouped))
    series: list[dict[str, Any]] = []
    variants = dict.fromkeys((each["variant"], each["row"]) for each in found["cells"])
    names = list(dict.fromkeys(variant for variant, _ in variants))
    for variant, row in variants:
        # The budgets of one system are shades of its colour.
        shade = [of for name, of in variants if name == variant].index(row)
        points = [
            _point(number, value)
            for number, task in enumerate(tasks)
            if (value := _mean(column.of, grouped.get((task, row), ()))) is not None
        ]
        if points:
            place = names.index(variant)
            series.append({"name": row, "place": place, "shade": shade, "points": points})
    return {
        "kind": "bars",
        "title": wanted.title,
        "groups": tasks,
        "percent": wanted.percent,
        "series": series,
    }


def _mean(of: Any, results: Sequence[Result]) -> Mean | None:
    return mean_of([of(result) for result in results])


def _point(x: float, value: Mean) -> list[float | None]:
    """[x, mean, deviation or None]."""
    deviation = None if value.deviation is None else round(value.deviation, 6)
    return [x, round(value.mean, 6), deviation]
