"""What hero-tui relies on in Textual's private parts: one test each, for when it is upgraded."""

import inspect
from collections.abc import Callable

from rich.color import ColorSystem
from rich.console import Console
from textual import events
from textual.app import ComposeResult
from textual.widgets import Label

from hero_tui.textual_private import (
    IGNORED_KEY,
    ChopsUpdate,
    CompositorUpdate,
    Frame,
    FrameApp,
    LayoutUpdate,
    LinuxDriver,
    Toast,
    XTermParser,
    colours_of,
    get_time,
)


class Page(FrameApp[None]):
    """An app of one line that keeps its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    def compose(self) -> ComposeResult:
        self.label = Label("before")
        yield self.label

    def write_frame(self, frame: Frame, write: Callable[[CompositorUpdate], None]) -> None:
        self.frames.append(frame)
        write(frame)


async def test_every_frame_passes_through_display() -> None:
    app = Page()
    async with app.run_test() as pilot:
        await pilot.pause()
        assert app.frames, "App._display is no longer what Textual calls for a frame"


async def test_a_whole_frame_has_its_region_and_its_strips() -> None:
    app = Page()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        (whole, *_) = [each for each in app.frames if isinstance(each, LayoutUpdate)]
        assert whole.region.size == (40, 10)
        first = next(iter(whole.strips))
        assert "".join(strip.text for strip in first).startswith("before")


async def test_a_part_of_a_frame_has_spans_and_chops() -> None:
    app = Page()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        app.frames.clear()
        app.label.update("after!")
        await pilot.pause()
        parts = [each for each in app.frames if isinstance(each, ChopsUpdate)]
        assert parts, "a widget that changes is no longer a ChopsUpdate"
        (y, start, end), *_ = parts[-1].spans
        assert (y, start) == (0, 0)
        assert end >= len("after!")
        chops, ends = parts[-1].chops[0], parts[-1].chop_ends[0]
        assert len(chops) == len(list(ends))
        assert any(strip is not None and "after!" in strip.text for strip in chops.values())


async def test_a_notification_is_a_toast_of_the_screen() -> None:
    app = Page()
    async with app.run_test(notifications=True) as pilot:
        app.notify("news")
        await pilot.pause()
        assert app.screen.query(Toast), "notifications are no longer widgets of the screen"


def test_the_parser_knows_keys_and_sizes_and_what_is_none() -> None:
    parser = XTermParser()
    assert [key.key for key in parser._sequence_to_key_events("\x1b[A")] == ["up"]
    assert [key.key for key in parser._sequence_to_key_events("\x1b[97;5u")] == ["ctrl+a"]
    assert [key.key for key in parser._sequence_to_key_events("\x1b[G")] == [IGNORED_KEY]
    assert not list(parser._sequence_to_key_events("\x1b[?62;4c"))
    assert isinstance(parser.parse_mouse_code("\x1b[<0;3;4M"), events.MouseDown)
    (size,) = parser.feed("\x1b[48;24;80;480;800t")
    assert isinstance(size, events.Resize)
    assert size.size == (80, 24)


def test_the_driver_has_what_ours_changes() -> None:
    for name in ("write", "process_message", "disable_input", "run_input_thread", "flush"):
        assert callable(getattr(LinuxDriver, name))
    source = inspect.getsource(LinuxDriver)
    for name in (
        "self._file",
        "self.fileno",
        "self._key_thread",
        "self.exit_event",
        "attrs_before",
    ):
        assert name in source
    assert "_get_terminal_size()" in source


def test_the_clock_of_events_is_the_one_that_is_compared_with() -> None:
    before = get_time()
    assert before <= events.Key("a", "a").time <= get_time()


def test_a_console_knows_its_colours() -> None:
    console = Console(force_terminal=True, color_system="256")
    assert colours_of(console) is ColorSystem.EIGHT_BIT
