"""Encodes picture files for the terminal at hand, and keeps the latest ones."""

import asyncio
import heapq
import itertools
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from textual.geometry import NULL_OFFSET, Offset, Size

from hero_tui.preview.drawing import Drawing, KittyImage, Parts, Placement, Text
from hero_tui.preview.terminal import Protocol, Terminal

Key = tuple[Path, int, int]
Turn = tuple[bool, Offset, int]
"""Whether it is ahead of time; where it is on the screen, by lines; when it was asked for."""
Encode = Callable[[Path, int, int], Drawing]

KEPT = 200
"""Drawings: three rounds."""


LEAST: Mapping[Protocol, Size] = {"blocks": Size(12, 6), "quadrants": Size(12, 6)}
"""In cells, at which a picture can still be told from others: 12 pixels high; others 8x4."""


class Pictures:
    """Encodes pictures one at a time in a thread of its own, and keeps the latest `keep`."""

    def __init__(self, terminal: Terminal, keep: int = KEPT) -> None:
        self._keep = keep
        self._kept: OrderedDict[Key, Drawing] = OrderedDict()
        self._forgotten = 0  # how often
        self._lock = threading.Lock()
        self._waiting: list[tuple[Turn, Key, Future[Drawing]]] = []
        self._asked = itertools.count()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._numbers: Iterator[int] = iter(())
        self._free_numbers: deque[int] = deque()
        self.prefetched: Callable[[], object] | None = None  # called in the thread
        self.adopt(terminal)

    def adopt(self, terminal: Terminal) -> None:
        """Encodes for `terminal` from now on, and keeps nothing of before."""
        self.forget()
        self.terminal = terminal
        self._encode = self._encoder()
        self.least = LEAST.get(terminal.protocol, Size(8, 4))
        self.off = terminal.protocol == "off"

    def _encoder(self) -> Encode:
        def cell() -> tuple[int, int]:
            return self.terminal.cell

        match self.terminal.protocol:
            case "off":
                from hero_tui.preview.number import number_only

                return number_only
            case "iterm2":
                from hero_tui.preview import iterm2

                return lambda path, columns, rows: iterm2.encode(path, columns, rows, cell())
            case "sixel":
                from hero_tui.preview import sixel

                return lambda path, columns, rows: sixel.encode(path, columns, rows, cell())
            case "kitty":
                from hero_tui.preview import kitty

                self._numbers = kitty.numbers(self.terminal.colours)
                in_text = self.terminal.multiplexer == "tmux"
                encode = kitty.encode_for_tmux if in_text else kitty.encode
                return lambda path, columns, rows: self._numbered(
                    encode(path, columns, rows, cell(), self._number())
                )
            case mosaic:
                from hero_tui.preview import blocks

                colours = self.terminal.colours
                return lambda path, columns, rows: blocks.encode(
                    path, columns, rows, mosaic, colours
                )

    def _number(self) -> int:
        """A number for an image, one that no image in use has."""
        return self._free_numbers.popleft() if self._free_numbers else next(self._numbers)

    def _numbered(self, drawing: Text | Placement) -> Drawing:
        """`drawing`, whose image's number becomes free when nobody keeps or shows it any more."""
        if drawing.image is not None:
            weakref.finalize(drawing.image, self._free_numbers.append, drawing.image.number)
        return drawing

    def measure(self, cell: tuple[int, int]) -> bool:
        """Draws for cells of `cell` (width, height) pixels from now on; whether that is new."""
        before, self.terminal = self.terminal, replace(self.terminal, cell=cell)
        if before == self.terminal:
            return False
        self.forget()
        return True

    def kept(self, path: Path, columns: int, rows: int) -> Drawing | None:
        """The picture if it has been encoded at this size."""
        key = (path, columns, rows)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    async def encoded(
        self, path: Path, columns: int, rows: int, place: Offset = NULL_OFFSET
    ) -> Drawing:
        """The picture, when its turn has come: after those that are before it on the screen.

        Raises:
            OSError: the file is missing or is not a whole PNG.
        """
        future = self._wait(False, Offset(place.y, place.x), (path, columns, rows))
        try:
            await asyncio.sleep(0)  # the others of a page ask now, the last one first
        finally:
            self._thread.submit(self._encode_next)
        return await asyncio.wrap_future(future)

    def prefetch(self, path: Path, columns: int, rows: int) -> None:
        """Encodes the picture ahead of its being shown."""
        if self.kept(path, columns, rows) is None:
            self._wait(True, NULL_OFFSET, (path, columns, rows)).add_done_callback(self._tell)
            self._thread.submit(self._encode_next)

    def _tell(self, _: object) -> None:
        if self.prefetched is not None:
            self.prefetched()

    def forget(self) -> None:
        """Keeps nothing: other pictures have the same paths from now on."""
        with self._lock:
            self._kept.clear()
            self._forgotten += 1

    def kept_images(self) -> list[KittyImage]:
        """The images among what is kept, oldest first."""
        with self._lock:
            drawings = list(self._kept.values())
        images = [drawing.image for drawing in drawings if not isinstance(drawing, Parts)]
        return [image for image in images if image is not None]

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _wait(self, ahead: bool, place: Offset, key: Key) -> Future[Drawing]:
        future: Future[Drawing] = Future()
        with self._lock:
            heapq.heappush(self._waiting, ((ahead, place, next(self._asked)), key, future))
        return future

    def _encode_next(self) -> None:
        """Encodes what is first among what waits; called once for each of them."""
        with self._lock:
            _, key, future = heapq.heappop(self._waiting)
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(self._encode_and_keep(*key))
        except Exception as error:
            future.set_exception(error)

    def _encode_and_keep(self, path: Path, columns: int, rows: int) -> Drawing:
        drawing = self.kept(path, columns, rows)
        while drawing is None:
            forgotten = self._forgotten
            encoded = self._encode(path, columns, rows)
            with self._lock:
                if forgotten != self._forgotten:
                    continue  # the path may have another picture by now
                drawing = self._kept[path, columns, rows] = encoded
                while len(self._kept) > self._keep:
                    self._kept.popitem(last=False)
        return drawing
