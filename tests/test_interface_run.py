"""A run's stages in the terminal, from working to finished, and the engine's keys."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from textual import events
from textual.events import Resize
from textual.geometry import Size

from hero_engine.errors import EngineError, InputError
from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.labels import Labels
from hero_engine.run.record import Record, RunState
from hero_engine.run.text import plain
from hero_tui.app import HeroApp
from hero_tui.client.run_client import StartEngine
from hero_tui.parting import leaving_code, parting_words
from hero_tui.screens.confirm_finish import ConfirmFinishScreen
from hero_tui.screens.finished import FinishedScreen, result
from hero_tui.screens.help import HelpScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.stopped import StoppedScreen
from hero_tui.screens.submit import SubmitScreen
from hero_tui.screens.task import TaskScreen
from hero_tui.screens.tryout import TryScreen
from hero_tui.screens.working import WorkingScreen
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.picture import Picture
from tests.interface_runs import (
    FakeEngine,
    add_pictures,
    interface,
    is_drawn,
    make_run,
    make_sampled_run,
    notices,
    sample_round,
    submit_round,
    train_round,
    until,
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of two rounds of 8 pictures, the first of which waits for labels."""
    return make_sampled_run(tmp_path, images=8, rounds=2)


def said(app: HeroApp) -> str:
    """The text of the screen, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def test_after_submission_training_is_shown_then_the_next_pictures(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        async with interface(run) as (app, pilot):
            submit_round(record, 0, good=[1, 2], best=2)
            record.set_state("training")
            record.set_progress("training the embedding", 0, 500)
            record.set_progress("training the embedding", 200, 500)
            await until(pilot, lambda: isinstance(app.screen, WorkingScreen))
            await until(pilot, lambda: "training the embedding 200/500" in said(app))
            assert "2 good of 8 (25%), the best is 2" in said(app)
            train_round(record, 0)
            await until(pilot, lambda: "embedding loss" in said(app))
            record.begin_round(1, 8)
            add_pictures(run, record, 1, [0])
            await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
            # A key before its picture can be seen is for another one, and refused.
            while not app.view.labels.good:
                await pilot.press("1")
                await pilot.pause(0.05)
            await until(pilot, lambda: record.labels(1) == Labels.of([0]))


async def test_dialogs_close_when_the_round_is_submitted_elsewhere(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        async with interface(run) as (app, pilot):
            await pilot.press("enter", "question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            submit_round(record, 0, good=[], best=None)
            await until(pilot, lambda: isinstance(app.screen, WorkingScreen))


async def test_a_round_that_taught_nothing_says_why(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        submit_round(record, 0, good=[], best=None)
        record.finish_training(0, {}, outcome="No good picture: nothing is learned.")
        async with interface(run) as (app, pilot):
            await until(pilot, lambda: "No good picture: nothing is learned." in said(app))


async def test_a_finished_run_shows_what_it_brought(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        finish(record)
    async with interface(run, engine=False) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, FinishedScreen))
        await until(pilot, lambda: "25%" in said(app) and "82%" in said(app) and "66%" in said(app))
        assert str(run.exports) in str(result(app.view))
        assert f"hero-tui export {run.reference}" in str(result(app.view))
        await pilot.press("enter")
    assert app.return_value == 0
    assert f"hero-tui export {run.reference}" in parting_words(app.view)


def finish(record: Record, number: int = 0) -> None:
    submit_round(record, number, good=[1, 2], best=2)
    train_round(record, number)
    record.set_figures("pi", {"images": 200, "good": 164, "diversity": 0.15})
    record.set_figures("fresh", {"images": 200, "good": 132, "diversity": 0.18})
    record.set_state("finished")


async def test_no_engine_is_started_for_a_finished_run(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        finish(record)

    def refuse(folder: RunFolder) -> FakeEngine:
        raise AssertionError("started")

    async with interface(run, engine=False, start_engine=refuse):
        pass


async def test_an_engine_is_started_when_none_runs(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    started: list[RunFolder] = []

    def start(folder: RunFolder) -> FakeEngine:
        started.append(folder)
        return FakeEngine()

    async with interface(run, engine=False, start_engine=start) as (app, pilot):
        await until(pilot, lambda: "The engine is starting" in said(app))
        with engine_lock(run), closing(run.open_record()) as record:
            sample_round(run, record, 0)
            await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
            await until(pilot, lambda: app.view.engine == "running")
    assert started == [run]
    assert leaving_code(app.view) == 0


def starting(engines: list[FakeEngine]) -> StartEngine:
    """Starts engines, of which the first has paused the run and the next ones run."""

    def start(folder: RunFolder) -> FakeEngine:
        engines.append(FakeEngine(returncode=None if engines else 3))
        return engines[-1]

    return start


async def test_a_paused_run_says_so_and_enter_continues_it(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.set_state("paused")
    engines: list[FakeEngine] = []
    async with interface(run, engine=False, start_engine=starting(engines)) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, StoppedScreen))
        await until(pilot, lambda: "Paused" in said(app))
        assert leaving_code(app.view) == 3
        await pilot.press("enter")
        await until(pilot, lambda: len(engines) == 2)
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))


async def test_ctrl_p_asks_the_engine_to_pause(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        async with interface(run, engine=False) as (app, pilot):
            with engine_lock(run):
                await until(pilot, lambda: app.view.engine == "running")
                await pilot.press("ctrl+p")
                await until(pilot, lambda: record.is_pending("stop"))
                await until(pilot, lambda: app.view.engine == "stopping")
                record.set_state("paused")
            await until(pilot, lambda: "Paused" in said(app))


async def test_ctrl_f_finishes_only_after_a_confirmation(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        async with interface(run) as (app, pilot):
            await pilot.press("ctrl+f")
            await until(pilot, lambda: isinstance(app.screen, ConfirmFinishScreen))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
            assert not record.is_pending("finish")
            await pilot.press("ctrl+f", "enter")
            await until(pilot, lambda: record.is_pending("finish"))


async def test_a_finishing_run_shows_its_evaluation_and_takes_no_more_labels(
    run: RunFolder,
) -> None:
    with closing(run.open_record()) as record:
        async with interface(run) as (app, pilot):
            await pilot.press("1", "ctrl+f", "enter")
            await until(pilot, lambda: isinstance(app.screen, WorkingScreen))
            await until(pilot, lambda: "The model is evaluated as it is" in said(app))
            record.set_state("sampling")
            record.set_progress("success from fresh noise", 0, 40)
            record.set_progress("success from fresh noise", 10, 40)
            await until(pilot, lambda: "success from fresh noise 10/40" in said(app))
            await pilot.press("ctrl+f")  # once is enough
            assert isinstance(app.screen, WorkingScreen)
            record.set_state("finished")
            await until(pilot, lambda: isinstance(app.screen, FinishedScreen))


async def test_no_evaluation_is_promised_where_nobody_can_judge(tmp_path: Path) -> None:
    run = make_run(tmp_path, images=8, rounds=1, oracle=None)
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
        async with interface(run) as (app, pilot):
            await pilot.press("1", "b", "1", "space", "ctrl+s")
            await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
            await until(pilot, lambda: "run is finished" in said(app))
            assert "evaluated" not in said(app)
            await pilot.press("escape", "ctrl+f")
            await until(pilot, lambda: isinstance(app.screen, ConfirmFinishScreen))
            assert "evaluate" not in said(app)
            await pilot.press("enter")
            await until(pilot, lambda: "The run ends" in said(app))


async def test_a_finishing_run_whose_engine_is_gone_says_so(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.send("finish")
    async with interface(run, engine=False, start_engine=lambda f: FakeEngine(-9)) as (app, pilot):
        await until(pilot, lambda: "The engine is gone" in said(app))


async def test_a_failed_engine_shows_its_error_and_the_end_of_its_log(run: RunFolder) -> None:
    run.log_file.write_text("loading\nsampling\nthe last line of the log\n")
    with closing(run.open_record()) as record:
        record.set_state("failed", "The ratio of round 1 is 1.3, expected 1.")
    async with interface(run, engine=False, start_engine=lambda f: FakeEngine(4)) as (app, pilot):
        await until(pilot, lambda: "The ratio of round 1 is 1.3, expected 1." in said(app))
        assert "the last line of the log" in said(app)
        await pilot.press("ctrl+q")
    assert app.return_value == 4


@pytest.mark.parametrize("state", ["sampling", "training"])
async def test_an_engine_that_is_killed_is_noticed(run: RunFolder, state: RunState) -> None:
    run.log_file.write_text("the last line of the log\n")
    with closing(run.open_record()) as record:
        async with interface(run, engine=False, start_engine=lambda f: FakeEngine(-9)) as (app, p):
            with engine_lock(run):
                await until(p, lambda: app.view.engine == "running")
                record.set_state(state)
            await until(p, lambda: "The engine is gone" in said(app))
            assert "the last line of the log" in said(app)
            assert leaving_code(app.view) == 4


async def test_labeling_goes_on_without_an_engine_and_ctrl_r_starts_one(run: RunFolder) -> None:
    engines: list[FakeEngine] = []

    def start(folder: RunFolder) -> FakeEngine:
        engines.append(FakeEngine(returncode=None if engines else -9))
        return engines[-1]

    async with interface(run, engine=False, start_engine=start) as (app, pilot):
        await until(pilot, lambda: "The engine is not running" in said(app))
        await until(pilot, lambda: is_drawn(app))
        await pilot.press("1")
        await until(pilot, lambda: app.view.labels == Labels.of([0]))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(engines) == 2)
        await until(pilot, lambda: "The engine is starting" in said(app))


async def test_an_engine_that_cannot_be_started_is_an_error_message(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.set_state("paused")
    starts: list[RunFolder] = []

    def start(folder: RunFolder) -> FakeEngine:
        starts.append(folder)
        if len(starts) > 1:
            raise EngineError("engine.log: cannot start the engine: no space left")
        return FakeEngine(returncode=3)

    async with interface(run, engine=False, start_engine=start) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, StoppedScreen))
        await pilot.press("enter")
        await until(pilot, lambda: "no space left" in notices(app))


async def test_the_end_of_a_long_log_can_be_read(run: RunFolder) -> None:
    run.log_file.write_text("".join(f"line {n} {'of many words ' * 12}\n" for n in range(40)))
    with closing(run.open_record()) as record:
        record.set_state("failed", "It is out of memory.")
    async with interface(run, engine=False, start_engine=lambda f: FakeEngine(4)) as (app, pilot):
        await until(pilot, lambda: "It is out of memory." in said(app))
        assert "starts the engine again" not in said(app), "it is below the edge"
        await pilot.press("end")
        await until(pilot, lambda: "starts the engine again" in said(app))
        assert "line 39" in said(app)


async def test_a_paused_run_is_finished_by_an_engine_that_is_started_for_it(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.set_state("paused")
        engines: list[FakeEngine] = []
        async with interface(run, engine=False, start_engine=starting(engines)) as (app, pilot):
            await until(pilot, lambda: isinstance(app.screen, StoppedScreen))
            await pilot.press("ctrl+f")
            await until(pilot, lambda: isinstance(app.screen, ConfirmFinishScreen))
            await pilot.press("enter")
            await until(pilot, lambda: record.is_pending("finish") and len(engines) == 2)


async def test_leaving_lets_the_engine_go_on(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        async with interface(run) as (app, pilot):
            await pilot.press("1", "ctrl+d")
        assert app.return_value == 0
        assert f"attach {run.reference}" in parting_words(app.view)
        assert record.labels(0) == Labels.of([0])
        assert not record.is_pending("stop")


def written(app: HeroApp) -> str:
    """What the terminal shows, a line each."""
    rows = sorted(app._cells._rows.items())
    return "\n".join("".join(cell[0] if cell else "?" for cell in row) for _, row in rows)


async def test_a_terminal_that_is_too_small_is_asked_to_grow(run: RunFolder) -> None:
    async with interface(run, size=(60, 20)) as (app, pilot):
        await until(pilot, lambda: "this terminal is 60x20" in written(app))
        assert "^q leaves" in written(app)
        app.post_message(events.Key("1", "1"))  # what cannot be seen is not labelled
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "page 1/" in written(app) or "key: good" in written(app))
        assert "60x20" not in written(app)
        assert app.view.labels == Labels()
        await pilot.press("1")
        assert app.view.labels == Labels.of([0])
        await pilot.resize_terminal(70, 24)
        await until(pilot, lambda: "this terminal is 70x24" in written(app))
        app.post_message(events.Key("ctrl+q", None))
        await until(pilot, lambda: app.return_value == 0)


@pytest.mark.parametrize("dialog", ["enter", "ctrl+s", "question_mark", "colon", "p"])
async def test_a_storm_of_sizes_leaves_a_dialog_as_it_was(run: RunFolder, dialog: str) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press(dialog)
        before = list(app.screen_stack)
        assert len(before) == 3
        for size in [(79, 24), (80, 24), (80, 22), (1, 1), (200, 60), (80, 24)] * 2:
            await pilot.resize_terminal(*size)
        assert list(app.screen_stack) == before
        await until(pilot, lambda: is_drawn(app) and "needs 80x24" not in written(app))


async def test_a_run_folder_that_is_removed_is_said_and_labels_are_not_lost_in_silence(
    run: RunFolder,
) -> None:
    async with interface(run) as (app, pilot):
        shutil.rmtree(run.path)
        await until(pilot, lambda: "was the run folder moved or removed?" in said(app))
        await pilot.press("1")
        await until(pilot, lambda: "was the run folder moved or removed?" in notices(app))
        await until(pilot, lambda: app.view.labels == Labels())


async def test_a_full_disk_is_said_and_the_labels_go_on_when_there_is_room_again(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise InputError("run.sqlite: the disk is full; free some space and run the same again")

    async with interface(run) as (app, pilot):
        with monkeypatch.context() as patched:
            patched.setattr(Record, "edit", full)
            await pilot.press("1")
            await until(pilot, lambda: "the disk is full" in notices(app))
            await until(pilot, lambda: app.view.labels == Labels())
        await pilot.press("2")
        await until(pilot, lambda: app.view.labels == Labels.of([1]))


async def test_two_interfaces_are_told_of_each_other_and_when_one_is_closed(
    run: RunFolder,
) -> None:
    async with interface(run) as (first, pilot):
        assert notices(first) == ""
        async with interface(run, engine=False) as (second, pilot2):
            await until(pilot2, lambda: "Another interface is open" in notices(second))
            await until(pilot, lambda: "Another interface is open" in notices(first))
            async with interface(run, engine=False) as (third, pilot3):
                await until(pilot3, lambda: "Another interface is open" in notices(third))
            first.clear_notifications()
        await until(pilot, lambda: "The other interface was closed." in notices(first))
    async with interface(run) as (alone, pilot):
        await until(pilot, lambda: alone.view.engine == "running")
        assert notices(alone) == ""


HOSTILE = "[bold red]cat[/] [@click=app.quit]x[/] \x1b[31mred\x1b]0;title\x07\u202e"


async def test_markup_and_escapes_in_a_task_are_shown_not_obeyed(tmp_path: Path) -> None:
    run = make_run(tmp_path, images=8, prompts=(HOSTILE,), criteria=(HOSTILE,))
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
        async with interface(run) as (app, pilot):
            await until(pilot, lambda: "[bold red]cat[/]" in said(app))
            for key, dialog in (("t", TaskScreen), ("enter", None), ("ctrl+s", None)):
                await pilot.press(key)
                if dialog:
                    await until(pilot, lambda: "[@click=app.quit]x[/] \\x1b[31mred" in said(app))
                assert "\x1b" not in said(app)
                assert "\u202e" not in said(app)
                await pilot.press("escape")
            record.set_state("failed", HOSTILE)
        async with interface(run, engine=False, start_engine=lambda f: FakeEngine(4)) as (app, p):
            await until(p, lambda: "[bold red]cat[/]" in said(app))
            assert "\x1b" not in said(app)


async def test_the_task_screen_says_what_is_hard(tmp_path: Path) -> None:
    run = make_sampled_run(tmp_path, images=8, categories=("counting", "\x1b[31mred"))
    async with interface(run) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "counting, \\x1b[31mred" in said(app))


async def test_markup_and_escapes_in_names_and_logs_are_shown_not_obeyed(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "")
    run = RunFolder(make_run(tmp_path, images=8, rounds=2).path.rename(tmp_path / name))
    shown = r"[bold red]cat[] [@click=app.quit]x[] \x1b[31mred\x1b]0;title\x07\u202e"

    def is_harmless(app: HeroApp) -> bool:
        return not {"\x1b", "\x07", "\u202e"} & set(said(app))

    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
        submit_round(record, 0, good=[1], best=1)
        train_round(record, 0)
        sample_round(run, record, 1)
        async with interface(run, size=(200, 60)) as (app, pilot):
            await until(pilot, lambda: shown in said(app))
            # Zoom, help, palette, earlier rounds, a try, the summary, the end of the run.
            for keys in (["enter"], ["question_mark"], ["colon"], ["h"], ["ctrl+s"], ["ctrl+f"]):
                depth = len(app.screen_stack)
                await pilot.press(*keys)
                await until(pilot, lambda depth=depth: len(app.screen_stack) > depth)
                await pilot.pause()
                assert is_harmless(app)
                await pilot.press("escape")
                await until(pilot, lambda depth=depth: len(app.screen_stack) == depth)
            await pilot.press("p")
            await until(pilot, lambda: isinstance(app.screen, TryScreen))
            number = record.ask_try(HOSTILE)
            record.finish_try(number, 1, 0, error=HOSTILE)
            await until(pilot, lambda: "[bold red]cat[/]" in said(app))
            assert is_harmless(app)
            assert app.is_running
        run.log_file.write_text(f"{HOSTILE}\n")
        record.set_state("failed", HOSTILE)
        async with interface(run, engine=False, start_engine=lambda f: FakeEngine(4)) as (app, p):
            await until(p, lambda: said(app).count("[bold red]cat[/]") == 2)
            assert is_harmless(app)
        finish(record, 1)
        async with interface(run, size=(200, 60), engine=False) as (app, pilot):
            await until(pilot, lambda: shown in said(app) and "hero-tui export" in said(app))
            assert is_harmless(app)
        assert shown in plain(parting_words(app.view))


async def test_a_storm_of_resizing_loses_nothing(run: RunFolder) -> None:
    sizes = [(80, 24), (200, 60), (20, 5), (120, 40), (79, 24), (80, 23)]
    async with interface(run) as (app, pilot):
        for width, height in sizes:
            await pilot.press("1")
            app.post_message(Resize(size := Size(width, height), size))
            await pilot.press("g")
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        grid = app.screen.query_one(PictureGrid)
        pictures = list(grid.query(Picture))
        await until(pilot, lambda: sum(picture.complete for picture in pictures) == 8)
        marked = app.view.labels
        await pilot.press("m")
        await until(pilot, lambda: app.view.labels.good ^ marked.good == {grid.image})
        with closing(run.open_record()) as record:
            await until(pilot, lambda: record.labels(0) == app.view.labels)
