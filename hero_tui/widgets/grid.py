"""The paged grid: four columns of tiles, as many rows as the terminal has room for.

It can show all pictures of the round at once, too, each as large as that allows.
"""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.geometry import Size
from textual.reactive import reactive

from hero_tui.client.runview import RunView
from hero_tui.keys import keys_in_force
from hero_tui.preview.pictures import Pictures
from hero_tui.widgets.run_widget import RunWidget
from hero_tui.widgets.tile import Tile, TileView, picture_box

# The keys of a tile are where the tile is, on a keyboard's left half.
TILE_KEYS = "1234qwerasdfzxcv"
COLUMNS = 4


def small_tiles(total: int, room: Size, least: Size) -> tuple[int, int] | None:
    """The (columns, rows) of tiles that make `total` square pictures as large as `room` allows.

    None if they would be smaller than `least`. A cell is about twice as high as it is wide.
    """

    def shape(columns: int) -> tuple[int, int]:
        return columns, -(-total // columns)

    def box(columns: int) -> Size:
        across, down = shape(columns)
        return picture_box(Size(room.width // across, room.height // down))

    best = max(range(1, total + 1), key=lambda n: min(box(n).width, 2 * box(n).height))
    fits = box(best).width >= least.width and box(best).height >= least.height
    return shape(best) if fits else None


class PictureGrid(RunWidget):
    """A page of a round's pictures, from place `first` of their `order` on."""

    # The tiles repaint themselves: the grid's own repainting would send every picture again.
    order: reactive[Sequence[int]] = reactive(range(0), repaint=False)
    first: reactive[int] = reactive(0, repaint=False)
    cursor: reactive[int] = reactive(0, repaint=False)
    page_size: reactive[int] = reactive(2 * COLUMNS, repaint=False)

    def __init__(self, view: RunView, pictures: Pictures) -> None:
        super().__init__(view)
        self.set_reactive(PictureGrid.order, range(view.rounds[-1].images))
        self._pictures = pictures
        self._tiles = [Tile(pictures, key) for key in TILE_KEYS]
        for place, tile in enumerate(self._tiles):
            tile.add_class(f"row-{place // COLUMNS}")
        self.columns = COLUMNS
        self._size_of_pages = self.page_size
        self._settled = True  # the tiles are as large as they should be

    def compose(self) -> ComposeResult:
        yield from self._tiles

    def on_mount(self) -> None:
        self._paginate()

    def _show_keys(self, shown: bool) -> None:
        keys = keys_in_force(self.screen)
        for tile in self._tiles[: len(TILE_KEYS)]:
            tile.shown_key = keys.get(f"tile.{tile.key}", "") if shown else ""
            tile.hint = f"press {keys['open']}" if "open" in keys else ""

    def on_resize(self) -> None:
        # The breakpoint's class is set with this resize, its style applied after it.
        self.call_after_refresh(self._paginate)

    def _paginate(self) -> None:
        image = self.image
        if not self.spread_out:
            self._size_of_pages = sum(tile.styles.display != "none" for tile in self._tiles)
        self.page_size = self.total if self.spread_out else self._size_of_pages
        self._show_keys(not self.spread_out)
        self._settled = True
        self.show_image(image)

    # -- all pictures at once ----------------------------------------------------------------

    @property
    def spread_out(self) -> bool:
        """Whether all pictures are shown."""
        return self.has_class("-all")

    def spread(self, columns: int, rows: int) -> None:
        """Shows all pictures, in tiles that have no key."""
        more = [Tile(self._pictures) for _ in range(self.total - len(self._tiles))]
        self._tiles += more
        self.mount_all(more)
        for place, tile in enumerate(self._tiles):
            tile.set_class(place >= len(TILE_KEYS), "row-beyond")
            tile.set_class(place >= self.total, "-spare")
        self.styles.grid_size_columns, self.styles.grid_size_rows = columns, rows
        self.columns = columns
        self._reshape(True)

    def fold(self) -> None:
        """Shows the page of the picture under the cursor again."""
        self.styles.clear_rule("grid_size_columns")
        self.styles.clear_rule("grid_size_rows")
        self.columns = COLUMNS
        self._reshape(False)

    def _reshape(self, spread_out: bool) -> None:
        image = self.image
        self._settled = False
        self.set_class(spread_out, "-all")
        self._show_keys(not spread_out)
        self.page_size = self.total if spread_out else self._size_of_pages
        self.show_image(image)
        self.call_after_refresh(self._paginate)

    # -- where things are --------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Pictures in the round."""
        return len(self.order)

    @property
    def pages(self) -> int:
        return -(-self.total // self.page_size)

    @property
    def page(self) -> int:
        return self.first // self.page_size

    def images_of(self, page: int) -> Sequence[int]:
        """The pictures of a page."""
        return self.order[page * self.page_size : (page + 1) * self.page_size]

    def image_on_page(self, place: int) -> int | None:
        """The picture at a place of this page, or None beyond the last one."""
        images = self.images_of(self.page)
        return images[place] if place < len(images) else None

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
            tile.view.image
            for tile in self._tiles[: self.page_size]
            if tile.view.image is not None and tile.complete
        )

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
        for place, tile in enumerate(self._tiles):
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
        size = self._tiles[0].picture_size
        if self.page + 1 < self.pages and size.area:
            for image in self.images_of(self.page + 1):
                path = self.view.image(image)
                if path is not None:
                    self._pictures.prefetch(path, *size)
