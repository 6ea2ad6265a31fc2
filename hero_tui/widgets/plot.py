"""Plots of text: bars for a few numbers, dots for a curve."""

from collections.abc import Sequence

from textual.content import Content

from hero_engine.run.intervals import Rate
from hero_engine.run.methods import CLEAN_LATENTS
from hero_tui.client.runview import RunView
from hero_tui.theme import FAINT, QUIET
from hero_tui.widgets.run_widget import RunWidget

EIGHTHS = " ▁▂▃▄▅▆▇█"
# The dot of each (column, row) of a Braille character's 2x4 dots.
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def bars(shares: Sequence[float], width: int, height: int) -> list[str]:
    """Upright bars of shares in [0, 1] in `height` lines: each `width` wide, its percentage above.

    Bars are one blank column apart.
    """
    columns = []
    for share in shares:
        eighths = round(share * (height - 1) * 8)
        full, part = divmod(eighths, 8)
        column = [EIGHTHS[8] * width] * full + [EIGHTHS[part] * width] * bool(part)
        column += [f"{share:.0%}".center(width)]
        columns.append(column + [" " * width] * (height - len(column)))
    return [" ".join(line) for line in reversed(list(zip(*columns, strict=True)))]


def curve(values: Sequence[float], width: int, height: int) -> list[str]:
    """A curve of dots in `width` x `height` cells, from its least value to its largest."""
    cells = [[0] * width for _ in range(height)]
    span = (max(values) - min(values)) or 1.0
    largest = min(values) + span
    columns, previous = 2 * width, 0
    for column in range(columns):
        at = column * (len(values) - 1) / max(1, columns - 1)
        low = int(at)
        high = min(low + 1, len(values) - 1)
        value = values[low] + (values[high] - values[low]) * (at - low)
        dot = round((largest - value) / span * (4 * height - 1))
        # Steep stretches are joined: every dot between the last height and this one.
        step = 1 if dot >= previous else -1
        for between in range(previous + step, dot, step) if column else ():
            cells[between // 4][column // 2] |= DOTS[column % 2][between % 4]
        cells[dot // 4][column // 2] |= DOTS[column % 2][dot % 4]
        previous = dot
    return ["".join(chr(0x2800 + cell) for cell in line) for line in cells]


class SuccessPlot(RunWidget):
    """Good pictures a round, as a share of the labelled ones; at the end, of the final model."""

    DEFAULT_CSS = """
    SuccessPlot { color: $success; }
    """

    def drawn_of(self, view: RunView) -> object:
        return view.outcomes, view.figures, view.task

    def render(self) -> Content:
        view = self.view
        title = Content.styled("Good pictures by round\n", "bold $text")
        if not view.outcomes:
            taught = view.start is not None and view.task.update.objective in CLEAN_LATENTS
            can = "has learned already" if taught else "can do alone"
            return Content.assemble(
                title, (f"  The first round shows what the model {can}.", QUIET)
            )
        width, height = self.content_size
        rates = [(str(o.round.number), o.success_rate) for o in view.outcomes]
        known = [(name, rate) for name, rate in rates if rate is not None]
        final = [
            (noise, Rate.of(view.figures[noise]).share)
            for noise in ("base", "fresh", "pi")
            if noise in view.figures and view.figures[noise]["images"]
        ]
        known += final
        # A bar is as wide as its name at least; the first rounds go when there is no room.
        least = 5 if final else 4
        room = max(1, (width - 1) // (least + 1))
        known = known[-room:]
        to_come = [] if final else range(len(view.outcomes), view.task.feedback.rounds)
        names = [*(name for name, _ in known), *map(str, to_come)][:room]
        if not names:
            return Content.assemble(title, ("  Every picture was unsure.", QUIET))
        bar_width = max(least, min(12, (width - 1) // len(names) - 1))
        lines = bars([share for _, share in known], bar_width, height - 3)
        floor = "─" * (len(names) * (bar_width + 1) - 1)
        labels = " ".join(name.center(bar_width) for name in names)
        return Content.assemble(
            title,
            *((f" {line}\n", "$success") for line in lines),
            (f" {floor}\n", FAINT),
            (f" {labels}", QUIET),
        )
