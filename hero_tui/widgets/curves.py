"""The training curves of the last submitted round, side by side."""

from textual.content import Content

from hero_tui.text import plain
from hero_tui.widgets.plot import curve
from hero_tui.widgets.run_widget import RunWidget

CURVE_WIDTH = 36


class Curves(RunWidget):
    """As many curves as there is room for, each with its name and latest value."""

    def render(self) -> Content:
        width, height = self.content_size
        columns = max(1, width // CURVE_WIDTH)
        cell = width // columns
        curves = [
            (plain(name.replace("_", " ")), [value for _, value in points])
            for name, points in sorted(self.view.curves.items())
            if len(points) > 1
        ]
        if not curves or height < 2:
            return Content("")
        rows = max(1, min(-(-len(curves) // columns), height // 5))
        plot_height = height // rows - 2
        blocks = []
        for row in range(rows):
            shown = curves[row * columns : (row + 1) * columns]
            blocks.append(
                Content("").join(
                    Content.assemble((name, "bold"), f" {values[-1]:.4g}".ljust(cell - len(name)))
                    for name, values in shown
                )
            )
            plots = [curve(values, cell - 3, plot_height) for _, values in shown]
            blocks += [
                Content.styled("   ".join(lines), "$primary") for lines in zip(*plots, strict=True)
            ]
            blocks.append(Content(""))
        return Content("\n").join(blocks)
