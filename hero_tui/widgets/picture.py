"""One picture, as large as fits its widget; blank until its turn on the link has come.

It asks for its drawing; `hero_tui.preview.layer` finds it on the screen and shows the drawing,
part by part, after the frame: lines of text through `reveal`, anything else over its blank cells.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from textual import work
from textual.filter import LineFilter
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from hero_tui.preview.drawing import Drawing, Placement, Text
from hero_tui.preview.pictures import Pictures
from hero_tui.textual_private import get_time


class Picture(Widget):
    """Draws the picture file at `path`."""

    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; color: $foreground 40%; }
    """

    class Ready(Message):
        """A picture has something to draw."""

    path: reactive[Path | None] = reactive(None, repaint=False)
    drawing: reactive[Drawing | None] = reactive(None, repaint=False)
    note: reactive[str] = reactive("")
    # Below the number that stands for the picture where pictures are off.
    hint: reactive[str] = reactive("", repaint=False)

    def __init__(self, pictures: Pictures, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = pictures
        self._drawn = False
        self._shown = float("inf")
        self._box = Size()
        self.revealed = 0
        self.parts_drawn = 0
        self.blank = False  # since the drawing came: else a frame would be written over it
        self.slow = False

    @property
    def complete(self) -> bool:
        """Whether the whole picture has been on the screen (or is known to be unreadable)."""
        shown = self._drawn or bool(self.note)
        return self.path is not None and shown and self._box == self.content_size

    def shown_before(self, when: float) -> bool:
        """Whether it was complete at that time (of `get_time`)."""
        return self.complete and self._shown <= when

    def watch_path(self) -> None:
        self.load()

    def on_resize(self) -> None:
        self.load()

    def load(self) -> None:
        """Asks for the drawing of the picture at its present size."""
        self.note = ""
        path, box = self.path, self.content_size
        self._box = box
        if path is None or not box.area:
            self.drawing = None
            return
        self.drawing = self._pictures.kept(path, *box)
        if self.drawing is None:
            self._encode(path, box)

    @work(exclusive=True)
    async def _encode(self, path: Path, box: Size) -> None:
        try:
            drawing = await self._pictures.encoded(path, *box, self.region.offset)
        except OSError:
            self.note = "unreadable"
            self._shown = get_time()
            return
        if (path, box) == (self.path, self.content_size):
            self.drawing = drawing

    def watch_drawing(self, before: Drawing | None, now: Drawing | None) -> None:
        self._drawn = False
        self._shown = float("inf")
        self.conceal()
        placed = isinstance(before, Placement)
        if now is None or not placed:
            self.blank = False
            if before is None or placed:
                # The cells are blank but for the mark of a picture that is waited for.
                self.refresh(Region(0, self.content_size.height // 2, self.content_size.width, 1))
            else:
                self.refresh()
        self.post_message(self.Ready())

    def suspend(self) -> None:
        """Another screen comes over this one; text is revealed anew after it on a slow link."""
        if self.slow:
            self.conceal()

    # -- what the layer does -------------------------------------------------------------------

    def reveal(self, rows: int) -> None:
        """Shows `rows` more lines of a drawing that is text."""
        first, self.revealed = self.revealed, self.revealed + rows
        self.refresh(Region(0, first, self.size.width, rows))

    def conceal(self) -> None:
        """Nothing of the drawing is on the screen any more."""
        self.revealed = self.parts_drawn = 0

    def drawn(self, drawing: Drawing | None) -> None:
        """The whole of `drawing` is on the screen."""
        if drawing is self.drawing and not self._drawn:
            self._drawn, self._shown = True, get_time()

    # -- what the compositor asks for ----------------------------------------------------------

    def get_line_filters(self) -> Sequence[LineFilter]:
        """None: a picture's colours are what it is, also where text has none (NO_COLOR)."""
        return ()

    def render_line(self, y: int) -> Strip:
        width, height = self.content_size
        if y == 0 and self._box != self.content_size:
            # Textual tells no widget of a size that somebody asked for before it was laid out.
            self.call_later(self.load)
        if isinstance(self.drawing, Text) and y < self.revealed:
            if self._pictures.off and y == height // 2 + 3:
                return Strip([Segment(self.hint.center(width)[:width], self.rich_style)], width)
            return self.drawing.strips[y].apply_style(self.rich_style)
        if y == height // 2:
            self.blank = self.drawing is not None
        waiting = "" if self.drawing else "·"
        text = (self.note or waiting).center(width) if y == height // 2 else " " * width
        return Strip([Segment(text[:width], self.rich_style)], width)
