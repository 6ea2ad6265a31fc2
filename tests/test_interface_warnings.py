"""A collapse is told on every screen of the run, and two keys lead back."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.record import Record
from hero_tui.app import HeroApp
from hero_tui.client import run_client
from hero_tui.client.run_client import RunClient
from hero_tui.screens.confirm_rollback import ConfirmRollbackScreen
from hero_tui.screens.finished import FinishedScreen
from hero_tui.screens.history import HistoryScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.stopped import StoppedScreen
from hero_tui.screens.working import WorkingScreen
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.warning import WarningLine
from tests.interface_runs import (
    FakeEngine,
    interface,
    is_drawn,
    make_run,
    sample_round,
    submit_round,
    train_round,
    until,
)

WORDS = "Collapse: the pictures are all but the same."


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path, images=8, rounds=4)


@pytest.fixture
def record(run: RunFolder) -> Iterator[Record]:
    """Two rounds are trained; the third one's pictures, which wait for labels, show a collapse."""
    with closing(run.open_record()) as record:
        for number in range(3):
            sample_round(run, record, number)
            if number < 2:
                submit_round(record, number, good=[0, 1], best=0)
                train_round(record, number)
        record.set_collapse(2, WORDS, back_to=0)
        yield record


def line(app: HeroApp) -> str:
    return str(app.screen.query_one(WarningLine).render())


async def test_it_is_told_while_labeling_training_and_in_the_end(
    run: RunFolder, record: Record
) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        await until(pilot, lambda: app.screen.query_one(WarningLine).size.height > 0)
        assert WORDS in line(app)
        assert "h: round 0, to go back to its model." in line(app)
        submit_round(record, 2, good=[], best=None)
        record.set_state("training")
        await until(pilot, lambda: isinstance(app.screen, WorkingScreen))
        await until(pilot, lambda: WORDS in line(app))
        record.finish_training(2, {})
        record.set_state("finished")
        await until(pilot, lambda: isinstance(app.screen, FinishedScreen))
        await until(pilot, lambda: WORDS in line(app))


async def test_a_healthy_run_has_no_line_for_it(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        assert not app.screen.query_one(WarningLine).display


async def test_its_round_says_so_in_the_history(run: RunFolder, record: Record) -> None:
    submit_round(record, 2, good=[], best=None)
    async with interface(run) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        history = app.screen
        assert isinstance(history, HistoryScreen)
        assert history.round == 0, "the round to go back to"
        await pilot.press("right", "right")
        await until(pilot, lambda: history.round == 2)
        assert WORDS in str(app.screen.query_one("#outcome").render())


async def test_two_keys_and_a_confirmation_go_back(run: RunFolder, record: Record) -> None:
    async with interface(run, engine=False, start_engine=lambda folder: FakeEngine(3)) as (
        app,
        pilot,
    ):
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, ConfirmRollbackScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        assert app.view.line == 0
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, ConfirmRollbackScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, StoppedScreen))
        assert app.view.line == 1
        assert [r.number for r in app.view.rounds] == [0]
        assert [r.number for r in run.line(0).open_record().rounds()] == [0, 1, 2]
        # The engine draws round 1 anew; what is shown of it is not what was kept.
        app._client._attached.place = (0, 1, 7)  # where its person was in the one that was left
        sample_round(run, record, 1)
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen) and is_drawn(app))
        assert isinstance(app.screen, LabelingScreen)
        assert app.screen.grid.image == 0
        submit_round(record, 1, good=[7], best=7)
        await until(pilot, lambda: len(app.view.outcomes) == 2)
        assert app.view.outcomes[1].labels.best == 7


async def test_an_engine_is_stopped_first(run: RunFolder, record: Record) -> None:
    with ExitStack() as engine:
        engine.enter_context(engine_lock(run))
        async with interface(run, engine=False) as (app, pilot):
            await pilot.press("h")
            await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
            await pilot.press("b")
            await until(pilot, lambda: isinstance(app.screen, ConfirmRollbackScreen))
            await pilot.press("enter")
            await until(pilot, lambda: record.is_pending("stop"))
            assert app.view.line == 0
            engine.close()
            await until(pilot, lambda: app.view.line == 1)


def test_who_leaves_before_the_engine_has_stopped_goes_back_all_the_same(
    run: RunFolder, record: Record
) -> None:
    with engine_lock(run):
        client = RunClient(run, lambda folder: FakeEngine())
        client.follow(lambda update: None)
        client.roll_back(0)
        leaving = threading.Thread(target=client.close)
        leaving.start()
        leaving.join(0.3)
        assert record.line() == 0
    leaving.join()
    assert record.line() == 1


def test_of_an_engine_that_never_stops_one_is_told(
    run: RunFolder, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_client, "STOP_SECONDS", 0.0)
    with engine_lock(run):
        client = RunClient(run, lambda folder: FakeEngine())
        client.follow(lambda update: None)
        client.roll_back(0)
        assert client.close() == ("round 0 to go back to: the engine has not stopped yet",)
    assert record.line() == 0


async def test_the_last_round_of_a_run_is_nothing_to_go_back_to(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        for number in range(4):
            sample_round(run, record, number)
            submit_round(record, number, good=[0, 1], best=0)
            train_round(record, number)
        record.set_state("finished")
    async with interface(run) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("b")
        assert isinstance(app.screen, HistoryScreen)
        await pilot.press("left", "b")
        await until(pilot, lambda: isinstance(app.screen, ConfirmRollbackScreen))


async def over_trained(run: RunFolder, record: Record) -> None:
    """Three rounds are good from end to end, and less varied each time."""
    for number, diversity in enumerate((0.2, 0.11, 0.1)):
        sample_round(run, record, number)
        submit_round(record, number, good=range(8), best=0)
        record.add_metrics(number, 0, {"good_diversity": diversity})
        train_round(record, number)
    sample_round(run, record, 3)


async def test_over_training_is_told_with_three_keys(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        await over_trained(run, record)
        async with interface(run) as (app, pilot):
            await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
            await until(pilot, lambda: app.screen.query_one(WarningLine).size.height > 0)
            assert "Over-training: 8 of 8 and 8 of 8 pictures" in line(app)
            assert "^f: finish now; h: round 0, to go back to its model" in line(app)
            assert "^g: go on by half the step." in line(app)
            await pilot.press("h")
            await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
            assert isinstance(app.screen, HistoryScreen)
            assert app.screen.round == 0
            assert len(app.screen.query(PictureGrid)) == 2, "today's pictures beside it"
            await pilot.press("escape")
            # A collapse is worse, and told instead.
            record.set_collapse(3, WORDS, back_to=0)
            await until(pilot, lambda: WORDS in line(app))
            assert "Over-training" not in line(app)


async def test_half_the_step_is_taken_after_it_is_confirmed(run: RunFolder) -> None:
    before = run.task().update.learning_rate
    with closing(run.open_record()) as record:
        await over_trained(run, record)
        async with interface(run, engine=False, start_engine=lambda folder: FakeEngine(3)) as (
            app,
            pilot,
        ):
            await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
            await pilot.press("ctrl+g")
            await until(pilot, lambda: isinstance(app.screen, ConfirmRollbackScreen))
            await pilot.press("enter")
            await until(pilot, lambda: record.line() == 1)
            await until(pilot, lambda: record.unwritten_task() is None)
            await until(pilot, lambda: "h: round 0" in line(app))
        assert [r.number for r in record.rounds()] == [0, 1, 2]
    assert run.task().update.learning_rate == before / 2
    assert run.line(0).task().update.learning_rate == before
