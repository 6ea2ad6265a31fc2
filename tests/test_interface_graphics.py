"""Graphics: what the encoders write, how the link is paced, and when a picture is drawn."""

import asyncio
import io
import itertools
import re
from base64 import standard_b64decode
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.color import ColorSystem
from rich.console import Console
from textual import events
from textual.geometry import Size
from textual.pilot import Pilot

from hero_engine.run.folder import RunFolder
from hero_tui.app import HeroApp
from hero_tui.cells import Change
from hero_tui.preview import iterm2, kitty, sixel
from hero_tui.preview.drawing import PART, PLACEHOLDER, Drawing, Parts, Placement, Text
from hero_tui.preview.number import number_only
from hero_tui.preview.pacer import LEAST, PATIENCE, WAITING, Pacer
from hero_tui.preview.pictures import Pictures
from hero_tui.preview.scaling import capped, fit, scaled
from hero_tui.preview.terminal import Colours, Multiplexer, Protocol, Terminal
from hero_tui.screens.help import HelpScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.widgets.picture import Picture
from tests.interface_runs import (
    all_complete,
    interface,
    make_sampled_run,
    painted,
    type_blindly,
    until,
)
from tests.kitty_codes import commands, placeholders

Pixels = NDArray[np.uint8]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "017.png"
    painted(17, side=256).save(path)
    return path


def closeness(image: Image.Image, path: Path) -> float:
    """The mean difference of two pictures, in levels, at the size of the first."""
    other = Image.open(path).convert("RGB").resize(image.size, Image.Resampling.HAMMING)
    return float(np.abs(np.asarray(image.convert("RGB"), float) - np.asarray(other)).mean())


# -- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "cells"), [((10, 20), (24, 12)), ((9, 20), (27, 12)), ((10, 10), (12, 12))]
)
def test_a_square_picture_is_square_on_the_screen(
    cell: tuple[int, int], cells: tuple[int, int]
) -> None:
    assert fit((512, 512), 40, 12, cell) == cells


def test_a_hidpi_cell_is_sent_with_few_pixels() -> None:
    assert capped((10, 20)) == (10, 20)
    assert capped((20, 40)) == (10, 20)
    assert capped((16, 36)) == (9, 20)
    assert capped((7, 15)) == (7, 15)


def test_a_picture_is_not_sent_larger_than_it_is(picture: Path) -> None:
    assert scaled(picture, 40, 20, (10, 20), enlarge=False).image.size == (280, 260)
    assert scaled(picture, 40, 20, (10, 20), enlarge=True).image.size == (400, 400)


# -- kitty ---------------------------------------------------------------------------------------


def test_kitty_is_sent_a_png_in_64_colours(picture: Path) -> None:
    placement = kitty.encode(picture, 30, 10, (10, 20), number=7)
    sent = commands("".join(placement.image.transmission))
    assert {keys["q"] for keys, _ in sent} == {"2"}
    assert sent[0][0].items() >= {"a": "t", "i": "7", "f": "100"}.items()
    assert [keys["m"] for keys, _ in sent] == ["1"] * (len(sent) - 1) + ["0"]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in sent)
    image = Image.open(io.BytesIO(standard_b64decode("".join(data for _, data in sent))))
    assert image.format == "PNG"
    assert image.mode == "P"
    assert closeness(image, picture) < 4
    assert (placement.columns, placement.rows, placement.left, placement.top) == (20, 10, 5, 0)


def test_kitty_places_what_it_has_by_number() -> None:
    (keys, data), *_ = commands(kitty.place(7, 2, 20, 10))
    expected = {"a": "p", "i": "7", "p": "2", "c": "20", "r": "10", "C": "1", "q": "2"}
    assert (keys, data) == (expected, "")


def test_inside_tmux_text_places_a_kitty_image(picture: Path) -> None:
    number = 0x010207
    drawing = kitty.encode_for_tmux(picture, 30, 10, (10, 20), number)
    assert drawing.image is not None
    passed = "".join(drawing.image.transmission)
    outer = re.findall(r"\x1bPtmux;((?:[^\x1b]|\x1b\x1b)*)\x1b\\", passed)
    inner = "".join(part.replace("\x1b\x1b", "\x1b") for part in outer)
    assert (
        commands(inner)[0][0].items() >= {"U": "1", "c": "20", "r": "10", "i": str(number)}.items()
    )
    assert [strip.cell_length for strip in drawing.strips] == [30] * 10
    line = [segment for segment in drawing.strips[3] if PLACEHOLDER in segment.text]
    assert len(line) == 20
    for column, (text, style, _) in enumerate(line):
        assert text == PLACEHOLDER + kitty.DIACRITICS[3] + kitty.DIACRITICS[column]
        assert style is not None
        assert style.color is not None
        assert style.color.triplet == (0x01, 0x02, 0x07)
    cropped = drawing.strips[3].crop(7, 9)
    assert cropped.text == "".join(segment.text for segment in line[2:4])


def test_where_tmux_has_256_colours_a_number_is_one_of_them_and_a_diacritic(picture: Path) -> None:
    numbers = list(itertools.islice(kitty.numbers("256"), 1000))
    assert len(set(numbers)) == 1000
    assert max(numbers) < 1 << 32
    for number in numbers[::99]:
        drawing = kitty.encode_for_tmux(picture, 30, 10, (10, 20), number)
        text, style, _ = next(s for s in drawing.strips[0] if PLACEHOLDER in s.text)
        assert style is not None
        assert style.color is not None
        assert style.color.number is not None
        assert kitty.DIACRITICS.index(text[-1]) << 24 | style.color.number == number
        codes = style.color.get_ansi_codes()
        assert codes == ("38", "5", str(style.color.number))


@pytest.mark.parametrize(
    ("colours", "system", "no_color"),
    [
        ("truecolor", ColorSystem.TRUECOLOR, False),
        ("truecolor", ColorSystem.STANDARD, True),
        ("256", ColorSystem.EIGHT_BIT, False),
    ],
)
async def test_the_number_of_an_image_is_written_as_it_is(
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    colours: Colours,
    system: ColorSystem,
    no_color: bool,
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    frames: list[str] = []
    render = Change.render_segments

    def written(change: Change, console: Console) -> str:
        console._color_system = system
        frames.append(render(change, console))
        return frames[-1]

    monkeypatch.setattr(Change, "render_segments", written)
    terminal = Terminal("kitty", colours, multiplexer="tmux")
    async with interface(run, terminal=terminal) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        numbers = {
            picture.drawing.image.number
            for picture in app.screen.query(Picture)
            if isinstance(picture.drawing, Text) and picture.drawing.image
        }
    assert len(numbers) == 8
    assert {number for number, _, _ in placeholders("".join(frames))} == numbers


def test_two_interfaces_in_one_terminal_have_images_of_other_numbers(picture: Path) -> None:
    starts = set()
    for multiplexer in (None, "tmux"):
        for _ in range(5):
            pictures = Pictures(Terminal("kitty", "truecolor", multiplexer=multiplexer))
            numbers = []
            for columns in (8, 9):
                drawing = asyncio.run(pictures.encoded(picture, columns, 4))
                assert not isinstance(drawing, Parts)
                assert drawing.image is not None
                numbers.append(drawing.image.number)
            pictures.close()
            assert numbers[1] == numbers[0] + 1 < kitty.COLOURED
            starts.add(numbers[0])
    assert len(starts) == 10


def test_the_diacritics_are_those_of_the_protocol() -> None:
    assert [f"{ord(kitty.DIACRITICS[n]):04X}" for n in (0, 1, 17, 30, 63)] == [
        "0305",
        "030D",
        "0363",
        "0483",
        "0658",
    ]


# -- iTerm2 --------------------------------------------------------------------------------------


def pasted(drawing: Parts, cell: tuple[int, int], parts: Sequence[Image.Image]) -> Image.Image:
    """The parts of a picture put together, without the blank cells around it."""
    left = min(part.column for part in drawing.parts)
    top = min(part.row for part in drawing.parts)
    across = [(part.column - left) * cell[0] for part in drawing.parts]
    down = [(part.row - top) * cell[1] for part in drawing.parts]
    width = max(x + image.width for x, image in zip(across, parts, strict=True))
    height = max(y + image.height for y, image in zip(down, parts, strict=True))
    whole = Image.new("RGB", (width, height))
    for x, y, image in zip(across, down, parts, strict=True):
        whole.paste(image, (x, y))
    return whole


def test_iterm2_is_sent_jpegs_that_fill_their_cells(picture: Path) -> None:
    drawing = iterm2.encode(picture, 30, 10, (10, 20))
    images = []
    for part in drawing.parts:
        assert len(part.code) <= PART
        found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([^\a]*)\a", part.code)
        assert found
        keys = dict(key.split("=") for key in found[1].split(";"))
        data = standard_b64decode(found[2])
        assert keys["size"] == str(len(data))
        assert (keys["inline"], keys["preserveAspectRatio"]) == ("1", "0")
        image = Image.open(io.BytesIO(data))
        assert image.format == "JPEG"
        assert image.size == (int(keys["width"]) * 10, int(keys["height"]) * 20)
        images.append(image)
    assert sum(image.width * image.height for image in images) == 200 * 200
    assert min(part.column for part in drawing.parts) == 5
    assert closeness(pasted(drawing, (10, 20), images), picture) < 6


# -- sixel ---------------------------------------------------------------------------------------


def decoded(code: str) -> Pixels:
    """The pixels [height, width, RGB] of a sixel sequence that draws every one of them."""
    found = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\', code)
    assert found
    width, height = int(found[1]), int(found[2])
    pixels = np.full((-(-height // 6) * 6, width, 3), -1)
    palette: dict[int, list[int]] = {}
    x = y = colour = 0
    for item in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+.|[?-~]|[$-]", found[3]):
        if item == "$":
            x = 0
        elif item == "-":
            x, y = 0, y + 6
        elif item.startswith("#") and ";" in item:
            number, _, *percents = map(int, item[1:].split(";"))
            palette[number] = [round(percent * 255 / 100) for percent in percents]
        elif item.startswith("#"):
            colour = int(item[1:])
        else:
            count = int(item[1:-1]) if item.startswith("!") else 1
            for bit in range(6):
                if (ord(item[-1]) - 63) >> bit & 1:
                    assert (pixels[y + bit, x : x + count] == -1).all()
                    pixels[y + bit, x : x + count] = palette[colour]
            x += count
            assert x <= width
    assert (pixels[:height] >= 0).all()
    assert (pixels[height:] == -1).all()
    return pixels[:height].astype(np.uint8)


def test_sixels_are_the_pixels_that_were_given() -> None:
    rng = np.random.default_rng(0)
    palette = (rng.integers(0, 101, (5, 3)) * 255 / 100).round().astype(np.uint8)
    indices = rng.integers(0, 5, (20, 33)).astype(np.uint8)
    indices[:, 10:25] = 3
    assert np.array_equal(decoded(sixel.sixel(indices, palette)), palette[indices])


def test_a_sixel_picture_comes_in_parts_of_its_cells(picture: Path) -> None:
    drawing = sixel.encode(picture, 30, 10, (10, 20))
    assert all(len(part.code) <= PART for part in drawing.parts)
    images = [Image.fromarray(decoded(part.code)) for part in drawing.parts]
    whole = pasted(drawing, (10, 20), images)
    assert whole.size == (200, 200)
    assert closeness(whole, picture) < 5


def test_on_hidpi_screens_sixels_fill_their_cells(picture: Path) -> None:
    drawing = sixel.encode(picture, 8, 4, (20, 40))
    images = [Image.fromarray(decoded(part.code)) for part in drawing.parts]
    assert pasted(drawing, (20, 40), images).size == (160, 160)


# -- off -----------------------------------------------------------------------------------------


def test_without_pictures_a_tile_is_its_number(picture: Path) -> None:
    lines = [strip.text for strip in number_only(picture, 18, 9).strips]
    assert all(len(line) == 18 for line in lines)
    assert sum(bool(line.strip()) for line in lines) == 3
    assert number_only(picture, 6, 2).strips[0].text.strip() == "17"


# -- pacing --------------------------------------------------------------------------------------


class Simulated:
    """A link of `rate` bytes a second that answers what it has carried, in simulated time."""

    def __init__(self, rate: float, rtt: float) -> None:
        self.now = 0.0
        self._rate, self._rtt, self._free = rate, rtt, 0.0
        self._answers: deque[float] = deque()
        self.pacer = Pacer(lambda: self.now)

    def waiting(self) -> float:
        """Seconds until the link is free."""
        return max(0.0, self._free - self.now)

    def carry(self, seconds: float) -> tuple[int, list[float]]:
        """Sends all that there is room for: (bytes, what waits after each part)."""
        size, waits, end = 0, [], self.now + seconds
        while self.now < end:
            while self.pacer.room > 0:
                part = self.pacer.part
                self._free = max(self.now, self._free) + part / self._rate
                self._answers.append(self._free + self._rtt)
                self.pacer.sent(part)
                size += part
                waits.append(self.waiting())
            self.now += 0.001
            while self._answers and self._answers[0] <= self.now:
                self._answers.popleft()
                self.pacer.answered()
        return size, waits


@pytest.mark.parametrize("rtt", [0.01, 0.15, 0.6])
def test_little_waits_on_a_slow_link_and_it_is_used(rtt: float) -> None:
    link = Simulated(40_000, rtt)
    link.carry(10)
    size, waits = link.carry(20)
    assert max(waits) < 0.15
    assert size > 0.7 * 40_000 * 20


def test_a_fast_link_is_soon_filled() -> None:
    link = Simulated(10_000_000, 0.002)
    link.carry(0.5)
    size, _ = link.carry(1)
    assert size > 5_000_000


def test_a_mute_terminal_gets_a_little_at_a_time() -> None:
    now = 0.0
    pacer = Pacer(lambda: now)
    while pacer.room > 0:
        pacer.sent(1_500)
    now = PATIENCE + 0.01
    assert 0 < pacer.room <= LEAST
    assert pacer.silent
    pacer.sent(LEAST)
    assert pacer.room <= 0
    now += 0.11
    assert pacer.room > 0


def test_late_answers_are_not_taken_for_early_ones() -> None:
    now = 0.0
    pacer = Pacer(lambda: now)
    pacer.sent(LEAST)
    now = 2 * PATIENCE
    assert pacer.room > 0
    pacer.sent(LEAST)
    pacer.answered()
    assert not pacer.idle
    assert not pacer.silent
    now += 10 * WAITING
    pacer.answered()
    assert pacer.idle


def test_what_a_request_comes_after_is_told_of_when_it_is_answered_or_given_up() -> None:
    now = 0.0
    pacer = Pacer(lambda: now)
    read: list[str] = []
    pacer.sent(100, lambda: read.append("first"))
    pacer.sent(100, lambda: read.append("second"))
    pacer.answered()
    assert read == ["first"]
    now += 10 * PATIENCE
    assert pacer.room > 0
    assert read == ["first", "second"]


# -- on the screen -------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_sampled_run(tmp_path, images=8)


def listening(app: HeroApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written after the frames from now on."""
    written: list[str] = []
    assert app._layer is not None
    monkeypatch.setattr(app._layer, "_write", written.append)
    return written


async def test_kitty_is_sent_each_picture_once(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interface(run, terminal=Terminal("kitty", "truecolor")) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        written = listening(app, monkeypatch)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await until(pilot, lambda: "".join(written).count("a=d,d=i") == 8)
        assert "a=p" not in "".join(written)
        written.clear()
        await pilot.press("escape")
        await until(pilot, lambda: "".join(written).count("a=p") == 8)
        assert "a=t" not in "".join(written)
        placed = re.findall(r"\x1b7\x1b\[(\d+);(\d+)H\x1b_Ga=p", "".join(written))
        regions = [picture.region for picture in app.screen.query(Picture) if picture.path]
        assert [(int(row) - 1, int(column) - 1) for row, column in placed] == [
            (region.y, region.x) for region in regions
        ]


async def silence(pilot: Pilot[int], written: list[str]) -> None:
    """Waits until nothing is drawn any more."""
    while True:
        written.clear()
        await pilot.pause(0.5)
        if not written:
            return


@pytest.mark.parametrize("protocol", ["iterm2", "sixel"])
async def test_a_picture_is_drawn_again_where_text_was_over_it(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    terminal = Terminal(protocol, "truecolor")
    async with interface(run, terminal=terminal) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        drawn = [
            len(p.drawing.parts) for p in app.screen.query(Picture) if isinstance(p.drawing, Parts)
        ]
        written = listening(app, monkeypatch)
        await silence(pilot, written)
        await pilot.press("1")
        await pilot.pause()
        assert written == []
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        assert written == []
        await pilot.press("escape")
        await until(pilot, lambda: "".join(written).count("\x1b7") >= sum(drawn))


async def test_nothing_is_drawn_under_a_notice(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kitty = Terminal("kitty", "truecolor")
    async with interface(run, terminal=kitty, notifications=True) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        written = listening(app, monkeypatch)
        app.notify("a notice\nof two lines", timeout=60)
        await until(pilot, lambda: "a=d,d=i" in "".join(written))
        removed = "".join(written).count("a=d,d=i")
        assert 1 <= removed <= 4
        app.clear_notifications()
        await until(pilot, lambda: "".join(written).count("a=p") == removed)


async def test_a_frame_that_writes_nothing_over_a_picture_leaves_it(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interface(run, terminal=Terminal("iterm2", "truecolor")) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen) and all_complete(app))
        written = listening(app, monkeypatch)
        await silence(pilot, written)
        app.screen.refresh()  # as at each second, for the clock behind the dialog
        await pilot.pause(0.2)
        assert written == []


async def test_a_terminal_that_lost_its_images_is_sent_them_again(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interface(run, terminal=Terminal("kitty", "truecolor")) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        written = listening(app, monkeypatch)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "".join(written).count("a=p") == 8)
        assert "".join(written).count("a=t") == 8


@pytest.mark.parametrize("multiplexer", [None, "tmux"])
async def test_images_are_removed_from_the_terminal_in_the_end(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, multiplexer: Literal["tmux"] | None
) -> None:
    terminal = Terminal("kitty", "truecolor", multiplexer=multiplexer)
    async with interface(run, terminal=terminal) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        written = listening(app, monkeypatch)
    removal = written[-1]
    if multiplexer == "tmux":
        found = re.fullmatch(r"\x1bPtmux;(.*)\x1b\\", removal)
        assert found
        removal = found[1].replace("\x1b\x1b", "\x1b")
    removed = [keys for keys, _ in commands(removal)]
    assert all((keys["a"], keys["d"]) == ("d", "I") for keys in removed)
    assert len({keys["i"] for keys in removed}) == len(removed) == 8


@pytest.mark.parametrize(
    ("protocol", "multiplexer"),
    [("quadrants", None), ("sixel", None), ("kitty", None), ("kitty", "tmux")],
)
async def test_a_picture_counts_as_shown_once_the_terminal_has_read_all_of_it(
    tmp_path: Path, protocol: Protocol, multiplexer: Multiplexer | None
) -> None:
    run = make_sampled_run(tmp_path, images=16)
    terminal = Terminal(protocol, "truecolor", multiplexer=multiplexer)
    async with interface(run, terminal=terminal) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        layer = app._layer
        assert layer is not None
        layer._pacer = Pacer(lambda: 0.0)  # which never gives up
        await pilot.press("space")
        await until(pilot, lambda: layer._pacer is not None and not layer._pacer.idle)
        await type_blindly(pilot, "backspace", "space")
        assert app.view.seen == frozenset(range(8))
        for _ in range(1000):
            layer.answered()
            await pilot.pause()
            if all_complete(app):
                break
        await pilot.press("space")
        assert app.view.seen == frozenset(range(16))


async def test_an_overdue_answer_is_given_up_also_when_the_last_to_draw_was_a_picture_made_ahead(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interface(run, terminal=Terminal("kitty", "truecolor")) as (app, pilot):
        layer = app._layer
        assert layer is not None
        await until(pilot, lambda: all_complete(app) and layer._timer is None)
        monkeypatch.setattr("hero_tui.preview.pacer.PATIENCE", 0.2)
        layer._pacer = Pacer()
        layer._pacer.sent(10)
        app._pictures.prefetch(run.image(0, 0), 7, 3)
        await until(pilot, lambda: layer._timer is not None)
        await until(pilot, lambda: layer._timer is None)
        assert layer._pacer.idle


@pytest.mark.parametrize("protocol", ["quadrants", "iterm2", "sixel", "kitty"])
async def test_a_cell_of_another_size_is_drawn_for(run: RunFolder, protocol: Protocol) -> None:
    def drawings() -> set[Drawing]:
        return {p.drawing for p in app.screen.query(Picture) if p.drawing is not None}

    def resized(width: int, height: int) -> events.Resize:
        return events.Resize(Size(80, 24), Size(80, 24), pixel_size=Size(width, height))

    async with interface(run, terminal=Terminal(protocol, "truecolor", (10, 20))) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        app.post_message(resized(808, 485))  # with a margin: how large a cell is, is known better
        await pilot.pause()
        assert app._pictures.terminal.cell == (10, 20)
        before = drawings()
        app.post_message(resized(1290, 730))
        await until(pilot, lambda: app._pictures.terminal.cell == (16, 30))
        await until(pilot, lambda: all_complete(app) and not before & drawings())


async def test_pictures_of_a_page_are_made_from_the_first_to_the_last(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    encode = kitty.encode

    def noted(path: Path, *arguments: Any) -> Placement:
        made.append(path.stem)
        return encode(path, *arguments)

    monkeypatch.setattr(kitty, "encode", noted)
    async with interface(run, terminal=Terminal("kitty", "truecolor")) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
    assert made == sorted(made)
    assert len(made) == 8
