"""Bytes and waits of pictures over a slow link: `python benchmarks/terminal.py`.

The interface runs in a pseudo-terminal behind a link with a bandwidth and a round trip. The link
takes in all that it is given, as SSH does: what is not held back waits in it. While the pages of a
round of 64 pictures of 512x512 are turned, the keys of pictures are typed; a key is answered when
the cursor has crossed the link to its picture, or the mark if it is there. The table gives what
remains of that time after the round trip, and the bytes of a picture in a tile of that terminal.
"""

import argparse
import asyncio
import fcntl
import heapq
import itertools
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.color import ColorSystem
from textual._compositor import LayoutUpdate
from textual.geometry import Region

from hero_engine.run.folder import RunFolder, create_run, engine_lock
from hero_engine.run.task import Task
from hero_tui.cells import Cells
from hero_tui.preview.drawing import Drawing, Parts, Placement, Text
from hero_tui.preview.kitty import place
from hero_tui.preview.layer import at
from hero_tui.preview.pacer import REQUEST
from hero_tui.preview.pictures import Pictures
from hero_tui.preview.terminal import Protocol, Terminal

PROTOCOLS: tuple[Protocol, ...] = ("blocks", "kitty", "iterm2", "sixel")
# Not first the key of the picture that the cursor is on when a page is turned.
KEYS = "234qwerasdfzxcv1"
PLACES = "1234qwerasdfzxcv"
# Of one key at a time; between the words may be a blank, or a movement over one.
MARK = re.compile("▸|✓(?: |\x1b\\[C)good".encode())
TILE = (28, 13)
"""Cells of a picture in a terminal of 200x60."""
GRAIN = 128  # bytes that the link moves at once
QUIET = 200  # bytes in three seconds


def make_round(runs_dir: Path, images: int) -> RunFolder:
    """A run with one round of pictures that compress as photographs do."""
    settings = {
        "name": "terminal",
        "prompts": ("a picture",),
        "criteria": ("it is one",),
        "model": "embedded",
        "feedback": {"batch_size": images, "rounds": 1},
    }
    folder = create_run(runs_dir, Task.model_validate(settings), name="terminal-1")
    rng = np.random.default_rng(0)
    folder.image(0, 0).parent.mkdir(parents=True)
    with closing(folder.open_record()) as record:
        record.begin_round(0, images)
        photographs = [photograph(rng) for _ in range(8)]
        for image in range(images):
            photographs[image % 8].save(folder.image(0, image), compress_level=1)
        record.add_images(0, range(images))
        record.finish_sampling(0, {})
    return folder


def photograph(rng: np.random.Generator, side: int = 512) -> Image.Image:
    """Noise of every scale, the coarse ones stronger."""
    total = np.zeros((side, side, 3))
    for cells in (3, 6, 12, 25, 50, 100, 256):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        total += (np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC)) - 127.5) / cells
    return Image.fromarray(np.uint8(np.clip(127.5 + 2.5 * total, 0, 255)))


class Link:
    """The interface at one end, a terminal that answers requests at the other."""

    def __init__(
        self, folder: RunFolder, protocol: Protocol, arguments: argparse.Namespace
    ) -> None:
        columns, rows = map(int, arguments.size.split("x"))
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self._fd, False)
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--interface", str(folder.path), protocol],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(theirs)
        self._rate: float = arguments.rate * 1000
        self._way: float = arguments.rtt / 2000
        self._free = 0.0
        self._arriving: list[tuple[float, int, bytes]] = []
        self._typed: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._looked = 0
        self.requests = 0
        self._read = 0
        self._before_key = 0.0
        self.seen = bytearray()
        self.last = time.monotonic()

    def type(self, keys: str) -> None:
        """What the terminal sends reaches the interface half a round trip later."""
        arrival = time.monotonic() + self._way
        heapq.heappush(self._typed, (arrival, next(self._order), keys.encode()))

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Lets the link work until `condition`; False if it does not come true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._work()
        return True

    def _work(self) -> None:
        select.select([self._fd], [], [], 0.001)
        now = time.monotonic()
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            data = b""
        except OSError:
            sys.exit(self.seen[-2000:].decode("utf-8", "replace"))
        self._read += len(data)
        for start in range(0, len(data), GRAIN):
            grain = data[start : start + GRAIN]
            self._free = max(now, self._free) + len(grain) / self._rate
            arrival = self._free + self._way, next(self._order), grain
            heapq.heappush(self._arriving, arrival)
        while self._arriving and self._arriving[0][0] <= now:
            self.seen += heapq.heappop(self._arriving)[2]
            self.last = now
        while (request := self.seen.find(REQUEST.encode(), self._looked)) >= 0:
            self._looked = request + len(REQUEST)
            self.requests += 1
            self.type("\x1b[1;1R")
        while self._typed and self._typed[0][0] <= now:
            typed = heapq.heappop(self._typed)[2]
            os.write(self._fd, typed)
            if not typed.startswith(b"\x1b"):
                self._before_key = self._read - max(0, self._free - now) * self._rate

    def took(self, end: int) -> float:
        """Seconds that the link takes for what waits when a key comes in, up to `end` of `seen`."""
        return (end - self._before_key) / self._rate

    def wait_until_drained(self) -> None:
        """Lets the link work until it carries nothing but what clocks in the interface change."""
        size = -QUIET
        while len(self.seen) - size >= QUIET:
            size = len(self.seen)
            self.until(lambda: False, 3)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)


@dataclass
class Measured:
    waits: list[float]  # seconds that a key waited, beyond the round trip
    turns: list[float]  # the same for a key that was typed together with the next page's
    on_link: list[float]  # of all of these, what the link took: the rest is the computer's time
    kilobytes: float
    seconds: float
    flip_kilobytes: float  # of a turn to the page before


def measure(folder: RunFolder, protocol: Protocol, arguments: argparse.Namespace) -> Measured:
    link = Link(folder, protocol, arguments)
    try:
        # The first request asks for the round trip; pictures come after the empty screen's frames.
        if not link.until(lambda: link.requests > 2, 60):
            sys.exit(link.seen[-2000:].decode("utf-8", "replace"))
        started = link.last
        waits, turns, on_link = list[float](), list[float](), list[float]()
        for page in range(arguments.pages):
            # Not the keys of the page before: where a mark stands already, none is sent.
            start = page % 2 * arguments.keys
            found = list(answers(link, KEYS[start : start + arguments.keys]))
            on_link += [took for _, took in found]
            first, *others = (wait for wait, _ in found)
            (turns if page else waits).append(first - arguments.rtt / 1000)
            waits += [wait - arguments.rtt / 1000 for wait in others]
            if page + 1 < arguments.pages:
                link.type(" ")
        link.wait_until_drained()
        seconds, kilobytes = link.last - started, len(link.seen) / 1000
        last = arguments.pages - 1
        mark_the_rest(link, folder, last, arguments.keys)
        for key, page in (("\x7f", last - 1), (" ", last)):  # so that both have been shown whole
            link.type(key)
            link.wait_until_drained()
            mark_the_rest(link, folder, page, arguments.keys)
        size = len(link.seen)
        link.type("\x7f")
        link.wait_until_drained()
        flip = len(link.seen) - size
        return Measured(waits, turns, on_link, kilobytes, seconds, flip / 1000)
    finally:
        link.close()


def answers(link: Link, keys: str) -> Iterator[tuple[float, float]]:
    """Seconds from each of `keys` to its mark's being seen, and those of the link alone."""
    for key in keys:
        start, typed = len(link.seen), time.monotonic()
        link.type(key)
        if not link.until(lambda s=start: MARK.search(link.seen, s), 30):  # type: ignore[misc]
            sys.exit(f"{key} was not answered: {bytes(link.seen[start:])[-3000:]!r}")
        mark = MARK.search(link.seen, start)
        assert mark is not None
        yield time.monotonic() - typed, link.took(mark.end())
        pause = time.monotonic() + 0.3
        link.until(lambda p=pause: time.monotonic() > p, 1)  # type: ignore[misc]


def mark_the_rest(link: Link, folder: RunFolder, page: int, keys: int) -> None:
    """Marks what was not marked of a page's keys: its picture had not been drawn when they came."""
    with closing(folder.open_record()) as record:
        good = record.labels(0).good
    start = page % 2 * keys
    for key in KEYS[start : start + keys]:
        if len(PLACES) * page + PLACES.index(key) not in good:
            link.type(key)
            link.wait_until_drained()


def bytes_a_picture(folder: RunFolder, protocol: Protocol) -> float:
    """The mean of what pictures of a round take in a TILE."""
    pictures = Pictures(Terminal(protocol, "truecolor"))
    drawings = [asyncio.run(pictures.encoded(folder.image(0, image), *TILE)) for image in range(8)]
    pictures.close()
    return statistics.mean(len(code_of(drawing).encode()) for drawing in drawings)


def code_of(drawing: Drawing) -> str:
    match drawing:
        case Text(strips):
            frame = LayoutUpdate([[strip] for strip in strips], Region(0, 0, *TILE))
            return Cells(erases=True).change(frame, ColorSystem.TRUECOLOR)[0]
        case Placement(image, columns, rows):
            return "".join(image.transmission) + at(0, 0, place(image.number, 1, columns, rows))
        case Parts(parts):
            return "".join(at(part.column, part.row, part.code) for part in parts)


def interface(path: Path, protocol: Protocol) -> None:
    """The process in the pseudo-terminal, which ends with the benchmark."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    from hero_tui.app import HeroApp
    from hero_tui.client.run_client import RunClient
    from hero_tui.config import Config

    client = RunClient(RunFolder(path), lambda folder: sys.exit("there is an engine"))
    HeroApp(client, Config(), Terminal(protocol, "truecolor")).run()


def main() -> None:
    if sys.argv[1:2] == ["--interface"]:
        interface(Path(sys.argv[2]), sys.argv[3])  # type: ignore[arg-type]
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("protocols", nargs="*", default=list(PROTOCOLS))
    parser.add_argument("--rate", type=float, default=40, help="kB/s (default 40)")
    parser.add_argument("--rtt", type=float, default=150, help="ms (default 150)")
    parser.add_argument("--size", default="200x60", help="of the terminal (default 200x60)")
    parser.add_argument("--pages", type=int, default=4)
    parser.add_argument("--keys", type=int, default=8, choices=range(1, 9), help="a page")
    arguments = parser.parse_args()
    print(f"{arguments.rate:g} kB/s, {arguments.rtt:g} ms, {arguments.size}")
    print(
        "         | a key waits, ms            | of that on the link, ms |\n"
        "pictures | median   p95   most   turn |  median   p95   most    |"
        "   kB in s      | a picture, kB | flip back, kB"
    )
    for protocol in arguments.protocols:
        with tempfile.TemporaryDirectory() as runs:
            folder = make_round(Path(runs), 64)
            with engine_lock(folder):
                found = measure(folder, protocol, arguments)
            size = bytes_a_picture(folder, protocol)
        waits, on_link = shares(found.waits), shares(found.on_link)
        print(
            f"{protocol:9}|{waits[0]:7.0f}{waits[1]:6.0f}{waits[2]:7.0f}"
            f"{1000 * max(found.turns, default=0):7.0f} |"
            f"{on_link[0]:8.0f}{on_link[1]:6.0f}{on_link[2]:7.0f}    |"
            f"{found.kilobytes:8.0f}{found.seconds:6.0f}  |{size / 1000:14.1f} |"
            f"{found.flip_kilobytes:14.1f}",
            flush=True,
        )


def shares(seconds: list[float]) -> tuple[float, float, float]:
    """Milliseconds: the median, the 95th percentile, the most."""
    milliseconds = [1000 * each for each in seconds]
    p95 = statistics.quantiles(milliseconds, n=20, method="inclusive")[-1]
    return statistics.median(milliseconds), p95, max(milliseconds)


if __name__ == "__main__":
    main()
