"""The training curves of the last submitted round, and diversity by round, side by side."""

from collections.abc import Iterator

from textual.content import Content

from hero_engine.run.text import plain
from hero_tui.client.runview import RunView
from hero_tui.theme import QUIET
from hero_tui.widgets.plot import curve
from hero_tui.widgets.run_widget import RunWidget

LEAST_WIDTH = 19
LARGEST_WIDTH = 50
# What tells most comes first; the engine's other metrics follow where there is room.
NAMES = {
    "embedding_loss": "embedding loss",
    "clip_fraction": "clip fraction",
    "approx_kl": "KL drift",
    "diversity": "diversity by round",
}


def curves_of(view: RunView) -> Iterator[tuple[str, list[float]]]:
    """(name, values) of what can be drawn: at least two values."""
    found = {name: [value for _, value in points] for name, points in view.curves.items()}
    found["diversity"] = [
        o.measured["diversity"] for o in view.outcomes if "diversity" in o.measured
    ]
    for name in [*NAMES, *sorted(found.keys() - NAMES.keys())]:
        values = found.get(name, [])
        if len(values) > 1:
            yield NAMES.get(name, plain(name.replace("_", " "))), values


class Curves(RunWidget):
    """As many curves as there is room for, each with its name and latest value."""

    def render(self) -> Content:
        width, height = self.content_size
        curves = list(curves_of(self.view))
        if not curves or height < 3:
            return Content("")
        rows = max(1, height // 10)
        columns = max(1, min(width // LEAST_WIDTH, -(-len(curves) // rows)))
        cell = min(LARGEST_WIDTH, width // columns)
        lines = []
        for row in range(rows):
            shown = curves[row * columns : (row + 1) * columns]
            if not shown:
                break
            names = "".join(name[: cell - 1].ljust(cell) for name, _ in shown)
            latest = "".join(f"{values[-1]:.3g}".ljust(cell) for _, values in shown)
            plots = [curve(values, cell - 2, height // rows - 3) for _, values in shown]
            lines += [Content.styled(names, "bold"), Content.styled(latest, QUIET)]
            lines += [
                Content.styled("  ".join(parts), "$primary") for parts in zip(*plots, strict=True)
            ]
            lines.append(Content(""))
        return Content("\n").join(lines)
