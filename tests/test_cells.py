"""A frame written as what differs leaves the terminal as Textual's own writing of it does.

pyte is the terminal: it does what the sequences say, and knows nothing of how they were found.
"""

import asyncio
import re
from itertools import pairwise, product, starmap
from pathlib import Path

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.theme import Theme

from hero_tui.cells import (
    LUMINANCES,
    MOST_PARAMETERS,
    PLAIN,
    Cells,
    Change,
    cells_of,
    changed,
    characters,
    pens,
    short,
)
from hero_tui.screens.help import HelpScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.textual_private import ChopsUpdate, Frame, LayoutUpdate
from hero_tui.theme import THEMES
from tests.interface_runs import all_complete, interface, make_sampled_run, until

WIDTH, HEIGHT = 12, 2
CONSOLE = Console(color_system="truecolor", force_terminal=True)
Shown = tuple[tuple[object, ...], ...]


class Emulated:
    """A terminal that programs write to."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        self._screen = pyte.Screen(width, height)
        self._screen.reset_mode(pyte.modes.DECAWM)
        self._stream = pyte.Stream(self._screen)

    def write(self, code: str) -> None:
        self._stream.feed(code)

    @property
    def text(self) -> list[str]:
        return list(self._screen.display)

    @property
    def shown(self) -> Shown:
        """What is seen of each cell: nothing of a plain blank's own colour and weight."""
        return tuple(
            (each.data, each.bg)
            if each.data == " " and not (each.underscore or each.reverse or each.strikethrough)
            else tuple(each)
            for y in range(self._screen.lines)
            for each in (self._screen.buffer[y][x] for x in range(self._screen.columns))
        )


def rows(*texts: str, style: str = "") -> LayoutUpdate:
    """A frame of whole lines."""
    strips = [Strip([Segment(text.ljust(WIDTH), Style.parse(style))], WIDTH) for text in texts]
    return LayoutUpdate([[strip] for strip in strips], Region(0, 0, WIDTH, len(strips)))


def change(cells: Cells, frame: Frame) -> str:
    return cells.change(frame, ColorSystem.TRUECOLOR)[0]


# -- the same cells, whatever the frames -------------------------------------------------------

colours = st.sampled_from([None, "red", "color(20)", "#102030", "#aabbcc"])
styles = st.builds(
    Style,
    color=colours,
    bgcolor=colours,
    bold=st.booleans(),
    italic=st.booleans(),
    underline=st.booleans(),
    reverse=st.booleans(),
    link=st.sampled_from([None, None, "https://example.org/a"]),
)
letters = st.sampled_from([" ", "a", "b", "▀", "猫", "e\u0301"])
texts = st.lists(letters, max_size=6).map("".join) | st.just(" " * 10)
segments = st.lists(st.tuples(texts, st.none() | styles), max_size=3)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """A frame of the whole screen, or of some of the parts that its lines are cut into."""
    chops, spans, ends = [], [], []
    for y in range(HEIGHT):
        inner = draw(st.sets(st.integers(1, WIDTH - 1), max_size=3))
        cuts = [0, *sorted(inner), WIDTH]
        parts = list(pairwise(cuts))
        # Beyond what a segment fills, the strip is blank.
        chops.append(
            {
                x: Strip(starmap(Segment, draw(segments))).adjust_cell_length(end - x, Style())
                for x, end in parts
            }
        )
        ends.append(cuts[1:])
        first = draw(st.integers(0, len(parts) - 1))
        start = parts[first][0]
        spans.append((y, start, draw(st.integers(start + 1, WIDTH))))
    if draw(st.booleans()):
        return LayoutUpdate([line.values() for line in chops], Region(0, 0, WIDTH, HEIGHT))
    return ChopsUpdate(chops, spans, ends)


@pytest.mark.parametrize("erases", [True, False])
@given(st.lists(frames(), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_the_cells_are_those_of_painting_everything(erases: bool, all_frames: list[Frame]) -> None:
    painted, differing, cells = Emulated(), Emulated(), Cells(erases)
    for frame in all_frames:
        painted.write(frame.render_segments(CONSOLE))
        code = change(cells, frame)
        differing.write(code)
        assert differing.shown == painted.shown
        styles = re.findall(r"\x1b\[([\d;]*)m", code)
        assert all(len(style.split(";")) <= MOST_PARAMETERS for style in styles)


# -- what is written -----------------------------------------------------------------------------


def test_a_frame_that_changes_nothing_writes_nothing() -> None:
    cells = Cells(erases=True)
    assert "a cat" in change(cells, rows("a cat", "a dog"))
    assert change(cells, rows("a cat", "a dog")) == ""


def test_only_what_differs_is_written_and_styles_once() -> None:
    cells = Cells(erases=True)
    change(cells, rows("a cat", "a dog", style="red on blue"))
    code, regions = cells.change(rows("a cow", "a hog", style="red on blue"), ColorSystem.TRUECOLOR)
    assert code == "\x1b[1;4H\x1b[31;44mow\x1b[2;3Hh\x1b[0m"
    assert regions == [Region(3, 0, 2, 1), Region(2, 1, 1, 1)]


def test_a_style_of_many_parameters_is_written_in_short_sequences() -> None:
    style = "bold underline #102030 on #405060"
    assert change(Cells(erases=True), rows("a cat is here", style=style)).startswith(
        "\x1b[1;1H\x1b[1;4;38;2;16;32;48m\x1b[48;2;64;80;96ma cat"
    )
    assert short(["0", "38;2;1;2;3"]) == ["0;38;2;1;2;3"]
    assert short(["38;2;1;2;3", "48;2;1;2;3"]) == ["38;2;1;2;3;48;2;1;2;3"]
    assert short([]) == []


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_words_can_be_read_in_16_colours_and_pictures_stay_as_they_are(theme: Theme) -> None:
    colours = [str(colour) for colour in (theme.foreground, theme.primary, theme.panel)]
    colours += [str(colour) for colour in (theme.success, theme.warning, theme.background)]
    colours += [*theme.variables.values(), "#000000", "#ffffff", "#404040", "#a0a0a0"]
    for fore, back in product(colours, colours):
        style = Style.parse(f"bold {fore} on {back}")
        word, pixel = (cells_of(Strip([Segment(text, style)]), ColorSystem.STANDARD)[0][1]
                       for text in ("a", "▀"))  # fmt: skip
        assert pixel == pens(style, ColorSystem.STANDARD)[0]
        assert word.back == pixel.back
        low, high = sorted((LUMINANCES[str(int(word.fore) + 10)], LUMINANCES[word.back]))
        assert (high + 0.05) / (low + 0.05) >= 4.5
        assert (word.fore, word.attributes) != ("30", "1")  # which may be shown as grey


def test_many_blanks_are_erased_where_that_leaves_the_background() -> None:
    assert change(Cells(erases=True), rows("", style="red on blue")) == (
        "\x1b[1;1H\x1b[44m\x1b[12X\x1b[0m"
    )
    assert change(Cells(erases=False), rows("", style="red on blue")) == (
        f"\x1b[1;1H\x1b[44m{' ' * 12}\x1b[0m"
    )


def test_the_colour_of_text_is_not_seen_on_blanks() -> None:
    cells = Cells(erases=True)
    change(cells, rows("", style="red on blue"))
    assert change(cells, rows("", style="bold green on blue")) == ""
    assert change(cells, rows("", style="underline green on blue")) != ""


def test_what_was_drawn_over_is_written_again() -> None:
    cells = Cells(erases=True)
    change(cells, rows("a cat", "a dog"))
    cells.forget(Region(2, 1, 3, 5))
    assert change(cells, rows("a cat", "a dog")) == "\x1b[2;3Hdog"
    cells.forget()
    assert change(cells, rows("a cat", "a dog")).count("a ") == 2


def test_in_another_size_nothing_is_known() -> None:
    cells = Cells(erases=True)
    change(cells, rows("a cat", "a dog"))
    assert "a cat" in change(cells, rows("a cat"))


def test_no_control_character_reaches_the_terminal() -> None:
    assert characters("a\x1b[2J\tb\x07\u0301") == ("a", "[", "2", "J", "b\u0301")


def test_a_link_is_begun_and_ended() -> None:
    pen, _ = pens(Style(link="https://example.org"), ColorSystem.TRUECOLOR)
    begun, now = changed(PLAIN, pen)
    assert begun == "\x1b]8;id=1;https://example.org\x1b\\"
    assert changed(now, PLAIN) == ("\x1b]8;;\x1b\\", PLAIN)


# -- Textual's frames ----------------------------------------------------------------------------


async def test_the_interface_is_shown_as_textual_would_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_sampled_run(tmp_path, images=12)
    painted, differing = Emulated(80, 24), Emulated(80, 24)
    sizes = {"all": 0, "written": 0}
    render = Change.render_segments

    def both(self: Change, console: Console) -> str:
        whole = self._frame.render_segments(CONSOLE)
        code = render(self, CONSOLE)
        painted.write(whole)
        differing.write(code)
        sizes["all"] += len(whole)
        sizes["written"] += len(code)
        return code

    monkeypatch.setattr(Change, "render_segments", both)
    async with interface(run, notifications=True) as (app, pilot):
        await until(pilot, lambda: "waiting for labels" in "".join(differing.text))
        await pilot.press("1", "W")
        await until(pilot, lambda: "★ best" in "".join(differing.text))
        await pilot.press("space", "2")
        await until(pilot, lambda: "✓ good" in "".join(differing.text))
        app.notify("a notice\nof two lines", timeout=60)
        await until(pilot, lambda: "a notice" in "".join(differing.text))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("escape", "backspace", "enter")
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen))
        await pilot.pause(0.2)
        assert differing.shown == painted.shown
        assert sizes["written"] < sizes["all"] / 2


@pytest.mark.parametrize("way", ["key", "resize", "there and back"])
async def test_a_screen_that_was_lost_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    terminals = [Emulated(80, 24)]
    render = Change.render_segments

    def written(self: Change, console: Console) -> str:
        code = render(self, console)
        terminals[-1].write(code)
        return code

    monkeypatch.setattr(Change, "render_segments", written)
    async with interface(make_sampled_run(tmp_path, images=12)) as (app, pilot):
        await until(pilot, lambda: all_complete(app))
        await pilot.pause()
        before = terminals[0]
        terminals.append(Emulated(80, 24))
        if way == "key":
            await pilot.press("ctrl+l")
        elif way == "there and back":
            for size in (Size(90, 24), Size(80, 24)):
                app.post_message(events.Resize(size, size))
                await asyncio.sleep(0.002)  # seen by the app, not yet by its screen
        else:  # as after SIGCONT, or when a window is back at its size before this is noticed
            app.post_message(events.Resize(app.size, app.size))
        await until(pilot, lambda: terminals[-1].shown == before.shown)
