"""What the engine can be asked for while one labels: likely good pictures first, and a try."""

from contextlib import closing
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_tui.app import HeroApp
from hero_tui.config import Config
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.tryout import TryScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import StatusLine
from tests.interface_runs import (
    all_complete,
    interface,
    make_run,
    notices,
    painted,
    sample_round,
    submit_round,
    until,
)

IMAGES = 16
# Every picture's guess; the engine likes the last ones best.
SCORES = [image / IMAGES for image in range(IMAGES)]
BY_GUESS = list(reversed(range(IMAGES)))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run in round 1, whose pictures have guesses."""
    folder = make_run(tmp_path, images=IMAGES)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
        submit_round(record, 0, good=[5, 9], best=5)
        record.finish_training(0, {})
        record.begin_round(1, IMAGES)
        folder.image(1, 0).parent.mkdir(parents=True)
        for image in range(IMAGES):
            painted(image).save(folder.image(1, image))
        record.add_images(1, range(IMAGES), SCORES)
        record.finish_sampling(1, {})
    return folder


def grid(app: HeroApp) -> PictureGrid:
    return app.screen_stack[1].query_one(PictureGrid)


def page(app: HeroApp) -> list[int]:
    return list(grid(app).images_of(grid(app).page))


def labels(folder: RunFolder) -> Labels:
    with closing(folder.open_record()) as record:
        return record.labels(1)


# -- likely good ones first ----------------------------------------------------------------------


async def test_pictures_are_by_number_until_another_order_is_asked_for(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        assert page(app) == list(range(8))
        await pilot.press("l")
        assert page(app) == BY_GUESS[:8]
        assert app.screen.query_one(StatusLine).order
        await pilot.press("l")
        assert page(app) == list(range(8))
        assert not app.screen.query_one(StatusLine).order


async def test_keys_label_the_picture_that_is_shown_in_their_place(run: RunFolder) -> None:
    async with interface(run, config=Config.model_validate({"suggested_order": True})) as (
        app,
        pilot,
    ):
        assert page(app) == BY_GUESS[:8]
        await pilot.press("1", "right", "right", "M")
        await until(pilot, lambda: labels(run).good == {15, 14, 13})
        await pilot.press("enter", "right")
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen) and all_complete(app))
        await pilot.press("g")
        await until(pilot, lambda: labels(run).good == {15, 14, 13, 12})
        zoom = app.screen
        assert isinstance(zoom, ZoomScreen)
        assert zoom.image == 11


async def test_the_wanted_order_does_not_come_over_a_page_that_is_labelled(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.label(1, Labels.of([3]))
    config = Config.model_validate({"suggested_order": True})
    async with interface(run, config=config) as (app, _):
        assert page(app) == list(range(8))


async def test_without_guesses_there_is_only_one_order(tmp_path: Path) -> None:
    folder = make_run(tmp_path, images=IMAGES)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
    async with interface(folder) as (app, pilot):
        await pilot.press("l")
        assert page(app) == list(range(8))
        assert "once it has learned" in notices(app)


# -- trying a prompt -----------------------------------------------------------------------------


async def test_a_prompt_is_tried_and_its_pictures_are_shown(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        async with interface(run) as (app, pilot):
            await pilot.press("p")
            screen = app.screen
            assert isinstance(screen, TryScreen)
            screen.query_one(Input).value = "a white dog?"
            await pilot.press("enter")
            await until(pilot, lambda: [t.prompt for t in record.tries()] == ["a white dog?"])
            about = screen.query_one("#about", Static)
            await until(pilot, lambda: "a white dog?" in str(about.render()))

            run.try_image(1, 0).parent.mkdir(parents=True)
            for image in range(8):
                painted(image).save(run.try_image(1, image))
            record.finish_try(1, 1, 8)
            await until(pilot, lambda: all(p.complete for p in screen.query(Picture)))
            assert "round 1" in str(about.render())
            await pilot.press("escape")
            assert isinstance(app.screen, LabelingScreen)


async def test_earlier_tries_can_be_looked_at_again(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        for prompt in ("first", "second"):
            record.finish_try(record.ask_try(prompt), 1, 0, f"{prompt} cannot be drawn")
    async with interface(run) as (app, pilot):
        await pilot.press("p")
        about = app.screen.query_one("#about", Static)
        await until(pilot, lambda: "second cannot be drawn" in str(about.render()))
        await pilot.press("ctrl+up")
        assert "first cannot be drawn" in str(about.render())
        await pilot.press("ctrl+up", "ctrl+down")
        assert "second cannot be drawn" in str(about.render())


async def test_a_try_with_no_engine_says_when_it_will_be_drawn(run: RunFolder) -> None:
    async with interface(run, engine=False) as (app, pilot):
        await pilot.press("p", "enter")
        about = app.screen.query_one("#about", Static)
        await until(pilot, lambda: "when the engine next waits" in str(about.render()))
