"""The drawing of a bench as an SVG file: panels of curves or of bars, with deviations over seeds.

It reads the `figure` of a results file (`hero_tui/bench/figures.py`) and nothing else: the
same values make the same bytes, with the same version of matplotlib.
"""

import json
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hero_engine.errors import InputError
from hero_engine.results.report.palette import DARK, LIGHT
from hero_engine.results.report.plots import DASHES, MARKS, STYLE
from hero_engine.run.folder import write_complete

PANEL = (6.4, 2.9)
"""In inches, of each: they stand below one another."""
ON_WHITE: Mapping[Any, Any] = {
    **{
        key: next((LIGHT[name] for name, dark in DARK.items() if dark == value), value)
        for key, value in STYLE.items()
    },
    "figure.facecolor": LIGHT["background"],
}
COLOURS = [LIGHT[name] for name in ("good", "best", "unsure", "foreground")]
FILLS = [LIGHT[name] for name in ("quiet", "unsure", "best", "faint", "good", "foreground")]
HATCHES = ("", "///", "|||", "xxx")
"""Dots would take a hundred kilobytes of an SVG file."""


def write_figure(source: Path, destination: Path) -> None:
    """Draws the `figure` of the results in `source` into the file `destination`.

    Raises:
        InputError: the results cannot be read, there is nothing to draw, or the file cannot be
            written.
    """
    try:
        panels = json.loads(source.read_text("utf-8"))["figure"]["panels"]
        drawing = drawn(panels)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{source}: it has no figure to draw: {error}") from None
    try:
        write_complete(destination, lambda path: _put(path, drawing))
    except OSError as error:
        raise InputError(f"{destination}: cannot be written: {error.strerror}") from None


def drawn(panels: list[dict[str, Any]]) -> str:
    """The SVG of the panels, one below another.

    Raises:
        ValueError: there is none.
    """
    if not panels:
        raise ValueError("nothing is finished yet")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever is in a matplotlibrc
        matplotlib.rcParams.update({**ON_WHITE, "svg.hashsalt": "hero-tui bench"})
        figure = Figure((PANEL[0], PANEL[1] * len(panels)), layout="constrained")
        for axes, panel in zip(
            figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True
        ):
            axes.set_axisbelow(True)
            axes.set_title(panel["title"], fontsize=9, loc="left")
            if panel["kind"] == "curves":
                _curves(axes, panel)
            else:
                _bars(axes, panel)
            if panel["percent"]:
                axes.set_ylim(-0.02, 1.02)
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.4)
        file = StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    # Which version of matplotlib drew it changes nothing that one sees.
    return re.sub(r"<metadata>.*?</metadata>\n?", "", file.getvalue(), flags=re.DOTALL)


def _curves(axes: Axes, panel: dict[str, Any]) -> None:
    for series in panel["series"]:
        turn, of_four = divmod(series["place"], len(COLOURS))
        colour = COLOURS[of_four]
        dash = DASHES[(of_four + turn) % len(DASHES)]
        xs = [x for x, _, _ in series["points"]]
        ys = [y for _, y, _ in series["points"]]
        marks = MARKS[series["place"] % len(MARKS)]
        axes.plot(xs, ys, dash, color=colour, marker=marks, label=series["name"])
        around = [deviation or 0.0 for _, _, deviation in series["points"]]
        if any(around):
            low = [y - spread for y, spread in zip(ys, around, strict=True)]
            high = [y + spread for y, spread in zip(ys, around, strict=True)]
            axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel(panel["x"], labelpad=1)


def _bars(axes: Axes, panel: dict[str, Any]) -> None:
    count = len(panel["series"])
    width = 0.84 / count
    for number, series in enumerate(panel["series"]):
        turn, of_six = divmod(series["place"], len(FILLS))
        turn += series["shade"]
        offset = (number - (count - 1) / 2) * width
        xs = [x + offset for x, _, _ in series["points"]]
        ys = [y for _, y, _ in series["points"]]
        axes.bar(
            xs, ys, width * 0.92, color=FILLS[of_six],
            hatch=HATCHES[turn % len(HATCHES)], edgecolor=LIGHT["background"], linewidth=0.4,
            label=series["name"],
        )  # fmt: skip
        for x, (_, y, deviation) in zip(xs, series["points"], strict=True):
            if deviation is not None:
                ends = [y - deviation, y + deviation]
                axes.plot([x, x], ends, color=LIGHT["foreground"], linewidth=0.9)
    axes.set_xticks(range(len(panel["groups"])), panel["groups"])
    axes.set_xlim(-0.5, len(panel["groups"]) - 0.5)
    axes.grid(visible=False, axis="x")


def _put(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))
