"""Labeling in the terminal: what each key does, and that the record has it."""

import threading
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from textual.geometry import Size
from textual.pilot import Pilot

from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.record import Record
from hero_tui.app import HeroApp
from hero_tui.client.edits import mark
from hero_tui.screens.compare import CompareScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.submit import SubmitScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.widgets.grid import PictureGrid, page_shapes, picture_side, small_tiles
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import StatusLine
from hero_tui.widgets.tile import Tile
from tests import fake_engine
from tests.interface_runs import (
    add_pictures,
    interface,
    make_run,
    make_sampled_run,
    notices,
    sample_round,
    submit_round,
    until,
)

LARGE = (200, 60)
ROOMY = (120, 40)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose first round of 64 pictures waits for labels."""
    return make_sampled_run(tmp_path)


@pytest.fixture
def second_round(run: RunFolder) -> RunFolder:
    """The run, with a reigning best (picture 5 of round 0), in round 1."""
    return in_round_1(run)


def in_round_1(run: RunFolder) -> RunFolder:
    with closing(run.open_record()) as record:
        submit_round(record, 0, good=[5, 6], best=5)
        record.finish_training(0, {})
        sample_round(run, record, 1)
    return run


@pytest.fixture
def three_pages(tmp_path: Path) -> RunFolder:
    """A run whose first round has three pages in a roomy terminal."""
    return make_sampled_run(tmp_path, images=36)


@pytest.fixture
def one_page(tmp_path: Path) -> RunFolder:
    """A run whose first round has one page in the smallest terminal."""
    return make_sampled_run(tmp_path, images=8)


def recorded(folder: RunFolder, number: int = 0) -> Labels:
    with closing(folder.open_record()) as record:
        return record.labels(number)


def seen(folder: RunFolder, number: int = 0) -> set[int]:
    with closing(folder.open_record()) as record:
        return record.seen(number)


def grid(app: HeroApp) -> PictureGrid:
    return app.screen_stack[1].query_one(PictureGrid)


async def page_is_shown(app: HeroApp, pilot: Pilot[int]) -> None:
    def all_complete() -> bool:
        here = grid(app)
        return here.complete_images() == frozenset(here.images_of(here.page))

    await until(pilot, all_complete)


async def press_through(app: HeroApp, pilot: Pilot[int], *keys: str) -> None:
    """Presses keys, each when the page that it is meant for is on the screen."""
    for key in keys:
        await page_is_shown(app, pilot)
        await pilot.press(key)


# -- one key a picture ---------------------------------------------------------------------------


async def test_a_picture_s_key_makes_it_good_and_the_record_has_it(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("1", "r")
        assert app.view.labels == Labels.of([0, 7])
        await until(pilot, lambda: recorded(run) == Labels.of([0, 7]))


async def test_the_key_pressed_again_makes_the_picture_bad(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("w", "e", "w")
        await until(pilot, lambda: recorded(run) == Labels.of([6]))


async def test_shift_and_the_key_chooses_the_best_which_is_good(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("W")
        await until(pilot, lambda: recorded(run) == Labels.of([5], 5))


async def test_b_and_the_key_chooses_the_best_for_digits_too(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("q", "b", "3")
        await until(pilot, lambda: recorded(run) == Labels.of([2, 4], 2))


async def test_b_b_chooses_the_picture_under_the_cursor(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("right", "down", "b", "b")
        await until(pilot, lambda: recorded(run) == Labels.of([5], 5))


async def test_escape_forgets_b(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("b", "escape", "1")
        await until(pilot, lambda: recorded(run) == Labels.of([0]))


async def test_the_best_chosen_again_is_good_only(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("W", "W")
        await until(pilot, lambda: recorded(run) == Labels.of([5]))


async def test_a_bad_picture_is_not_the_best(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("q", "W", "w")
        await until(pilot, lambda: recorded(run) == Labels.of([4]))


async def test_the_cursor_moves_over_pages_and_m_marks_under_it(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("right", "right", "m", "down", "down", "m")
        assert grid(app).page == 1
        await until(pilot, lambda: recorded(run) == Labels.of([2, 10]))


async def test_i_inverts_the_page_and_no_other(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("1", "2", "space", "3", "backspace", "i")
        await until(pilot, lambda: recorded(run) == Labels.of([2, 3, 4, 5, 6, 7, 10]))


async def test_a_tile_says_its_label_by_glyph_and_class(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("1", "W")
        good, best = app.screen.query_one("#tile-1"), app.screen.query_one("#tile-w")
        assert good.has_class("-good")
        assert best.has_class("-best")
        await until(pilot, lambda: "✓" in caption(app, "1") and "★" in caption(app, "w"))
        assert "·" in caption(app, "2")


def caption(app: HeroApp, key: str) -> str:
    return app.screen.query_one(f"#tile-{key}", Tile).caption


async def test_a_click_toggles_and_a_double_click_zooms(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.click("#tile-e")
        await until(pilot, lambda: recorded(run) == Labels.of([6]))
        await pilot.click("#tile-q", times=2)
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen))
        assert isinstance(app.screen, ZoomScreen)
        assert app.screen.image == 4
        assert recorded(run) == Labels.of([6])


async def test_shift_m_marks_from_the_last_marked_picture_and_one_undo_takes_it_back(
    run: RunFolder,
) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("2", "down", "right", "M")
        await until(pilot, lambda: recorded(run) == Labels.of([1, 2, 3, 4, 5, 6]))
        await pilot.press("u")
        await until(pilot, lambda: recorded(run) == Labels.of([1]))


async def test_a_range_goes_backwards_over_pages_and_without_a_mark_is_one_picture(
    run: RunFolder,
) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("M", "space", "3", "backspace", "r", "r", "right", "M")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 7, 8, 10]))
        await pilot.press("space", "space", "1", "left", "left", "M")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 7, 8, 10, 22, 23, 24]))


async def test_shift_and_the_arrows_stretch_a_range_and_one_undo_takes_it_back(
    run: RunFolder,
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("2", "shift+right", "shift+down")
        assert grid(app).image == 6
        await until(pilot, lambda: recorded(run) == Labels.of(range(1, 7)))
        await pilot.press("shift+left", "shift+up", "shift+right")
        await until(pilot, lambda: recorded(run) == Labels.of([1, 2]))
        await pilot.press("shift+left", "shift+left")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 1]))
        await pilot.press("u")
        await until(pilot, lambda: recorded(run) == Labels.of([1]))
        await pilot.press("u")
        await until(pilot, lambda: recorded(run) == Labels())


async def test_a_range_that_is_stretched_anew_is_another_edit(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("shift+right", "right", "shift+right")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 1, 2, 3]))
        await pilot.press("right", "right", "shift+right", "m", "shift+right")
        assert grid(app).image == 7
        await until(pilot, lambda: recorded(run) == Labels.of([0, 1, 2, 3, 5, 6, 7]))
        for left in ([0, 1, 2, 3, 5], [0, 1, 2, 3, 5, 6], [0, 1, 2, 3], [0, 1]):
            await pilot.press("u")
            await until(pilot, lambda left=left: recorded(run) == Labels.of(left))


async def test_a_range_that_is_stretched_loses_no_label_of_somebody_else(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("shift+right")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 1]))
        with closing(run.open_record()) as record:
            record.edit(0, mark(frozenset({40}), "good")(Labels()))
        await until(pilot, lambda: 40 in app.view.labels.good)
        await pilot.press("shift+right", "shift+down")
        await until(pilot, lambda: recorded(run) == Labels.of([*range(7), 40]))
        await pilot.press("u")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 1, 40]))


async def test_who_comes_new_is_told_the_first_keys_until_one_is_used(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        status = app.screen.query_one(StatusLine)
        assert "key: good, shift: best" in str(status.render())
        await pilot.press("1")
        await until(pilot, lambda: "key: good, shift: best" not in str(status.render()))


async def test_in_a_later_round_nobody_is_told_the_first_keys(second_round: RunFolder) -> None:
    async with interface(second_round) as (app, _):
        assert "key: good" not in str(app.screen.query_one(StatusLine).render())


# -- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "pages", "last_key"), [((80, 24), 8, "r"), ((120, 40), 6, "f"), ((200, 60), 4, "v")]
)
async def test_a_page_has_as_many_rows_as_there_is_room_for(
    run: RunFolder, size: tuple[int, int], pages: int, last_key: str
) -> None:
    async with interface(run, size) as (app, pilot):
        await until(pilot, lambda: grid(app).pages == pages)
        await pilot.press(last_key)
        await until(pilot, lambda: recorded(run) == Labels.of([grid(app).page_size - 1]))


async def test_a_key_without_a_tile_does_nothing(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("c", "V", "1")
        await until(pilot, lambda: recorded(run) == Labels.of([0]))


async def test_the_page_stays_at_the_cursor_when_the_terminal_grows(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("space", "space", "space")
        assert grid(app).image == 24
        await pilot.resize_terminal(*LARGE)
        await until(pilot, lambda: grid(app).pages == 4)
        assert (grid(app).page, grid(app).image) == (1, 24)


async def test_leaving_a_page_that_is_shown_marks_it_seen(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await press_through(app, pilot, "space", "space")
        await until(pilot, lambda: seen(run) == set(range(16)))


async def test_pictures_that_were_never_on_the_screen_are_not_seen(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with closing(run.open_record()) as record:
        record.begin_round(0, 64)
        add_pictures(run, record, 0, range(5))
        async with interface(run) as (app, pilot):
            await until(pilot, lambda: grid(app).complete_images() == frozenset(range(5)))
            await pilot.press("space", "backspace")
            await until(pilot, lambda: seen(run) == set(range(5)))
            add_pictures(run, record, 0, range(5, 64))
            await press_through(app, pilot, "space")
            await until(pilot, lambda: seen(run) == set(range(8)))


async def test_the_full_stop_goes_to_the_next_unseen_page(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await press_through(app, pilot, "space", "space", "backspace", "full_stop")
        assert grid(app).page == 3


async def test_the_next_interface_opens_at_the_page_where_the_last_one_was_left(
    run: RunFolder,
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("space", "space", "3")
        await until(pilot, lambda: app._client.place == (0, 0, 16))
        async with interface(run, engine=False) as (beside, _):
            assert grid(beside).page == 2
    async with interface(run) as (app, pilot):
        assert grid(app).page == 2
        await pilot.press("u")
        await until(pilot, lambda: recorded(run) == Labels())
    async with interface(run, LARGE) as (app, pilot):
        await until(pilot, lambda: (grid(app).pages, grid(app).page) == (4, 1))
    with closing(run.open_record()) as record:
        record.submit(0)
        record.finish_training(0, {})
        sample_round(run, record, 1)
    async with interface(run) as (app, pilot):
        assert grid(app).page == 0


# -- larger and smaller pictures -----------------------------------------------------------------


def tiles_shown(app: HeroApp) -> str:
    """The keys of the tiles that are there, as they are on the screen."""
    tiles = [tile for tile in grid(app).query(Tile) if tile.region.area]
    return "".join(tile.key for tile in sorted(tiles, key=lambda tile: tile.region.offset[::-1]))


async def sized(app: HeroApp, pilot: Pilot[int], keys: str, width: int) -> None:
    """Waits until the tiles of the page have these keys, and pictures of at least this width."""

    def are_shown() -> bool:
        tiles = [tile.picture_size for tile in grid(app).query(Tile) if tile.region.area]
        pictures = [min(size.width, 2 * size.height) for size in tiles]
        return tiles_shown(app) == keys and min(pictures) == width

    await until(pilot, are_shown)
    await page_is_shown(app, pilot)


async def test_plus_and_minus_change_how_many_pictures_are_on_a_page(run: RunFolder) -> None:
    async with interface(run, notifications=True) as (app, pilot):
        await sized(app, pilot, "1234qwer", 18)
        await press_through(app, pilot, "w", "plus")
        await sized(app, pilot, "123", 24)
        assert (grid(app).image, grid(app).first, grid(app).pages) == (5, 3, 22)  # on its page
        assert grid(app).image_of_key(2) == 5
        await press_through(app, pilot, "plus")
        await sized(app, pilot, "12", 38)
        await pilot.press("plus")
        await until(pilot, lambda: "cannot be larger" in notices(app))
        await press_through(app, pilot, "minus", "minus")
        await sized(app, pilot, "1234qwer", 18)
        assert (grid(app).image, grid(app).first) == (5, 0)
        await pilot.press("minus")
        await until(pilot, lambda: "cannot be smaller, or more on a page" in notices(app))
        await until(pilot, lambda: recorded(run) == Labels.of([5]))


async def test_the_keys_of_a_page_are_those_of_the_pictures_that_are_on_it(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await sized(app, pilot, "1234qwer", 18)
        await press_through(app, pilot, "plus")
        await sized(app, pilot, "123", 24)
        # There is no fourth picture, and no second row.
        await press_through(app, pilot, "2", "4", "q", "W", "i")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 2]))
        await press_through(app, pilot, "space")
        await until(pilot, lambda: seen(run) == {0, 1, 2})
        await press_through(app, pilot, "b", "3", "down", "left", "M", "u", "backspace")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 2, 5], 5))
        assert (grid(app).page, grid(app).image) == (1, 3)


async def test_what_was_on_a_page_when_pictures_were_made_larger_is_not_seen(
    run: RunFolder,
) -> None:
    async with interface(run) as (app, pilot):
        await sized(app, pilot, "1234qwer", 18)
        await press_through(app, pilot, "plus")
        await sized(app, pilot, "123", 24)
        await press_through(app, pilot, "minus")
        await sized(app, pilot, "1234qwer", 18)
        await press_through(app, pilot, "plus")
        await sized(app, pilot, "123", 24)
        await press_through(app, pilot, "space")
        await until(pilot, lambda: seen(run))
        assert seen(run) == {0, 1, 2}


async def test_a_size_of_pictures_is_remembered_for_the_size_of_the_terminal(
    run: RunFolder,
) -> None:
    async with interface(run) as (app, pilot):
        await sized(app, pilot, "1234qwer", 18)
        await press_through(app, pilot, "plus")
        await sized(app, pilot, "123", 24)
        await pilot.resize_terminal(100, 24)
        await until(pilot, lambda: tiles_shown(app) == "1234qwer")
        await pilot.resize_terminal(80, 24)
        await sized(app, pilot, "123", 24)
    async with interface(run) as (app, pilot):
        await sized(app, pilot, "123", 24)
        await press_through(app, pilot, "minus")
        await sized(app, pilot, "1234qwer", 18)


async def test_all_pictures_and_larger_ones_go_together(run: RunFolder) -> None:
    async with interface(run, LARGE, notifications=True) as (app, pilot):
        await until(pilot, lambda: len(tiles_shown(app)) == 16)
        await page_is_shown(app, pilot)
        await press_through(app, pilot, "plus")
        await until(pilot, lambda: tiles_shown(app) == "123qweasd")
        await press_through(app, pilot, "g")
        await everything_is_shown(app, pilot)
        await pilot.press("plus")
        await until(pilot, lambda: "These are all pictures: g goes back" in notices(app))
        await press_through(app, pilot, "g")
        await until(pilot, lambda: tiles_shown(app) == "123qweasd")


@pytest.mark.parametrize(
    ("room", "least", "shapes"),
    [
        ((80, 20), (12, 6), [(4, 2), (3, 1), (2, 1)]),
        ((80, 20), (8, 4), [(4, 4), (4, 3), (4, 2), (3, 1), (2, 1)]),
        ((120, 56), (12, 6), [(4, 4), (3, 3), (2, 2), (1, 1)]),
        ((30, 4), (12, 6), []),
    ],
)
def test_pages_have_fewer_and_larger_pictures_step_by_step(
    room: tuple[int, int], least: tuple[int, int], shapes: list[tuple[int, int]]
) -> None:
    found = page_shapes(Size(*room), Size(*least))
    assert found == shapes
    sides = [picture_side(shape, Size(*room)) for shape in found]
    assert all(later >= 1.2 * before for before, later in pairwise(sides))


# -- all pictures at once ------------------------------------------------------------------------


async def everything_is_shown(app: HeroApp, pilot: Pilot[int]) -> None:
    await until(pilot, lambda: grid(app).complete_images() == frozenset(range(grid(app).total)))


async def test_g_shows_all_pictures_with_their_labels_and_goes_back_to_a_page(
    three_pages: RunFolder,
) -> None:
    async with interface(three_pages, ROOMY) as (app, pilot):
        await press_through(app, pilot, "1", "W", "g")
        await everything_is_shown(app, pilot)
        tiles = list(grid(app).query(Tile))
        assert len([tile for tile in tiles if tile.region]) == 36
        assert tiles[0].has_class("-good")
        assert tiles[5].has_class("-best")
        for tile, label in ((tiles[0], "✓ good"), (tiles[5], "★ best"), (tiles[35], "·")):
            assert label in tile.caption
        await pilot.press("up", "right", "1", "Q")  # these keys are of pages
        assert app.view.labels == Labels.of([0, 5], 5)
        columns = grid(app).columns
        await pilot.press("m", "down", "b", "b")
        chosen = grid(app).image
        assert chosen == 6 + columns
        await until(pilot, lambda: recorded(three_pages) == Labels.of([0, 5, 6, chosen], chosen))
        await pilot.press("shift+right", "g")
        await page_is_shown(app, pilot)
        assert (grid(app).page, grid(app).image) == ((chosen + 1) // 12, chosen + 1)
        await until(pilot, lambda: (chosen + 1) in recorded(three_pages).good)
        await pilot.press("g")
        await everything_is_shown(app, pilot)
        await pilot.press("escape")
        await page_is_shown(app, pilot)
        assert grid(app).page_size == 12


async def test_the_mouse_and_zoom_work_on_all_pictures(three_pages: RunFolder) -> None:
    async with interface(three_pages, ROOMY) as (app, pilot):
        await press_through(app, pilot, "g")
        await everything_is_shown(app, pilot)
        await pilot.click(list(grid(app).query(Tile))[30])
        await until(pilot, lambda: recorded(three_pages) == Labels.of([30]))
        await pilot.press("b")
        await pilot.click(list(grid(app).query(Tile))[30])
        await until(pilot, lambda: recorded(three_pages) == Labels.of([30], 30))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen))
        await pilot.press("g", "escape")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        assert grid(app).image == 31
        assert grid(app).page_size == 36


async def test_a_glance_at_all_pictures_is_not_a_look_until_space_says_so(
    three_pages: RunFolder,
) -> None:
    async with interface(three_pages, ROOMY) as (app, pilot):
        await press_through(app, pilot, "g")
        await until(pilot, lambda: seen(three_pages) == set(range(12)))  # the page that was left
        await everything_is_shown(app, pilot)
        await pilot.press("g")
        await page_is_shown(app, pilot)
        await pilot.press("g")
        await everything_is_shown(app, pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "24 of 36 pictures have not been looked at" in summary(app))
        await pilot.press("escape", "full_stop")
        await page_is_shown(app, pilot)
        assert grid(app).page == 1
        await pilot.press("g")
        await everything_is_shown(app, pilot)
        assert seen(three_pages) == set(range(24))
        await pilot.press("space")
        await until(pilot, lambda: seen(three_pages) == set(range(36)))


async def test_all_pictures_need_room_and_say_so(three_pages: RunFolder) -> None:
    async with interface(three_pages) as (app, pilot):
        await pilot.press("g")
        await until(pilot, lambda: "36 pictures of at least 12x6 cells" in notices(app))
        assert grid(app).page_size == 8
        app.clear_notifications()
        await pilot.resize_terminal(*ROOMY)
        await until(pilot, lambda: grid(app).pages == 3)
        await pilot.press("g")
        await everything_is_shown(app, pilot)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "make it larger" in notices(app))
        await until(pilot, lambda: grid(app).page_size == 8)
        await page_is_shown(app, pilot)


@pytest.mark.parametrize(
    ("total", "room", "least", "shape"),
    [
        (64, (200, 56), (12, 6), (11, 6)),
        (64, (160, 46), (12, 6), (11, 6)),
        (64, (120, 36), (12, 6), None),
        (64, (120, 36), (8, 4), (10, 7)),
        (128, (200, 56), (8, 4), (15, 9)),
        (8, (80, 20), (12, 6), (4, 2)),
        (64, (80, 20), (8, 4), None),
    ],
)
def test_all_pictures_are_as_large_as_fits(
    total: int, room: tuple[int, int], least: tuple[int, int], shape: tuple[int, int] | None
) -> None:
    assert small_tiles(total, Size(*room), Size(*least)) == shape


async def test_pictures_appear_as_they_are_made_and_can_be_labelled_at_once(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path)
    with closing(run.open_record()) as record:
        async with interface(run) as (app, pilot):
            assert not isinstance(app.screen, LabelingScreen)
            record.begin_round(0, 64)
            add_pictures(run, record, 0, [0, 1])
            await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
            await until(pilot, lambda: grid(app).complete_images() == frozenset({0, 1}))
            await pilot.press("2")
            add_pictures(run, record, 0, [2])
            await until(pilot, lambda: grid(app).complete_images() == frozenset({0, 1, 2}))
            assert recorded(run) == Labels.of([1])


# -- undo and redo -------------------------------------------------------------------------------


async def test_undo_and_redo_go_through_the_edits(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("1", "2", "W", "u", "ctrl+z")
        await until(pilot, lambda: recorded(run) == Labels.of([0]))
        await pilot.press("ctrl+y")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 1]))


async def test_undo_and_redo_survive_a_restart(run: RunFolder) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("1", "2", "3", "u")
    async with interface(run) as (app, pilot):
        assert app.view.labels == Labels.of([0, 1])
        await pilot.press("u")
        await until(pilot, lambda: recorded(run) == Labels.of([0]))
        await pilot.press("ctrl+y", "ctrl+y")
        await until(pilot, lambda: recorded(run) == Labels.of([0, 1, 2]))


# -- compare -------------------------------------------------------------------------------------


async def test_compare_shows_the_reigning_best_beside_a_picture(second_round: RunFolder) -> None:
    async with interface(second_round) as (app, pilot):
        await pilot.press("2", "r", "1", "equals_sign")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        left, right = app.screen.query(Picture)
        assert left.path == second_round.image(0, 5)
        await pilot.press("right")
        assert right.path == second_round.image(1, 1)
        await pilot.press("right", "b")
        await until(pilot, lambda: recorded(second_round, 1) == Labels.of([0, 1, 7], 7))
        await pilot.press("k")
        await until(pilot, lambda: recorded(second_round, 1) == Labels.of([0, 1, 7], KEEP))


async def test_k_keeps_the_reigning_best(second_round: RunFolder) -> None:
    async with interface(second_round) as (_, pilot):
        await pilot.press("2", "k")
        await until(pilot, lambda: recorded(second_round, 1) == Labels.of([1], KEEP))


async def test_there_is_nothing_to_keep_in_the_first_round(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("2", "k")
        await until(pilot, lambda: "no reigning best" in notices(app))
        assert recorded(run) == Labels.of([1])


# -- submitting ----------------------------------------------------------------------------------


def summary(app: HeroApp) -> str:
    return str(app.screen.query_one("#summary").render())


async def test_a_round_with_unseen_pictures_is_not_submitted(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await press_through(app, pilot, "W", "space", "ctrl+s")
        await until(pilot, lambda: "48 of 64 pictures have not been looked at" in summary(app))
        await pilot.press("enter", "enter")
        assert isinstance(app.screen, SubmitScreen)
        assert "enter" not in app.screen.active_bindings, "the line of keys offers what there is"
        await pilot.press("full_stop")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        await until(pilot, lambda: grid(app).page == 2)
    assert not is_submitted(run)


def is_submitted(folder: RunFolder) -> bool:
    with closing(folder.open_record()) as record:
        return record.rounds()[-1].submitted is not None


async def test_goods_without_a_best_are_not_submitted_in_the_first_round(
    one_page: RunFolder,
) -> None:
    async with interface(one_page) as (app, pilot):
        await press_through(app, pilot, "w", "ctrl+s")
        await until(pilot, lambda: "Choose the best of the good pictures" in summary(app))
        await pilot.press("enter", "escape")
    assert not is_submitted(one_page)


async def test_all_good_teaches_nothing_where_the_labels_decide(tmp_path: Path) -> None:
    run = make_sampled_run(tmp_path, images=4, update={"signs": "labels"})
    async with interface(run) as (app, pilot):
        await press_through(app, pilot, "1", "2", "3", "b", "4", "ctrl+s")
        await until(pilot, lambda: "No picture is bad: the model stays as it is;" in summary(app))


# Three rounds as a person means them (12 goods and a best each) and the keys that say so.
MEANT = [
    (Labels.of([0, 7, 9, 17, 20, 31, 34, 38, 42, 51, 59, 60], 20), "1rs 2Qv 3ed 4fz"),
    (Labels.of([0, 1, 2, 3, 16, 21, 26, 31, 32, 47, 48, 63], KEEP), "1234 1wdv 1v 1v"),
    (Labels.of([3, 6, 9, 12, 19, 22, 25, 28, 50, 51, 53, 63], 50), "4esz 4esz  b34wv"),
]


@pytest.mark.parametrize(("meant", "typed"), MEANT)
def test_the_rounds_that_are_typed_have_twelve_goods(meant: Labels, typed: str) -> None:
    assert len(meant.good) == 12
    assert typed.count(" ") == 3


async def test_a_run_labelled_by_keys_has_the_labels_that_were_meant_in_18_keys_a_round(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path, rounds=len(MEANT))
    async with interface(run, LARGE, engine=False, start_engine=fake_engine.start) as (app, pilot):
        for number, (_, typed) in enumerate(MEANT):
            await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
            await until(pilot, lambda number=number: app.view.rounds[-1].number == number)
            await until(pilot, lambda: app.view.open_round and app.view.open_round.sampled)
            await until(pilot, lambda: grid(app).pages == 4)
            keys = ["space" if key == " " else key for key in typed]
            keys += ["ctrl+s", "enter"]
            assert len(keys) <= 18
            await press_through(app, pilot, *keys)
            await until(pilot, lambda number=number: len(app.view.outcomes) == number + 1)
        await until(pilot, lambda: app.view.state == "finished")
    for number, (meant, _) in enumerate(MEANT):
        assert recorded(run, number) == meant


async def test_without_a_best_the_reigning_best_stays_and_the_summary_says_so(
    one_page: RunFolder,
) -> None:
    run = in_round_1(one_page)
    async with interface(run) as (app, pilot):
        await press_through(app, pilot, "w", "ctrl+s")
        await until(pilot, lambda: "the reigning best stays" in summary(app))
        await pilot.press("enter")
        await until(pilot, lambda: is_submitted(run))
    assert recorded(run, 1) == Labels.of([5], KEEP)


async def test_a_round_whose_pictures_are_still_made_is_not_submitted(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with closing(run.open_record()) as record:
        record.begin_round(0, 64)
        add_pictures(run, record, 0, range(60))
    async with interface(run) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "4 of 64 pictures are still being made" in summary(app))


# -- the record ----------------------------------------------------------------------------------


async def test_two_interfaces_on_one_run_show_each_other_s_labels(run: RunFolder) -> None:
    async with interface(run) as (one, pilot), interface(run, engine=False) as (other, pilot2):
        await pilot.press("1")
        await until(pilot2, lambda: other.view.labels == Labels.of([0]))
        await pilot2.press("2")
        await until(pilot, lambda: one.view.labels == Labels.of([0, 1]))
        assert recorded(run) == Labels.of([0, 1])


async def test_a_label_shows_at_once_while_the_record_is_busy(run: RunFolder) -> None:
    with closing(run.open_record()) as busy:
        async with interface(run) as (app, pilot):
            with busy._writing():
                await pilot.press("1", "2")
                assert app.screen.query_one("#tile-2").has_class("-good")
                assert busy.labels(0) == Labels()
            await until(pilot, lambda: recorded(run) == Labels.of([0, 1]))


async def test_what_is_on_its_way_is_written_before_the_interface_ends(run: RunFolder) -> None:
    with closing(run.open_record()) as busy:
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with busy._writing():
                held.set()
                release.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        async with interface(run) as (_, pilot):
            await pilot.press("1", "2", "W", "ctrl+q")
            release.set()
        holder.join()
    assert recorded(run) == Labels.of([0, 1, 5], 5)


def no_space(*_: object) -> None:
    raise InputError("run.sqlite: the disk is full; free some space")


async def test_a_label_that_cannot_be_written_is_taken_back_and_said(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("1")
        await until(pilot, lambda: recorded(run) == Labels.of([0]))
        monkeypatch.setattr(Record, "edit", no_space)
        await pilot.press("2")
        await until(pilot, lambda: "the disk is full" in notices(app))
        await until(pilot, lambda: app.view.labels == Labels.of([0]))
        assert not app.screen.query_one("#tile-2", Tile).has_class("-good")


async def test_a_folder_that_is_gone_is_said_and_nothing_is_pretended(
    run: RunFolder, tmp_path: Path
) -> None:
    async with interface(run) as (app, pilot):
        run.path.rename(tmp_path / "moved")
        await until(pilot, lambda: "it is gone" in app.view.problem)
        await pilot.press("1")
        await until(pilot, lambda: "it is gone" in notices(app))
        await until(pilot, lambda: app.view.labels == Labels())
        (tmp_path / "moved").rename(run.path)
        await until(pilot, lambda: app.view.problem == "")
        await pilot.press("1")
        await until(pilot, lambda: recorded(run) == Labels.of([0]))


async def test_labels_of_a_round_that_was_submitted_elsewhere_are_refused(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading: Callable[..., object] = Record.changes
    polls: list[Record] = []

    def nothing_new(record: Record) -> int:
        polls.append(record)
        return -2

    async with interface(run) as (app, pilot):
        monkeypatch.setattr(Record, "changes", nothing_new)  # this interface is behind
        await until(pilot, lambda: len(polls) >= 2)  # the first poll reads once more
        with closing(run.open_record()) as record:
            record.submit(0)
        await pilot.press("1")
        await until(pilot, lambda: "is submitted" in notices(app))
        monkeypatch.setattr(Record, "changes", reading)
        await until(pilot, lambda: not isinstance(app.screen, LabelingScreen))
    assert recorded(run) == Labels()
