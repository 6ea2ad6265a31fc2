"""The person's judgement: one picture at a time, unsure ones, a second look."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from textual.pilot import Pilot

from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.record import Record, SecondLook
from hero_tui.app import HeroApp
from hero_tui.screens.finished import FinishedScreen
from hero_tui.screens.history import HistoryScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.run_screen import TOO_EARLY
from hero_tui.screens.second_look import SecondLookScreen
from hero_tui.screens.submit import SubmitScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.tile import Tile
from tests.interface_runs import (
    add_pictures,
    all_complete,
    interface,
    make_run,
    notices,
    sample_round,
    submit_round,
    train_round,
    until,
)

IMAGES = 8


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path, images=IMAGES)


@pytest.fixture
def record(run: RunFolder) -> Iterator[Record]:
    """The record; a round of eight pictures waits for labels."""
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
        yield record


def said(app: HeroApp) -> str:
    return "\n".join(
        "".join(segment.text for segment in strip)
        for strip in app.screen._compositor.render_strips()
    )


def words(app: HeroApp) -> str:
    """What is said, wherever its lines are broken."""
    return " ".join(re.sub("[\u2500-\u259f·]", " ", said(app)).split())


@pytest.fixture
def unseen_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is left is not yet shown."""
    monkeypatch.setattr(PictureGrid, "complete_images", lambda grid: frozenset())


def zoom(app: HeroApp) -> ZoomScreen:
    assert isinstance(app.screen, ZoomScreen)
    return app.screen


async def zoomed(app: HeroApp, pilot: Pilot[int], image: int) -> None:
    """Waits until a picture is on the screen, large."""
    await until(
        pilot,
        lambda: (
            isinstance(app.screen, ZoomScreen) and app.screen.image == image and all_complete(app)
        ),
    )


async def judge(app: HeroApp, pilot: Pilot[int], keys: str, first: int = 0) -> None:
    """Presses a key for each picture, once it is on the screen."""
    for image, key in enumerate(keys, start=first):
        await zoomed(app, pilot, image)
        await pilot.press(key)


# -- one at a time -------------------------------------------------------------------------------


async def test_a_round_by_v_is_judged_and_submitted(run: RunFolder, record: Record) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("v")
        await judge(app, pilot, "gbsngbbg")
        await until(pilot, lambda: record.seen(0) == set(range(IMAGES)))
        assert record.labels(0) == Labels.of([0, 2, 4, 7], 2, unsure=[3])
        await until(pilot, lambda: "These were all: ^s submits the round." in words(app))
        assert zoom(app).image == 7, "a key too many may not mean something else"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        assert "4 of 7 (57%)" in said(app)
        assert "1, left out" in said(app)
        await pilot.press("enter")
        await until(pilot, lambda: record.rounds()[0].submitted)
    assert record.labels(0) == Labels.of([0, 2, 4, 7], 2, unsure=[3])


async def test_enter_does_so_from_the_cursor_and_the_page_follows(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("right", "enter")
        await judge(app, pilot, "gb", first=1)
        await zoomed(app, pilot, 3)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        assert isinstance(app.screen, LabelingScreen)
        assert app.screen.grid.image == 3
        await until(pilot, lambda: record.labels(0) == Labels.of([1]))


async def test_v_is_a_tile_where_the_page_has_sixteen(tmp_path: Path) -> None:
    run = make_run(tmp_path, images=16)
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
        async with interface(run, (200, 60)) as (app, pilot):
            await until(pilot, lambda: all_complete(app))
            await pilot.press("v")
            await until(pilot, lambda: record.labels(0) == Labels.of([15]))
            await pilot.press("g", "v")
            await zoomed(app, pilot, 15)


async def test_a_key_before_the_picture_is_shown_says_nothing(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("v")
        await zoomed(app, pilot, 0)
        zoom(app)._picture._drawn = False  # as until it has been sent
        for key in ("g", "s", "n", "right"):  # not by the pilot, which waits for the picture
            app.simulate_key(key)
        await zoomed(app, pilot, 1)
        assert TOO_EARLY in notices(app)
        await pilot.press("g")
        await until(pilot, lambda: record.labels(0) == Labels.of([1]))
        await until(pilot, lambda: 1 in record.seen(0))
        assert 0 not in record.seen(0), "nor has it been looked at"


async def test_undo_shows_the_picture_that_it_has_changed(run: RunFolder, record: Record) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("v")
        await judge(app, pilot, "gsb")
        await until(pilot, lambda: record.labels(0) == Labels.of([0, 1], 1))
        await pilot.press("u")
        await zoomed(app, pilot, 1)
        assert record.labels(0) == Labels.of([0])
        await pilot.press("u")
        await zoomed(app, pilot, 0)
        assert record.labels(0) == Labels()
        await pilot.press("ctrl+y", "ctrl+y")
        await until(pilot, lambda: record.labels(0) == Labels.of([0, 1], 1))
        await zoomed(app, pilot, 1)


async def test_an_undo_without_effect_leads_nowhere_later(run: RunFolder, record: Record) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("v", "right", "right")
        await zoomed(app, pilot, 2)
        await pilot.press("u", "g")
        await until(pilot, lambda: record.labels(0) == Labels.of([2]))
        await until(pilot, lambda: app.view.labels == Labels.of([2]))
        await zoomed(app, pilot, 3)
        await pilot.press("b")
        await zoomed(app, pilot, 4)
    assert record.labels(0) == Labels.of([2])


async def test_judging_again_the_best_as_bad_leaves_no_best(run: RunFolder, record: Record) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("v")
        await judge(app, pilot, "s")
        await until(pilot, lambda: record.labels(0) == Labels.of([0], 0))
        for key, labels in (("g", [[0], 0]), ("n", [[], None, [0]]), ("b", [[], None])):
            await pilot.press("left")
            await judge(app, pilot, key)
            await until(pilot, lambda labels=labels: record.labels(0) == Labels.of(*labels))


async def test_after_the_last_picture_come_those_that_were_not_seen(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("down", "right", "right", "v")
        await judge(app, pilot, "gb", first=6)
        await judge(app, pilot, "g")
        await until(pilot, lambda: record.labels(0) == Labels.of([0, 6]))


async def test_a_picture_that_is_still_made_is_waited_for(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.begin_round(0, IMAGES)
        add_pictures(run, record, 0, range(2))
        async with interface(run) as (app, pilot):
            await pilot.press("v")
            await judge(app, pilot, "gg")
            await until(pilot, lambda: "next picture is still being made" in words(app))
            assert zoom(app).image == 1
            add_pictures(run, record, 0, [2])
            await until(pilot, lambda: 2 in app.view.images)
            await pilot.press("g")
            await zoomed(app, pilot, 2)
            assert record.labels(0) == Labels.of([0, 1])


# -- unsure --------------------------------------------------------------------------------------


async def test_n_and_the_key_makes_a_picture_unsure_and_bad_again(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("1", "W", "n", "1", "n", "w", "n", "3")
        await until(pilot, lambda: record.labels(0) == Labels.of([], None, [0, 2, 5]))
        assert "0 good, 3 unsure" in said(app)
        tile = app.screen.query_one("#tile-1", Tile)
        assert tile.has_class("-unsure")
        assert "? unsure" in tile.caption
        await pilot.press("n", "1", "w", "n", "escape", "2")
        await until(pilot, lambda: record.labels(0) == Labels.of([1, 5], None, [2]))
        await pilot.press("u", "u", "u")
        await until(pilot, lambda: record.labels(0) == Labels.of([], None, [0, 2, 5]))


async def test_n_n_is_for_the_picture_under_the_cursor_and_b_is_not_mixed_with_it(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("right", "n", "n", "n", "b", "b")
        await until(pilot, lambda: record.labels(0) == Labels.of([1], 1))
        await pilot.press("b", "n", "2")
        await until(pilot, lambda: record.labels(0) == Labels.of([], None, [1]))


async def test_inverting_and_a_range_that_shrinks_leave_unsure_ones_as_they_are(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (_, pilot):
        await pilot.press("n", "2", "3", "i")
        await until(pilot, lambda: record.labels(0) == Labels.of([0, 3, 4, 5, 6, 7], None, [1]))
        await pilot.press("i", "left", "left", "shift+right")
        await until(pilot, lambda: record.labels(0) == Labels.of([0, 1, 2]))
        await pilot.press("shift+left")
        await until(pilot, lambda: record.labels(0) == Labels.of([0, 2], None, [1]))


async def test_a_click_after_n_is_unsure_and_two_clicks_change_nothing(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("n")
        await pilot.click("#tile-e")
        await until(pilot, lambda: record.labels(0) == Labels.of([], None, [6]))
        await pilot.click("#tile-e", times=2)
        await zoomed(app, pilot, 6)
        await until(pilot, lambda: record.labels(0) == Labels.of([], None, [6]))


async def test_a_round_of_unsure_pictures_says_that_nothing_is_learned(
    run: RunFolder, record: Record
) -> None:
    record.label(0, Labels.of([], None, range(IMAGES)))
    record.mark_seen(0, range(IMAGES))
    async with interface(run) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "0 of 0" in said(app))
        assert "nothing to learn from this round" in str(app.screen.query_one("#summary").render())
        await pilot.press("enter")
        await until(pilot, lambda: record.rounds()[0].submitted)
        record.finish_training(0, {}, "Every picture is unsure.")
        await until(pilot, lambda: "0 good of 0, 8 unsure, no best" in said(app))


# -- a second look -------------------------------------------------------------------------------

GOOD = [0, 1, 2]
GUESSES = [0.9, 0.8, -0.2, 0.1, 0.0, 0.95, 0.1, 0.1]
"""Of pictures of which the first three are good: 2 and 5 are in doubt."""


@pytest.fixture
def guessed_and_unseen(run: RunFolder, record: Record) -> Record:
    """In round 1 all pictures have guesses and labels, and none has been looked at."""
    submit_round(record, 0, good=[5], best=5)
    train_round(record, 0)
    record.begin_round(1, IMAGES)
    record.add_images(1, range(IMAGES), GUESSES)
    sample_round(run, record, 1)
    record.label(1, Labels.of(GOOD, KEEP))
    return record


@pytest.fixture
def guessed(guessed_and_unseen: Record) -> Record:
    """In round 1 all pictures have guesses, have been looked at and labelled."""
    guessed_and_unseen.mark_seen(1, range(IMAGES))
    return guessed_and_unseen


async def test_before_a_round_is_submitted_its_doubted_labels_are_looked_at_again(
    run: RunFolder, guessed: Record
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("space")
        await until(pilot, lambda: "a second look at 2 labels" in notices(app))
        app.clear_notifications()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "l: 2 labels, those which the engine doubts" in said(app))
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, SecondLookScreen) and all_complete(app))
        shown = said(app)
        assert "Second look, 1 of 2" in shown
        assert "Picture 2 of round 1" in shown
        assert "✓" not in shown, "what it was called is not shown"
        await pilot.press("s", "ctrl+s", "b")
        await zoomed(app, pilot, 5)
        await until(pilot, lambda: "Picture 2: bad, it was good." in said(app))
        await pilot.press("b")
        await until(pilot, lambda: "Picture 5: bad, as before." in said(app))
        assert "These were all" in said(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        assert "engine doubts" not in words(app)
        await pilot.press("enter")
        await until(pilot, lambda: guessed.rounds()[1].submitted)
    assert guessed.labels(1) == Labels.of([0, 1], KEEP)
    looks = [SecondLook(1, 2, "good", "bad"), SecondLook(1, 5, "bad", "bad")]
    assert guessed.second_looks() == looks


async def test_a_correction_is_taken_back_by_undo(run: RunFolder, guessed: Record) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        await pilot.press("l")
        await zoomed(app, pilot, 2)
        await pilot.press("n")
        await until(pilot, lambda: guessed.labels(1) == Labels.of([0, 1], KEEP, [2]))
        await pilot.press("u")
        await zoomed(app, pilot, 2)
        await until(pilot, lambda: guessed.labels(1) == Labels.of(GOOD, KEEP))
        assert guessed.second_looks() == [SecondLook(1, 2, "good", "good")]


async def test_undo_of_a_picture_that_is_not_in_doubt_leads_nowhere(
    run: RunFolder, guessed: Record
) -> None:
    guessed.label(1, Labels.of([0, 2], KEEP))
    guessed.label(1, Labels.of(GOOD, KEEP))
    async with interface(run) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        await pilot.press("l")
        await zoomed(app, pilot, 2)
        await pilot.press("u")
        await until(pilot, lambda: app.view.labels == Labels.of([0, 2], KEEP))
        await zoomed(app, pilot, 2)


async def test_an_earlier_rounds_labels_stay_and_the_answer_is_counted(
    run: RunFolder, guessed: Record
) -> None:
    guessed.submit(1)
    train_round(guessed, 1)
    sample_round(run, guessed, 2)
    async with interface(run) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await until(pilot, lambda: "l: 2 labels, those which the engine doubts" in words(app))
        await pilot.press("l")
        await zoomed(app, pilot, 2)
        assert "they stay" in words(app)
        await pilot.press("u", "b")
        await zoomed(app, pilot, 5)
        await pilot.press("b", "escape")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await until(pilot, lambda: "engine doubts" not in words(app))
        await pilot.press("left")
        assert "engine doubts" not in words(app), "in the first round nothing was learned yet"
    assert guessed.labels(1) == Labels.of(GOOD, KEEP)
    assert guessed.labels(2) == Labels()
    looks = [SecondLook(1, 2, "good", "bad"), SecondLook(1, 5, "bad", "bad")]
    assert guessed.second_looks() == looks


@pytest.mark.usefixtures("unseen_pages", "guessed_and_unseen")
async def test_before_all_pictures_are_seen_there_is_nothing_to_look_at_again(
    run: RunFolder,
) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("ctrl+s", "l")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        assert "engine doubts" not in said(app)


async def test_the_end_of_the_run_says_how_many_labels_were_wrong(
    run: RunFolder, guessed: Record
) -> None:
    guessed.look_again(1, 2, lambda labels: labels.marked([2], "bad"))
    guessed.look_again(1, 5, lambda labels: labels.marked([5], "unsure"))
    guessed.look_again(1, 3, lambda labels: labels)
    guessed.submit(1)
    train_round(guessed, 1)
    guessed.set_state("finished")
    async with interface(run, (200, 60), engine=False) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, FinishedScreen))
        shown = words(app)
        assert "15 labels in 2 rounds, 1 unsure." in shown
        assert "2 of 3 labels that the engine doubted were corrected" in shown
