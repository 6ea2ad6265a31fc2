"""One picture, as large as fits its widget; blank until it has been encoded."""

from pathlib import Path

from rich.segment import Segment
from textual import work
from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from hero_tui.pictures import Pictures, Strips


class Picture(Widget):
    """Draws the picture file at `path`."""

    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; color: $foreground 40%; }
    """

    path: reactive[Path | None] = reactive(None)
    strips: reactive[Strips | None] = reactive(None)
    note: reactive[str] = reactive("")

    def __init__(self, pictures: Pictures, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures = pictures

    @property
    def complete(self) -> bool:
        """Whether the picture is on the screen (or is known to be unreadable)."""
        return self.path is not None and (self.strips is not None or bool(self.note))

    def watch_path(self) -> None:
        self._load()

    def on_resize(self) -> None:
        self._load()

    def _load(self) -> None:
        self.note = ""
        path, box = self.path, self.content_size
        if path is None or not box.area:
            self.strips = None
            return
        self.strips = self._pictures.kept(path, *box)
        if self.strips is None:
            self._encode(path, box)

    @work(exclusive=True)
    async def _encode(self, path: Path, box: Size) -> None:
        try:
            strips = await self._pictures.encoded(path, *box)
        except OSError:
            self.note = "unreadable"
            return
        if (path, box) == (self.path, self.content_size):
            self.strips = strips

    def render_line(self, y: int) -> Strip:
        width, height = self.content_size
        if self.strips is not None and y < len(self.strips):
            return self.strips[y].apply_style(self.rich_style)
        text = (self.note or "·").center(width) if y == height // 2 else " " * width
        return Strip([Segment(text[:width], self.rich_style)], width)
