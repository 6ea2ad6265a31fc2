"""Curves as SVG, by matplotlib: small, alike, and in the page's own colours and letters.

What they show is told in words by the page around them, so no text of a run is drawn here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from math import isnan
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from hero_engine.results.report.facts import Success
from hero_engine.results.report.html import Html, element, shown
from hero_engine.results.report.palette import DARK, as_variables

SIZE = (4.2, 2.3)
"""In inches; a page shows it about a third larger than its letters of 8 points."""
INSIDE = (0.125, 0.155, 0.86, 0.815)
STYLE: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 8,
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib; the page has letters of its own
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": DARK["quiet"],
    "axes.edgecolor": DARK["faint"],
    "axes.labelcolor": DARK["quiet"],
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": DARK["panel"],
    "grid.linewidth": 0.6,
    "xtick.color": DARK["quiet"],
    "ytick.color": DARK["quiet"],
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.labelcolor": DARK["foreground"],
    # Every curve whole: the files are small anyway, and their bytes depend on nothing else.
    "path.simplify": False,
}
# Of several runs: never by colour alone.
COLOURS = [DARK[name] for name in ("good", "best", "unsure", "foreground")]
MARKS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Curve:
    """Points (x, y), and with `successes` their intervals; `name` is for the legend.

    Points that are no number make gaps. A run has the same colour, mark and dashes in every plot,
    those of its `place` among the runs.
    """

    points: Sequence[tuple[float, float]]
    name: str = ""
    place: int = 0
    successes: Sequence[Success] = ()


def line_plot(title: str, curves: Sequence[Curve], x: str, percent: bool = False) -> Html:
    """Curves over rounds or labels, as a figure with its title in words; nothing of no points.

    Every curve has dashes of its own, and marks where it has a point a round.

    Args:
        x: what is to the right, in a word.
        percent: the values are shares from 0 to 1.
    """
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return Html()
    with _axes(title) as (axes, found):
        for curve in curves:
            turn, of_four = divmod(curve.place, len(COLOURS))
            colour, mark = COLOURS[of_four], MARKS[curve.place % len(MARKS)]
            dash = DASHES[(of_four + turn) % len(DASHES)]
            xs, ys = [at for at, _ in curve.points], [value for _, value in curve.points]
            mark = "" if any(map(isnan, ys)) else mark  # steps would hide one another
            axes.plot(xs, ys, dash, color=colour, marker=mark, label=curve.name or None)
            for at, success in zip(xs, curve.successes, strict=False):
                axes.plot([at, at], success.interval, color=colour, linewidth=0.9, alpha=0.6)
        _finish(axes, x, percent)
        if len(curves) > 1:
            axes.legend(fontsize=7, ncols=min(len(curves), 4), loc="best", handlelength=1.5)
    return found[0]


def success_plot(rounds: Sequence[tuple[int, Success]], finals: Mapping[str, Success]) -> Html:
    """Success by round with its intervals, and at the right that of the final evaluation."""
    judged = [(number, success) for number, success in rounds if success.rate is not None]
    after = {name: success for name, success in finals.items() if success.rate is not None}
    if not judged and not after:
        return Html()
    with _axes("Success, with 95 % intervals") as (axes, found):
        last = max((number for number, _ in rounds), default=-1)
        places = {name: last + 1 + number for number, name in enumerate(after)}
        _intervals(axes, judged, DARK["good"], "o-")
        _intervals(axes, [(places[name], s) for name, s in after.items()], DARK["best"], "D")
        if after and judged:
            axes.axvline(last + 0.5, color=DARK["faint"], linewidth=0.6, linestyle=":")
        _finish(axes, "round", percent=True)
        step = max(1, -(-len(rounds) // 12))
        ticks = [number for number, _ in rounds][::step]
        axes.set_xticks([*ticks, *places.values()], [*map(str, ticks), *places])
        axes.set_xlim(-0.5, last + len(after) + 0.5)
    return found[0]


def _intervals(axes: Axes, at: Sequence[tuple[float, Success]], colour: str, form: str) -> None:
    axes.plot([x for x, _ in at], [s.rate or 0.0 for _, s in at], form, color=colour)
    for x, success in at:
        axes.plot([x, x], success.interval, color=colour, linewidth=1.0, alpha=0.7)


def time_plot(rounds: Sequence[tuple[int, float, float]]) -> Html:
    """(round, seconds labelled, seconds waited), side by side; nothing of no rounds."""
    if not rounds:
        return Html()
    longest = max(max(labelled, waited) for _, labelled, waited in rounds)
    unit, seconds = ("Minutes", 60) if longest > 120 else ("Seconds", 1)
    with _axes(f"{unit} labelled and waited, by round") as (axes, found):
        numbers = [number for number, _, _ in rounds]
        labelled = [each / seconds for _, each, _ in rounds]
        waited = [each / seconds for _, _, each in rounds]
        axes.bar([n - 0.2 for n in numbers], labelled, 0.38, color=DARK["good"], label="labelled")
        axes.bar(
            [n + 0.2 for n in numbers], waited, 0.38,
            facecolor="none", edgecolor=DARK["best"], hatch="////", label="waited",
        )  # fmt: skip
        axes.set_xlim(-0.6, numbers[-1] + 0.6)
        axes.set_ylim(0, 1.25 * (longest / seconds or 1))  # room for the legend
        axes.legend(fontsize=7, ncols=2, loc="upper left", handlelength=1.5)
        _finish(axes, "round", percent=False)
    return found[0]


@contextmanager
def _axes(title: str) -> Iterator[tuple[Axes, list[Html]]]:
    """Axes to draw on; afterwards the list has the figure."""
    found: list[Html] = []
    # The title is salt, too: what is defined in one drawing has no name of another's.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever is in a matplotlibrc
        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": title})
        figure = Figure(SIZE)
        axes = figure.add_axes(INSIDE)
        axes.set_axisbelow(True)
        yield axes, found
        found.append(_figure(title, figure))


def _finish(axes: Axes, x: str, percent: bool) -> None:
    axes.set_xlabel(x, labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left, right = axes.get_xlim()
    if right - left < 1:  # a single round has a whole number, too
        middle = (left + right) / 2
        axes.set_xlim(middle - 0.6, middle + 0.6)
    if percent:
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _figure(title: str, figure: Figure) -> Html:
    file = StringIO()
    # Without a date; what else is said of the file is cut off below.
    figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)  # nothing refers to those of groups
    drawing = re.sub(
        r"^.*?<svg ([^>]*?)>",
        lambda _: (
            f'<svg viewBox="0 0 {SIZE[0] * 72:g} {SIZE[1] * 72:g}" '
            'xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'role="img" aria-label="{shown(title)}">'
        ),
        svg,
        count=1,
        flags=re.DOTALL,
    )
    caption = element("figcaption", title)
    return element("figure", caption, Html(as_variables(drawing)), class_="plot")
