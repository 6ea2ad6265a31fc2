"""The paged grid: four columns of tiles, as many rows as the terminal has room for.

A person can have fewer and larger tiles, or more and smaller ones, and all pictures of the round at
once, each as large as that allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive

from hero_tui.choices import keep_pictures, load_choices
from hero_tui.client.runview import RunView
from hero_tui.keys import keys_in_force
from hero_tui.preview.pictures import Pictures
from hero_tui.widgets.run_widget import RunWidget
from hero_tui.widgets.tile import Tile, TileView, picture_box

# The keys of a tile are where the tile is, on a keyboard's left half.
TILE_KEYS = "1234qwerasdfzxcv"
COLUMNS = 4
WHEEL = 0.15
"""Seconds in which the wheel turns one page: touchpads send many turns of it."""
MOST_ROWS = len(TILE_KEYS) // COLUMNS

Shape = tuple[int, int]
"""Columns and rows of tiles."""


def usual_shape(terminal: Size) -> Shape:
    """The tiles of a page in a terminal of this size, unless a person has chosen."""
    return COLUMNS, 2 + (terminal.height >= 36) + (terminal.height >= 50)


def narrow_shape(terminal: Size, room: Size) -> Shape:
    """The tiles of a page that shares the terminal's width: the rows that are usual, and columns
    that leave the pictures as large as those rows do.
    """
    _, rows = usual_shape(terminal)
    height = picture_box(Size(room.width, room.height // rows)).height
    return max(1, min(COLUMNS, room.width // max(1, 2 * height))), rows


def picture_side(shape: Shape, room: Size) -> int:
    """The width in cells of a square picture in each of the tiles that share `room`.

    A cell is about twice as high as it is wide.
    """
    box = picture_box(Size(room.width // shape[0], room.height // shape[1]))
    return min(box.width, 2 * box.height)


def page_shapes(room: Size, least: Size) -> list[Shape]:
    """From the most tiles that have keys on, each with pictures a fifth larger than the one before.

    The first has pictures of at least `least`.
    """
    shapes: list[Shape] = []
    enough: float = max(least.width, 2 * least.height)
    every = list(product(range(1, COLUMNS + 1), range(1, MOST_ROWS + 1)))
    every.sort(key=lambda shape: (-shape[0] * shape[1], -picture_side(shape, room)))
    for shape in every:
        if picture_side(shape, room) >= enough:
            shapes.append(shape)
            enough = 1.2 * picture_side(shape, room)
    return shapes


def small_tiles(total: int, room: Size, least: Size) -> Shape | None:
    """The tiles that make `total` square pictures as large as `room` allows.

    None if they would be smaller than `least`.
    """

    shapes = [(columns, -(-total // columns)) for columns in range(1, total + 1)]
    best = max(shapes, key=lambda shape: picture_side(shape, room))
    return best if picture_side(best, room) >= max(least.width, 2 * least.height) else None


class PictureGrid(RunWidget):
    """A page of a round's pictures, from place `first` of their `order` on."""

    # The tiles repaint themselves: the grid's own repainting would send every picture again.
    order: reactive[Sequence[int]] = reactive(range(0), repaint=False)
    first: reactive[int] = reactive(0, repaint=False)
    cursor: reactive[int] = reactive(0, repaint=False)
    page_size: reactive[int] = reactive(2 * COLUMNS, repaint=False)

    @dataclass
    class Wheeled(Message):
        """The wheel turns the page, forward by 1 or back by -1."""

        by: int

    def __init__(
        self, view: RunView, pictures: Pictures, narrow: bool = False, keys: bool = True
    ) -> None:
        """`narrow`: it is not alone in the terminal's width. `keys`: its tiles have keys."""
        super().__init__(view)
        self.narrow = narrow
        self._keys = keys
        self._turned = float("-inf")
        self.set_reactive(PictureGrid.order, range(view.rounds[-1].images))
        self._pictures = pictures
        self._tiles = [Tile(pictures, key) for key in TILE_KEYS]
        self.shape: Shape = (COLUMNS, 2)
        self._settled = False  # the tiles are as large as they should be
        self._page_shape = self.shape
        self._take(self.shape, self._with_keys(self.shape))

    def compose(self) -> ComposeResult:
        yield from self._tiles

    def on_mount(self) -> None:
        self._show_keys()
        self._show()

    def _show_keys(self) -> None:
        keys = keys_in_force(self.screen)
        for tile in self._tiles[: len(TILE_KEYS)]:
            keyless = self.spread_out or not self._keys
            tile.shown_key = "" if keyless else keys.get(f"tile.{tile.key}", "")
            tile.hint = f"press {keys['open']}" if "open" in keys else ""

    # -- how many are on a page --------------------------------------------------------------

    def on_resize(self) -> None:
        # Not before every widget has been told of its size: a change of style meanwhile, and some
        # never are.
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Shows as many tiles as have room, or as the person has chosen for such a terminal."""
        terminal, shapes = self.app.size, page_shapes(self.size, self._pictures.least)
        wanted = load_choices().pictures.get(f"{terminal.width}x{terminal.height}")
        chosen = [shape for shape in shapes if shape[0] * shape[1] == wanted]
        usual = narrow_shape(terminal, self.size) if self.narrow else usual_shape(terminal)
        self._page_shape = chosen[0] if chosen and not self.narrow else usual
        if self.spread_out:
            self._settle()
        else:
            self._reshape(self._page_shape, self._with_keys(self._page_shape))

    def resize_pictures(self, larger: bool) -> bool:
        """Shows fewer and larger pictures on a page, or more and smaller ones, from now on.

        False if there is no other way for them to fit.
        """
        now = self._page_shape
        shapes = page_shapes(self.size, self._pictures.least)
        if larger:
            side = picture_side(now, self.size)
            others = [shape for shape in shapes if picture_side(shape, self.size) > side]
        else:
            tiles = now[0] * now[1]
            others = [shape for shape in reversed(shapes) if shape[0] * shape[1] > tiles]
        if not others:
            return False
        self._page_shape = others[0]
        self._reshape(others[0], self._with_keys(others[0]))
        try:
            keep_pictures(*self.app.size, others[0][0] * others[0][1])
        except OSError:
            pass  # then it holds until the terminal has another size
        return True

    def _with_keys(self, shape: Shape) -> list[Tile]:
        """The tiles whose keys are where they are, in this shape."""
        columns, rows = shape
        return [
            tile
            for place, tile in enumerate(self._tiles[: len(TILE_KEYS)])
            if place % COLUMNS < columns and place // COLUMNS < rows
        ]

    def _reshape(self, shape: Shape, tiles: Sequence[Tile]) -> None:
        """Shows these tiles; the picture under the cursor stays there."""
        image = self.image
        if shape != self.shape or tiles != self._shown:
            self._settled = False
            self._take(shape, tiles)
            self.show_image(image)
        self._show_keys()
        self.call_after_refresh(self._settle)

    def _take(self, shape: Shape, tiles: Sequence[Tile]) -> None:
        self.shape = shape
        self.styles.grid_size_columns, self.styles.grid_size_rows = shape
        self._shown = tiles
        for tile in self._tiles:
            if tile.display != (tile in tiles):
                tile.display = not tile.display
        self.page_size = len(tiles)

    def _settle(self) -> None:
        self._settled = True
        self._show()

    # -- all pictures at once ----------------------------------------------------------------

    @property
    def spread_out(self) -> bool:
        """Whether all pictures are shown."""
        return self.has_class("-all")

    def spread(self, shape: Shape) -> None:
        """Shows all pictures, in tiles that have no key."""
        more = [Tile(self._pictures) for _ in range(self.total - len(self._tiles))]
        self._tiles += more
        self.mount_all(more)
        self.add_class("-all")
        self._reshape(shape, self._tiles[: self.total])

    def fold(self) -> None:
        """Shows the page of the picture under the cursor again."""
        self.remove_class("-all")
        self._reshape(self._page_shape, self._with_keys(self._page_shape))

    # -- where things are --------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Pictures in the round."""
        return len(self.order)

    @property
    def columns(self) -> int:
        return self.shape[0]

    @property
    def pages(self) -> int:
        return -(-self.total // self.page_size)

    @property
    def page(self) -> int:
        return self.first // self.page_size

    def images_of(self, page: int) -> Sequence[int]:
        """The pictures of a page."""
        return self.order[page * self.page_size : (page + 1) * self.page_size]

    def image_of_key(self, key: int) -> int | None:
        """The picture of the tile with one of TILE_KEYS; None if there is none on this page."""
        tile = self._tiles[key]
        return tile.view.image if tile in self._shown and tile.shown_key else None

    def image_at(self, place: int) -> int:
        """The picture at a place of this page (the page's last one at most)."""
        return self.order[min(self.first + place, self.total - 1)]

    @property
    def image(self) -> int:
        """The picture under the cursor."""
        return self.image_at(self.cursor)

    def show_image(self, image: int) -> None:
        """Turns to the page of `image` and puts the cursor there."""
        self.show_place(self.order.index(image))

    def show_place(self, place: int) -> None:
        """Turns to the page of a place in the order and puts the cursor there."""
        self.first = place // self.page_size * self.page_size
        self.cursor = place - self.first

    def put_in_order(self, order: Sequence[int]) -> None:
        """Shows the pictures in another order, from its first page."""
        self.order = order
        self.show_place(0)

    def between(self, image: int, other: int) -> frozenset[int]:
        """The pictures from one to another as they are shown, with both."""
        first, last = sorted((self.order.index(image), self.order.index(other)))
        return frozenset(self.order[first : last + 1])

    def return_to(self, image: int | None) -> None:
        """Shows the picture at which a dialog was left."""
        if image is not None:
            self.show_image(image)

    def complete_images(self) -> frozenset[int]:
        """The pictures of this page that are really on the screen."""
        if not self._settled:
            return frozenset()
        return frozenset(
            tile.view.image for tile in self._shown if tile.view.image is not None and tile.complete
        )

    def shown_before(self, image: int, when: float) -> bool:
        """Whether a picture was on the screen at that time (of `get_time`)."""
        return self._settled and any(
            tile.view.image == image and tile.shown_before(when) for tile in self._shown
        )

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(1, event.time)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(-1, event.time)

    def _wheel(self, by: int, when: float) -> None:
        if when - self._turned >= WHEEL:
            self._turned = when
            self.post_message(self.Wheeled(by))

    def pages_seen(self) -> list[bool]:
        """For each page, whether all its pictures have been seen."""
        return [self.view.seen.issuperset(self.images_of(page)) for page in range(self.pages)]

    # -- drawing -----------------------------------------------------------------------------

    def watch_view(self, before: RunView, now: RunView) -> None:
        self._show()

    def watch_order(self) -> None:
        self._show()

    def watch_first(self) -> None:
        self._show()

    def watch_cursor(self) -> None:
        self._show()

    def watch_page_size(self) -> None:
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        view = self.view
        page = self.images_of(self.page)
        for place, tile in enumerate(self._shown):
            if place >= len(page):
                tile.view = TileView()
                continue
            image = page[place]
            tile.view = TileView(
                image=image,
                path=view.image(image),
                good=image in view.labels.good,
                best=image == view.labels.best,
                unsure=image in view.labels.unsure,
                seen=image in view.seen,
                cursor=place == self.cursor,
            )
        self._prefetch()

    def _prefetch(self) -> None:
        size = self._shown[0].picture_size
        if self.page + 1 < self.pages and size.area:
            for image in self.images_of(self.page + 1):
                path = self.view.image(image)
                if path is not None:
                    self._pictures.prefetch(path, *size)
