"""A tile of the grid: a picture, and a caption with its key, its number and its label."""

from dataclasses import dataclass
from pathlib import Path

from rich.cells import set_cell_size
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from hero_engine.run.labels import Labels
from hero_tui.preview.pictures import Pictures
from hero_tui.theme import QUIET
from hero_tui.widgets.picture import Picture

GOOD, BEST, UNSURE, UNSEEN, CURSOR = "✓", "★", "?", "·", "▸"


def label_of(labels: Labels, image: int) -> Content:
    """A picture's label, by glyph and word and colour."""
    if labels.best == image:
        return Content.styled(f"{BEST} best", "bold $warning")
    if image in labels.good:
        return Content.styled(f"{GOOD} good", "bold $success")
    if image in labels.unsure:
        return Content.styled(f"{UNSURE} unsure", "bold $secondary")
    return Content.styled("bad (not marked)", QUIET)


def picture_box(tile: Size) -> Size:
    """What a tile of this size leaves for its picture, in cells."""
    return Size(max(0, tile.width - 2), max(0, tile.height - 1))


@dataclass(frozen=True)
class TileView:
    """What a tile shows; `image` is None for a place beyond the round's last picture."""

    image: int | None = None
    path: Path | None = None
    good: bool = False
    best: bool = False
    unsure: bool = False
    seen: bool = False
    cursor: bool = False


class Tile(Widget):
    """A picture that is toggled by a click and zoomed by a double click.

    It draws its caption and its edges itself: a page of widgets for each takes longer to lay out.
    The edges are no border: where a border changes, the whole screen is laid out and sent anew.
    """

    COMPONENT_CLASSES = {"tile--caption", "tile--edge"}
    DEFAULT_CSS = """
    Tile {
        &.-empty { visibility: hidden; }
        Picture { margin: 1 1 0 1; }
        .tile--caption { color: $foreground 60%; }
        .tile--edge { color: $background; }
        &.-cursor .tile--caption { background: $boost; color: $foreground; text-style: bold; }
        &.-good {
            .tile--edge { color: $success; }
            .tile--caption { background: $success; color: $background; text-style: bold; }
        }
        &.-unsure {
            .tile--edge { color: $secondary; }
            .tile--caption { background: $secondary; color: $background; text-style: bold; }
        }
        &.-best {
            .tile--edge { color: $warning; }
            .tile--caption { background: $warning; color: $background; text-style: bold; }
        }
    }
    """

    view: reactive[TileView] = reactive(TileView(), repaint=False)
    shown_key: reactive[str] = reactive("", repaint=False)
    hint: reactive[str] = reactive("", repaint=False)

    @dataclass
    class Clicked(Message):
        """The mouse chose this tile."""

        image: int
        double: bool
        shown: bool  # the picture was on the screen when the button went down

    def __init__(self, pictures: Pictures, key: str = "") -> None:
        super().__init__(id=f"tile-{key}" if key else None)
        self.key = key
        self.set_reactive(Tile.shown_key, key)
        self.caption = ""
        self._picture = Picture(pictures)
        self._aimed_at: int | None = None

    def compose(self) -> ComposeResult:
        yield self._picture

    def watch_view(self, view: TileView) -> None:
        self.set_class(view.image is None, "-empty")
        self.set_class(view.good and not view.best, "-good")
        self.set_class(view.best, "-best")
        self.set_class(view.unsure, "-unsure")
        self.set_class(view.cursor, "-cursor")
        if self.is_mounted:
            self._show()

    def watch_shown_key(self) -> None:
        if self.is_mounted:
            self._show()

    def watch_hint(self) -> None:
        self._picture.hint = self.hint

    def on_mount(self) -> None:
        self._show()

    def on_resize(self) -> None:
        self._show()

    @property
    def complete(self) -> bool:
        """Whether the picture is on the screen."""
        return self._picture.complete

    def shown_before(self, when: float) -> bool:
        """Whether it was, at that time (of `get_time`)."""
        return self._picture.shown_before(when)

    @property
    def picture_size(self) -> Size:
        """The cells that a picture has here."""
        return self._picture.content_size

    def _show(self) -> None:
        view = self.view
        self._picture.path = view.path
        if view.best:
            glyph, word = BEST, " best"
        elif view.good:
            glyph, word = GOOD, " good"
        elif view.unsure:
            glyph, word = UNSURE, " unsure"
        else:
            glyph, word = " " if view.seen else UNSEEN, ""
        left = f"{CURSOR if view.cursor else ' '}{self.shown_key} {glyph}"
        right = "" if view.image is None else f"{view.image} "
        room = picture_box(self.content_size).width - len(left)
        if len(word) + len(right) <= room:
            left, room = left + word, room - len(word)
        self.caption = left + right.rjust(room)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        edge = self.get_visual_style("tile--edge").rich_style
        text, style = "", self.rich_style
        if y == 0:
            text, style = self.caption, self.get_visual_style("tile--caption").rich_style
        width = picture_box(self.size).width
        inside = Segment(set_cell_size(text, width), style)
        return Strip([Segment("▌", edge), inside, Segment("▐", edge)], width + 2)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._aimed_at = self.view.image if self.shown_before(event.time) else None

    def on_click(self, event: events.Click) -> None:
        if self.view.image is not None:
            event.stop()
            shown = self.view.image == self._aimed_at
            self.post_message(self.Clicked(self.view.image, event.chain >= 2, shown))
