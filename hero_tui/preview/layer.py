"""Shows the pictures of the screen after its frame, as fast as the link takes them.

After each frame the layer looks where the pictures of the top screen are. What is not shown yet is
sent in parts, in the order of the widgets, while the pacer has room: rows of text are revealed to
the compositor, escape sequences are written to the terminal. A picture is drawn anew when text has
been written over it, and never where something covers it. Keys and frames go in between.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from textual.app import App, ScreenStackError
from textual.errors import NoWidget
from textual.geometry import Region
from textual.timer import Timer

from hero_tui.cells import Cells, Change
from hero_tui.preview import kitty
from hero_tui.preview.drawing import PART, KittyImage, Parts, Placement, Text
from hero_tui.preview.pacer import REQUEST, Pacer
from hero_tui.preview.pictures import Pictures
from hero_tui.textual_private import Toast
from hero_tui.widgets.picture import Picture


def at(x: int, y: int, code: str) -> str:
    """`code` with the cursor at a cell of the screen; text goes on where it was."""
    return f"\x1b7\x1b[{y + 1};{x + 1}H{code}\x1b8"


class Layer:
    """The pictures of `app`'s screen; `write` takes what goes to the terminal.

    `pacer` is None where nothing has to wait: without a terminal.
    """

    def __init__(
        self,
        app: App[Any],
        pictures: Pictures,
        cells: Cells,
        write: Callable[[str], None],
        pacer: Pacer | None,
    ) -> None:
        self._app = app
        self._pictures = pictures
        self._cells = cells
        self._write = write
        self._pacer = pacer
        self._shown: list[tuple[Picture, Region]] = []
        self._looking = False
        self._timer: Timer | None = None
        self._revealed = 0  # bytes of text that the next frame brings
        self._whole: list[Picture] = []  # that the next request comes after
        self._whole_in_frame: WeakSet[Picture] = WeakSet()  # once one is written that shows them
        self._sending: Iterator[str] = iter(())
        self._sent: WeakSet[KittyImage] = WeakSet()
        self._numbers: set[int] = set()  # of the images that the terminal has
        self._drawn: dict[Picture, tuple[Parts, Region]] = {}
        self._placed: dict[Picture, tuple[int, Region]] = {}
        self._placements: WeakKeyDictionary[Picture, int] = WeakKeyDictionary()
        self.hidden = False  # something else is on the whole screen
        self._request("", 0)  # the round trip, before the first frame is in its way
        # As a message of the app's: a timer that is set outside its context fails when it ticks.
        pictures.prefetched = lambda: app.call_later(self.draw)

    # -- what the app tells it -----------------------------------------------------------------

    def frame_comes(self) -> None:
        """A frame is about to be written: what was drawn and goes has to be written over by it."""
        if self._drawn:
            now = dict(self._pictures_on_screen())
            for picture, (drawing, region) in list(self._drawn.items()):
                if picture.drawing is not drawing or now.get(picture) != region:
                    self._cells.forget(region)
                    del self._drawn[picture]

    def frame_written(self, frame: Change) -> None:
        """A frame is on its way to the terminal."""
        for picture, region in self._shown:
            if picture.parts_drawn and any(map(region.overlaps, frame.regions)):
                picture.parts_drawn = 0
        if self._whole_in_frame:
            self._whole += self._whole_in_frame.intersection(dict(self._pictures_on_screen()))
            self._whole_in_frame.difference_update(self._whole)
        if self._revealed or self._whole:
            size, self._revealed = self._revealed, 0
            self._request("", size)
        self.look()

    def look(self) -> None:
        """Looks for what to draw, once for all that happens together."""
        if not self._looking:
            self._looking = True
            self._app.call_later(self._look)

    def answered(self) -> None:
        """The terminal has read up to a request."""
        if self._pacer is not None:
            self._pacer.answered()
            self.draw()

    def close(self) -> None:
        """Removes what the terminal keeps."""
        self._pictures.prefetched = None
        self._remove_all()

    def _remove_all(self) -> None:
        if self._numbers:
            in_tmux = self._pictures.terminal.multiplexer == "tmux"
            self._write(kitty.forget(sorted(self._numbers), in_tmux))
        self._numbers.clear()

    def forget(self) -> None:
        """The terminal may show and keep nothing of what it was sent."""
        self._write("".join(self._sending))  # an image is sent to its end before others are named
        self._remove_all()
        self._sent.clear()
        self._placed.clear()
        self._drawn.clear()
        for picture, _ in self._shown:
            picture.conceal()
        self.look()

    # -- drawing -------------------------------------------------------------------------------

    def _look(self) -> None:
        self._looking = False
        before, self._shown = dict(self._shown), list(self._pictures_on_screen())
        for picture, region in self._shown:
            if before.get(picture) != region:
                picture.parts_drawn = 0
        self.draw()

    def _pictures_on_screen(self) -> Iterator[tuple[Picture, Region]]:
        try:
            screen = self._app.screen
        except ScreenStackError:  # the app is ending
            return
        if self.hidden:
            return
        toasts = [toast.region for toast in screen.walk_children(Toast)]
        for picture in screen.query(Picture):
            picture.slow = self._pacer is not None and self._pacer.slow
            with suppress(NoWidget):
                region, _, clip, *_ = screen.find_widget(picture)
                covered = any(region.overlaps(toast) for toast in toasts)
                # The compositor cuts and covers text by itself.
                if region and (
                    isinstance(picture.drawing, Text)
                    or (clip.contains_region(region) and not covered)
                ):
                    yield picture, region

    def draw(self) -> None:
        """Sends what there is room for."""
        while self._room > 0:
            codes, size = [], 0
            while size < self._share and (code := self._next()) is not None:
                codes.append(code)
                size += len(code)
            if not size:
                break
            self._request("".join(codes), size)
        self._come_back()

    @property
    def _room(self) -> int:
        return PART if self._pacer is None else self._pacer.room - self._revealed

    @property
    def _share(self) -> int:
        return PART if self._pacer is None else self._pacer.part

    def _request(self, code: str, size: int) -> None:
        """Writes `code`; once the terminal has read it, pictures that it ends are on the screen."""
        drawn = [(picture, picture.drawing) for picture in self._whole]
        self._whole.clear()

        def answered() -> None:
            for picture, drawing in drawn:
                picture.drawn(drawing)

        if self._pacer is None:
            self._write(code)
            answered()
        else:
            self._write(code + REQUEST)
            self._pacer.sent(size, answered)

    def _come_back(self) -> None:
        """Looks again when an answer is overdue."""
        if self._pacer is None or self._pacer.idle or self._timer is not None:
            return

        def again() -> None:
            self._timer = None
            self.draw()

        self._timer = self._app.set_timer(1.1 * self._pacer.patience, again)

    def _next(self) -> str | None:
        """The next sequence to write; text is revealed on the way. None: nothing to write."""
        # Between the sequences that send an image there must be none about another.
        chunk = next(self._sending, None)
        if chunk is not None:
            return chunk
        shown = dict(self._shown)
        for picture, (number, region) in self._placed.items():
            drawing = picture.drawing
            placed = isinstance(drawing, Placement) and drawing.image.number == number
            if not placed or shown.get(picture) != region:
                del self._placed[picture]
                return kitty.unplace(number, self._placements[picture])
        for picture, region in self._shown:
            code = self._next_of(picture, region)
            if code is not None:
                return code
        return self._ahead()

    def _next_of(self, picture: Picture, region: Region) -> str | None:
        drawing = picture.drawing
        match drawing:
            case Text():
                if drawing.image is not None and drawing.image not in self._sent:
                    return self._send(drawing.image)
                self._reveal(picture, drawing)
            case Placement():
                if drawing.image not in self._sent:
                    return self._send(drawing.image)
                if picture not in self._placed and picture.blank:
                    self._placed[picture] = drawing.image.number, region
                    number = self._placements.setdefault(picture, len(self._placements) + 1)
                    self._whole.append(picture)
                    size = drawing.columns, drawing.rows
                    code = kitty.place(drawing.image.number, number, *size)
                    return at(region.x + drawing.left, region.y + drawing.top, code)
            case Parts(parts) if picture.blank and picture.parts_drawn < len(parts):
                self._drawn[picture] = drawing, region
                part = parts[picture.parts_drawn]
                picture.parts_drawn += 1
                if picture.parts_drawn == len(parts):
                    self._whole.append(picture)
                return at(region.x + part.column, region.y + part.row, part.code)
        return None

    def _reveal(self, picture: Picture, drawing: Text) -> None:
        hidden = len(drawing.strips) - picture.revealed
        if self._pacer is None:
            rows = hidden
        else:
            rows = min(hidden, -(-(self._share - self._revealed) // drawing.size))
        if rows > 0:
            picture.reveal(rows)
            self._revealed += rows * drawing.size
            if picture.revealed == len(drawing.strips):
                self._whole_in_frame.add(picture)

    def _send(self, image: KittyImage) -> str:
        # The terminal forgets what had this number before.
        for picture in [p for p, (number, _) in self._placed.items() if number == image.number]:
            del self._placed[picture]
        self._sent.add(image)
        self._numbers.add(image.number)
        self._sending = iter(image.transmission[1:])
        return image.transmission[0]

    def _ahead(self) -> str | None:
        """An image that may be shown next, while the link is idle."""
        if self._pacer is None or not self._pacer.idle:
            return None
        for image in self._pictures.kept_images():
            if image not in self._sent:
                return self._send(image)
        return None
