"""Looking back: earlier rounds with their labels, from every stage, and nothing changes by it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.record import Record
from hero_tui.app import HeroApp
from hero_tui.screens.finished import FinishedScreen
from hero_tui.screens.history import HistoryScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.working import WorkingScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.widgets.curves import curves_of
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.tile import Tile
from tests.interface_runs import (
    interface,
    make_run,
    sample_round,
    submit_round,
    train_round,
    until,
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path, images=12)


@pytest.fixture
def record(run: RunFolder) -> Iterator[Record]:
    """Two rounds are submitted: in the second one, the best stayed."""
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
        submit_round(record, 0, good=[1, 5], best=5)
        train_round(record, 0)
        sample_round(run, record, 1)
        submit_round(record, 1, good=[2], best=KEEP)
        yield record


def history(app: HeroApp) -> HistoryScreen:
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


def outcome(app: HeroApp) -> str:
    return str(history(app).query_one("#outcome").render())


def grids(app: HeroApp) -> list[PictureGrid]:
    return list(history(app).query(PictureGrid))


def caption(app: HeroApp, key: str) -> str:
    return app.screen.query_one(f"#tile-{key}", Tile).caption


async def test_the_rounds_are_gone_through_with_their_labels(
    run: RunFolder, record: Record
) -> None:
    train_round(record, 1)
    sample_round(run, record, 2)
    async with interface(run) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: "Round 1: 1 good of 12 (8%), the reigning best" in outcome(app))
        assert history(app).view.reigning_best == (0, 5)
        await pilot.press("left")
        await until(pilot, lambda: "Round 0: 2 good of 12 (17%), the best is 5" in outcome(app))
        assert "✓ good" in caption(app, "2")
        assert "★ best" in caption(app, "w")
        tile = history(app).grid.query(Picture).first()
        assert tile.path == run.image(0, 0)
        await pilot.press("left", "space")
        await until(pilot, lambda: "page 2/2" in outcome(app))
        await pilot.press("right", "right", "escape")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))


async def test_an_earlier_picture_is_zoomed_and_nothing_about_it_changes(
    run: RunFolder, record: Record
) -> None:
    train_round(record, 1)
    sample_round(run, record, 2)
    async with interface(run) as (app, pilot):
        await pilot.press("h", "left", "e")
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen))
        picture = app.screen.query_one(Picture)
        assert picture.path == run.image(0, 6)
        await pilot.press("g", "b", "n", "right")
        assert picture.path == run.image(0, 7)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
    assert record.labels(0) == Labels.of([1, 5], 5)
    assert record.labels(2) == Labels()
    assert record.seen(2) == set()


async def test_there_is_time_to_look_back_while_the_engine_works_and_at_the_end(
    run: RunFolder, record: Record
) -> None:
    record.set_state("training")
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, WorkingScreen))
        await pilot.press("h")
        await until(pilot, lambda: history(app).round == 1)
        record.set_figures("pi", {"images": 200, "good": 164, "diversity": 0.15})
        record.set_state("finished")
        await until(pilot, lambda: isinstance(app.screen, FinishedScreen))
        await pilot.press("h", "left")
        await until(pilot, lambda: history(app).round == 0)


async def test_before_the_first_round_is_submitted_there_is_nothing_to_look_back_at(
    run: RunFolder,
) -> None:
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
    async with interface(run) as (app, pilot):
        await pilot.press("h")
        assert isinstance(app.screen, LabelingScreen)


async def test_the_curves_begin_with_what_tells_most(run: RunFolder, record: Record) -> None:
    for step in (1, 2):
        curves = {"loss": 0.1, "approx_kl": 0.1, "clip_fraction": 0.1, "embedding_loss": 0.1}
        record.add_metrics(1, step, curves)
    async with interface(run) as (app, _):
        drawn = dict(curves_of(app.view))
    assert list(drawn) == [
        "embedding loss",
        "clip fraction",
        "KL drift",
        "diversity by round",
        "loss",
    ]
    assert drawn["diversity by round"] == pytest.approx([0.2, 0.18])


async def test_the_latest_round_stands_beside_an_earlier_one_to_look_at(
    run: RunFolder, record: Record
) -> None:
    train_round(record, 1)
    sample_round(run, record, 2)
    async with interface(run) as (app, pilot):
        await pilot.press("1")
        await until(pilot, lambda: record.labels(2).good == {0})
        await pilot.press("h", "left", "t")
        await until(pilot, lambda: "Round 0" in outcome(app) and len(grids(app)) == 2)
        assert "On the right round 2, as it is labelled now: 1 good so far." in outcome(app)
        left, right = grids(app)
        await until(pilot, lambda: left.shape == right.shape and left.complete_images() != set())
        assert next(tile.path for tile in left.query(Picture)) == run.image(0, 0)
        assert next(tile.path for tile in right.query(Picture)) == run.image(2, 0)
        assert left.size == right.size
        keys = [[tile.shown_key for tile in grid.query(Tile)] for grid in (left, right)]
        assert "1" in keys[0]
        assert not any(keys[1])
        await pilot.press("space")
        await until(pilot, lambda: right.page == left.page == 1)
        await pilot.click(right.query(Tile).first())
        assert isinstance(app.screen, HistoryScreen)
        record.label(2, Labels.of([0, 1]))
        await until(pilot, lambda: "2 good so far" in outcome(app))
        await pilot.press("t")
        await until(pilot, lambda: len(grids(app)) == 1)
        assert "On the right" not in outcome(app)
        assert left.shape == (4, 2)
    assert record.labels(0) == Labels.of([1, 5], 5)


async def test_the_latest_round_is_not_put_beside_itself(run: RunFolder, record: Record) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, WorkingScreen))
        await pilot.press("h")
        await until(pilot, lambda: "Round 1" in outcome(app))
        await pilot.press("t")
        assert len(grids(app)) == 1
        await pilot.press("left", "t")
        await until(pilot, lambda: len(grids(app)) == 2)
        assert "On the right round 1: 1 good of 12." in outcome(app)
