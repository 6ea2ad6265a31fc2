"""A key labels what was on the screen when it was pressed, once; and what it did is said."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_tui.app import HeroApp
from hero_tui.keyboard import KeyPress
from hero_tui.screens.run_screen import TOO_EARLY
from hero_tui.screens.submit import SubmitScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.status import StatusLine
from hero_tui.widgets.tile import Tile
from tests.interface_runs import interface, is_drawn, make_sampled_run, notices, until


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose first round, two pages of 8 pictures, waits for labels."""
    return make_sampled_run(tmp_path, images=16)


async def send(pilot: Pilot[int], *keys: events.Key) -> None:
    """Keys as they come from the driver, and what they do."""
    for key in keys:
        pilot.app.post_message(key)
    await pilot.pause()
    await pilot.pause()


def key(
    name: str, repeats: int = 0, base: str | None = None, time: float | None = None
) -> KeyPress:
    made = KeyPress(name, name if len(name) == 1 else None, base, repeats)
    made.time = made.time if time is None else time
    return made


def page(app: HeroApp) -> int:
    return app.screen_stack[1].query_one(PictureGrid).page


# -- typed ahead ---------------------------------------------------------------------------------


async def test_keys_that_came_before_their_pictures_move_and_label_nothing(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        early = [key(name) for name in ("space", "1", "W", "m", "M", "i", "ctrl+y")]
        await send(pilot, *early)
        assert page(app) == 1
        assert app.view.labels == Labels()
        assert TOO_EARLY in notices(app)
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("1"))
        assert app.view.labels == Labels.of([8])


async def test_a_key_from_before_the_interface_undoes_and_submits_nothing(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("1", "space", "2", "space")
        await send(pilot, key("u", time=0.0))
        assert app.view.labels == Labels.of([0, 9])
        await pilot.press("W", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        await send(pilot, key("enter", time=0.0))
        assert isinstance(app.screen, SubmitScreen)
        assert app.view.open_round is not None


async def test_spaces_typed_ahead_are_no_look(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("space", time=0.0))
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("backspace", time=0.0))
        assert app.view.seen == frozenset()


async def test_in_zoom_a_key_labels_the_picture_that_was_seen(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen) and is_drawn(app))
        await send(pilot, key("g"), key("g"), key("b"))
        assert app.view.labels == Labels.of([0])


# -- held keys -----------------------------------------------------------------------------------


async def test_a_held_key_is_one_press(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("1"), *[key("1", 1) for _ in range(9)])
        assert app.view.labels == Labels.of([0])
        await send(pilot, key("W"), *[key("W", 1) for _ in range(9)])
        assert app.view.labels == Labels.of([0, 5], 5)
        await send(pilot, key("b"), *[key("b", 1) for _ in range(9)])
        await send(pilot, key("escape"), key("i"), key("i", 1))
        assert app.view.labels == Labels.of([1, 2, 3, 4, 6, 7])


async def test_the_first_repeat_that_was_taken_for_a_press_is_taken_back(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("1"), key("1"), key("1", 2), key("1", 1), key("1", 1))
        await until(pilot, lambda: app.view.labels == Labels.of([0]))
        await send(pilot, key("u"))
        await until(pilot, lambda: app.view.labels == Labels())


async def test_who_holds_space_turns_pages_and_has_not_looked(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("space", 1))
        assert page(app) == 1
        assert app.view.seen == frozenset()


# -- other keyboards ---------------------------------------------------------------------------


async def test_a_key_of_another_script_does_what_its_place_does(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("й", base="q"), key("Ц", base="W"))
        assert app.view.labels == Labels.of([4, 5], 5)
        await send(pilot, key("ctrl+й", base="ctrl+q"))
        await until(pilot, lambda: app.return_value == 0)


async def test_where_its_place_is_not_known_it_is_said(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("й"))
        assert "й: switch it to Latin letters" in notices(app)
        assert app.view.labels == Labels()


async def test_what_another_script_types_is_typed(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: app.focused is not None)
        field = app.focused
        assert isinstance(field, Input)
        field.value = ""
        typed = [KeyPress("к", "к", "r"), KeyPress("ш", "ш", "i"), KeyPress("q", "Q")]
        await send(pilot, *typed)
        assert field.value == "кшQ"


async def test_caps_lock_is_noticed(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("W", "E")
        assert "The best is 6 now, not 5: u takes it back. CapsLock?" in notices(app)
        await pilot.press("U")
        assert "U does nothing, u does: is CapsLock on?" in notices(app)
        assert app.view.labels == Labels.of([5, 6], 6)


# -- what is said, where -------------------------------------------------------------------------


async def test_ctrl_c_says_how_to_leave(run: RunFolder) -> None:
    async with interface(run, notifications=True) as (app, pilot):
        await pilot.press("ctrl+c")
        assert "^q leaves; the engine goes on" in notices(app)
        await pilot.press("enter", "ctrl+c")
        assert len(app._notifications) == 1


async def test_the_end_of_the_pages_covers_no_picture(run: RunFolder) -> None:
    async with interface(run, notifications=True) as (app, pilot):
        await pilot.press("space", "space", "space")
        assert not app._notifications
        line = app.screen.query_one(StatusLine)
        assert str(line.render()) == "That was the last page: ^s submits the round."


async def test_there_is_one_notice_at_a_time(run: RunFolder) -> None:
    async with interface(run, notifications=True) as (app, pilot):
        for number in range(5):
            app.notify(f"notice {number}")
        await until(pilot, lambda: notices(app) == "notice 4\n")


async def test_zoom_and_compare_undo(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        for opened, does in (("enter", "g"), ("equals_sign", "b")):
            await pilot.press(opened, does)
            await until(pilot, lambda: app.view.labels != Labels())
            await pilot.press("u")
            await until(pilot, lambda: app.view.labels == Labels())
            await pilot.press("ctrl+y")
            await until(pilot, lambda: app.view.labels != Labels())
            await pilot.press("ctrl+z")
            await until(pilot, lambda: app.view.labels == Labels())
            await pilot.press("escape")


@pytest.mark.parametrize("burst", [1, 5])
async def test_the_wheel_turns_a_page(run: RunFolder, burst: int) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        grid = app.screen.query_one(PictureGrid)

        def wheel(kind: type[events.MouseEvent], time: float) -> None:
            event = kind(grid, 5, 5, 0, 0, 0, False, False, False, 5, 5)
            event.time = time  # as it is only if nobody between passes it on
            grid.post_message(event)

        for _ in range(burst):
            wheel(events.MouseScrollDown, 100.0)
        await until(pilot, lambda: grid.page == 1)
        await pilot.pause()
        assert grid.page == 1
        assert app.view.seen == frozenset(range(8))
        wheel(events.MouseScrollUp, 101.0)
        await until(pilot, lambda: grid.page == 0)


async def test_a_click_on_a_picture_that_came_later_labels_nothing(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await pilot.click("#tile-1")
        await until(pilot, lambda: app.view.labels == Labels.of([0]))
        shown: Callable[..., bool] = lambda *_: False  # noqa: E731
        monkeypatch.setattr("hero_tui.widgets.picture.Picture.shown_before", shown)
        await pilot.click("#tile-e")
        await until(pilot, lambda: TOO_EARLY in notices(app))
        assert app.view.labels == Labels.of([0])


# -- in one burst --------------------------------------------------------------------------------


async def test_a_key_after_an_undo_is_for_what_the_undo_leaves(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("1", "2")
        await until(pilot, lambda: app._done == app._client._asked)
        await send(pilot, *map(key, ("u", "u", "1", "3")))
        await until(pilot, lambda: app.view.labels == Labels.of([0, 2]))
        await send(pilot, *map(key, ("u", "ctrl+y", "3", "4")))
        await until(pilot, lambda: app.view.labels == Labels.of([0, 3]))
        await send(pilot, *map(key, ("u", "u", "u", "u")))
        await until(pilot, lambda: app.view.labels == Labels())


async def test_who_leaves_loses_no_click(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        tile = app.screen.query(Tile)[2].region
        for kind in (events.MouseDown, events.MouseUp):
            app.post_message(kind(None, *tile.center, 0, 0, 1, False, False, False, *tile.center))
        app.post_message(key("ctrl+q"))
        await until(pilot, lambda: not app.is_running)
    with closing(run.open_record()) as record:
        assert record.labels(0) == Labels.of([2])


@pytest.mark.parametrize("leaving", ["ctrl+q", "ctrl+d"])
async def test_who_leaves_loses_none_of_the_keys_before(run: RunFolder, leaving: str) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        for name in ("1", "2", "W", "space", leaving):
            app.post_message(key(name))
        await until(pilot, lambda: not app.is_running)
    with closing(run.open_record()) as record:
        assert record.labels(0) == Labels.of([0, 1, 5], 5)
        assert record.seen(0) >= set(range(8))
