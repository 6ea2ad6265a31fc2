"""The runs screen: what it lists, that it keeps up, and what choosing a run does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.widgets import Static

from hero_engine.run.folder import RunFolder, create_run, engine_lock
from hero_engine.run.task import Task
from hero_tui.config import Config
from hero_tui.keys import key_table
from hero_tui.runlist import read_runs
from hero_tui.screens.runs import HEADER, RunList, RunsApp, age, cells, lines
from hero_tui.theme import THEMES
from tests.interface_runs import sample_round, submit_round, until

DOCS = Path(__file__).parents[1] / "docs" / "interface.md"
NOW = 1_000_000_000.0


def add_run(runs_dir: Path, name: str, seconds_old: float, task: str = "black-cat") -> RunFolder:
    settings = {
        "name": task,
        "prompts": ("a thing",),
        "criteria": ("it is a thing",),
        "model": "embedded",
        "feedback": {"batch_size": 8, "rounds": 4},
    }
    folder = create_run(runs_dir, Task.model_validate(settings), name)
    os.utime(folder.task_file, (NOW - seconds_old, NOW - seconds_old))
    return folder


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Three runs, oldest first: one with a labelled round, a finished one, a damaged one."""
    started = add_run(tmp_path, "started", 3 * 86400)
    with closing(started.open_record()) as record:
        sample_round(started, record, 0)
        submit_round(record, 0, good=[1, 2], best=2)
        sample_round(started, record, 1)
    with closing(add_run(tmp_path, "finished", 7200).open_record()) as record:
        record.set_state("finished")
    add_run(tmp_path, "damaged", 60).record_file.write_bytes(b"nothing of the kind")
    return tmp_path


@pytest.fixture
def app(runs_dir: Path) -> Iterator[RunsApp]:
    with engine_lock(RunFolder(runs_dir / "started")):
        yield RunsApp(runs_dir, clock=lambda: NOW)


def listed(app: RunsApp) -> list[list[str]]:
    """The words of each line."""
    return [str(option.prompt).split() for option in app.screen.query_one(RunList).options]


async def test_the_latest_run_is_first_with_what_it_came_to(app: RunsApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 3)
        assert listed(app) == [
            ["damaged", "damaged", "1", "min"],
            ["finished", "black-cat", "finished", "1", "of", "4", "0/32", "2", "h"],
            ["started", "black-cat", "labeling", "2", "of", "4", "8/32", "25%", "3", "d"],
        ]
        header = app.screen.query_one("#header", Static)
        assert str(header.render()).split() == [str(title) for title in HEADER]


async def test_enter_chooses_the_run_under_the_cursor(app: RunsApp, runs_dir: Path) -> None:
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.press("down", "down", "enter")
    assert app.return_value == RunFolder(runs_dir / "started")


async def test_a_click_chooses_a_run(app: RunsApp, runs_dir: Path) -> None:
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.click(RunList, offset=(5, 1))
    assert app.return_value == RunFolder(runs_dir / "finished")


@pytest.mark.parametrize("key", ["escape", "q", "ctrl+q", "ctrl+d"])
async def test_leaving_chooses_none(app: RunsApp, key: str) -> None:
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.press(key)
    assert app.return_value is None
    assert app.return_code == 0


async def test_the_preferences_hold_before_a_run_is_chosen(runs_dir: Path) -> None:
    keys = {"runs.open": "space", "runs.down": "j"}
    app = RunsApp(runs_dir, Config(theme="colour-blind", keys=keys), clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.current_theme == THEMES["colour-blind"]
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.press("j", "down", "enter")  # the last two mean nothing any more
        assert app.is_running
        assert app.screen.query_one(RunList).highlighted == 1
        await pilot.press("space")
    assert app.return_value == RunFolder(runs_dir / "finished")


async def test_a_run_that_cannot_be_read_says_why_and_is_not_chosen(app: RunsApp) -> None:
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.press("enter")
        await until(pilot, lambda: app._notifications)
        (notice,) = app._notifications
        assert "run.sqlite: it is not a hero-tui record" in notice.message
        assert app.is_running


async def test_the_list_keeps_up_and_the_cursor_stays_on_its_run(
    app: RunsApp, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hero_tui.screens.runs.REFRESH_SECONDS", 0.01)
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.press("end")
        with closing(RunFolder(runs_dir / "started").open_record()) as record:
            submit_round(record, 1, good=[1, 2, 3, 4], best=2)
        await until(pilot, lambda: "50%" in listed(app)[2])
        add_run(runs_dir, "new", 0)
        await until(pilot, lambda: listed(app)[0][0] == "new")
        shutil.rmtree(runs_dir / "finished")
        await until(pilot, lambda: len(listed(app)) == 3)
        await pilot.press("enter")
    assert app.return_value == RunFolder(runs_dir / "started")


async def test_a_folder_that_was_emptied_shows_no_runs(
    app: RunsApp, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hero_tui.screens.runs.REFRESH_SECONDS", 0.01)
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(listed(app)) == 3)
        shutil.rmtree(runs_dir)
        await until(pilot, lambda: listed(app) == [])
        await pilot.press("enter")
        assert app.is_running


def test_a_finished_run_is_not_read_again(runs_dir: Path) -> None:
    before = read_runs(runs_dir)
    after = read_runs(runs_dir, before)
    assert [run.folder.name for run in after] == ["started", "finished", "damaged"]
    assert after == before
    assert [new is old for new, old in zip(after, before, strict=True)] == [False, True, False]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "now"), (59, "now"), (60, "1 min"), (3599, "59 min"), (7199, "1 h"), (864000, "10 d")],
)
def test_an_age_is_in_its_largest_unit(seconds: float, expected: str) -> None:
    assert age(seconds) == expected


@pytest.mark.parametrize("width", [40, 77, 120])
def test_no_line_is_wider_than_the_screen(runs_dir: Path, width: int) -> None:
    add_run(runs_dir, "long-name-" * 9, 5, task="long-task-" * 4)
    rows = [cells(run, NOW) for run in read_runs(runs_dir)]
    made = lines([HEADER, *rows], width)
    assert all(line.cell_length <= width for line in made)
    assert "long-name" in made[-1].plain
    if width >= 77:
        assert made[-1].plain.rstrip().endswith("now")


async def test_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    add_run(tmp_path, "plain", 0).path.rename(tmp_path / "[bold red]c[reverse]\x1b[31m\u202e")
    app = RunsApp(tmp_path, clock=lambda: NOW)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: listed(app))
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        said = "".join(segment.text for strip in strips for segment in strip)
        assert r"[bold red]c[reverse]\x1b[31m\u202e" in said
        assert not {"\x1b", "\u202e"} & set(said)
        await pilot.press("enter")
    assert app.return_value is not None


def test_the_documentation_lists_every_key(tmp_path: Path) -> None:
    owners = (RunList, RunsApp)
    bindings = [
        binding for owner in owners for binding in Binding.make_bindings(owner.__dict__["BINDINGS"])
    ]
    rows = [f"| `{keys}` | {does} |" for keys, does in key_table(RunsApp(tmp_path), bindings)]
    table = "\n".join(["### Runs", "", "| Keys | |", "|---|---|", *rows])
    assert table in DOCS.read_text("utf-8")
