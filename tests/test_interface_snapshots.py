"""What the interface looks like. After a wanted change: pytest --snapshot-update, then look."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.pilot import Pilot

from hero_engine.run.folder import RunFolder, create_run, engine_lock
from hero_engine.run.record import Record, RunState
from hero_engine.run.record.evaluations import PERSON, Kind
from hero_engine.run.sources import evaluated
from hero_engine.run.task import Task
from hero_tui.app import HeroApp
from hero_tui.client.judging import Judging
from hero_tui.client.run_client import RunClient
from hero_tui.config import Config, ThemeName
from hero_tui.judgingapp import JudgingApp
from hero_tui.screens.runs import RunList, RunsApp
from hero_tui.screens.submit import SubmitScreen
from hero_tui.screens.verdict import VerdictScreen
from hero_tui.widgets.grid import PictureGrid
from hero_tui.widgets.picture import Picture
from tests.interface_runs import (
    FakeEngine,
    make_finished_run,
    make_run,
    sample_round,
    submit_round,
    train_round,
    until,
)

NOW = 1_000_000.0
CLOCK = SimpleNamespace(now=NOW)
OTHER_THEMES = pytest.mark.parametrize("theme", ["day", "high-contrast", "colour-blind"])
SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=["80x24", "200x60"])
Compare = Callable[..., bool]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    """The record of runs/black-cat-1, with a clock that stands still until it is set."""
    CLOCK.now = NOW
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr(
        "hero_engine.run.record.record.time", SimpleNamespace(time=lambda: CLOCK.now)
    )
    with closing(make_run(Path("runs")).open_record()) as record:
        yield record


def looks_the_same(
    snap_compare: Compare,
    size: tuple[int, int],
    before: Callable[[Pilot[int]], Awaitable[None]],
    clock: float = NOW,
    theme: ThemeName = "night",
) -> bool:
    folder = RunFolder(Path("runs/black-cat-1"))
    with engine_lock(folder):
        client = RunClient(folder, lambda folder: FakeEngine())
        app = HeroApp(client, Config(theme=theme), clock=lambda: clock)
        same = snap_compare(app, terminal_size=size, run_before=before)
        client.close()
        return same


async def pictures_are_shown(pilot: Pilot[int]) -> None:
    def all_complete() -> bool:
        pictures = [p for p in pilot.app.screen.query(Picture) if p.path is not None and p.region]
        return bool(pictures) and all(picture.complete for picture in pictures)

    await until(pilot, all_complete)
    await pilot.pause()


def test_runs(snap_compare: Compare, record: Record) -> None:
    folder = RunFolder(Path("runs/black-cat-1"))
    two_rounds(folder, record)
    sample_round(folder, record, 2)
    settings = folder.task().model_dump()
    ages: dict[RunState, int] = {"failed": 30 * 3600, "finished": 9 * 86400}
    for state, ago in ages.items():
        other = create_run(Path("runs"), Task.model_validate({**settings, "name": state}), state)
        with closing(other.open_record()) as others:
            others.set_state(state)
        os.utime(other.task_file, (NOW - ago, NOW - ago))
    os.utime(folder.task_file, (NOW - 300, NOW - 300))

    async def listed(pilot: Pilot[RunFolder]) -> None:
        await until(pilot, lambda: pilot.app.screen.query_one(RunList).option_count == 3)
        await pilot.pause()

    with engine_lock(folder):
        app = RunsApp(Path("runs"), clock=lambda: NOW)
        assert snap_compare(app, terminal_size=(80, 24), run_before=listed)


def two_rounds(folder: RunFolder, record: Record) -> None:
    for number, goods in enumerate((20, 29)):
        sample_round(folder, record, number)
        submit_round(record, number, good=range(goods), best=5)
        train_round(record, number)


def third_round(record: Record) -> None:
    folder = RunFolder(Path("runs/black-cat-1"))
    two_rounds(folder, record)
    sample_round(folder, record, 2)
    record.set_progress("sampling", 0, 64)
    CLOCK.now = NOW + 30
    record.set_progress("sampling", 48, 64)


@SIZES
def test_labeling(snap_compare: Compare, record: Record, size: tuple[int, int]) -> None:
    third_round(record)

    async def mark(pilot: Pilot[int]) -> None:
        await pictures_are_shown(pilot)
        await pilot.press("1", "W", "r", "space")
        await pictures_are_shown(pilot)
        await pilot.press("2")
        await until(pilot, lambda: len(record.labels(2).good) == 4)
        await pictures_are_shown(pilot)

    assert looks_the_same(snap_compare, size, mark, clock=NOW + 30)


@OTHER_THEMES
@SIZES
def test_labeling_in_other_themes(
    snap_compare: Compare, record: Record, theme: ThemeName, size: tuple[int, int]
) -> None:
    third_round(record)

    async def mark(pilot: Pilot[int]) -> None:
        await pictures_are_shown(pilot)
        await pilot.press("1", "W", "r", "left")
        await until(pilot, lambda: len(record.labels(2).good) == 3)
        await pictures_are_shown(pilot)

    assert looks_the_same(snap_compare, size, mark, clock=NOW + 30, theme=theme)


def test_all_pictures_at_once(snap_compare: Compare, record: Record) -> None:
    third_round(record)

    async def spread(pilot: Pilot[int]) -> None:
        await pictures_are_shown(pilot)
        await pilot.press("1", "W", "r", "g", "down", "down")
        grid = pilot.app.screen.query_one(PictureGrid)
        await until(pilot, lambda: len(grid.complete_images()) == 64)
        await pictures_are_shown(pilot)

    assert looks_the_same(snap_compare, (200, 60), spread, clock=NOW + 30)


@SIZES
def test_an_earlier_round(snap_compare: Compare, record: Record, size: tuple[int, int]) -> None:
    third_round(record)

    async def look_back(pilot: Pilot[int]) -> None:
        await pilot.press("h", "left")
        await pictures_are_shown(pilot)

    assert looks_the_same(snap_compare, size, look_back)


@SIZES
def test_an_earlier_round_beside_the_latest(
    snap_compare: Compare, record: Record, size: tuple[int, int]
) -> None:
    third_round(record)

    async def look_back(pilot: Pilot[int]) -> None:
        await pilot.press("h", "left", "t")
        await until(pilot, lambda: pilot.app.screen.query_one("#latest", PictureGrid)._settled)
        await pictures_are_shown(pilot)

    assert looks_the_same(snap_compare, size, look_back)


@SIZES
def test_summary(snap_compare: Compare, record: Record, size: tuple[int, int]) -> None:
    folder = RunFolder(Path("runs/black-cat-1"))
    two_rounds(folder, record)
    sample_round(folder, record, 2)
    record.mark_seen(2, range(64))

    async def submit(pilot: Pilot[int]) -> None:
        await pictures_are_shown(pilot)
        await pilot.press("1", "W", "r")
        await until(pilot, lambda: pilot.app.screen.query_one(PictureGrid).view.labels.best == 5)
        await pictures_are_shown(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, SubmitScreen))
        await pictures_are_shown(pilot)

    assert looks_the_same(snap_compare, size, submit)


def training(record: Record) -> None:
    two_rounds(RunFolder(Path("runs/black-cat-1")), record)
    record.set_state("training")
    record.set_progress("training the embedding", 0, 500)
    CLOCK.now = NOW + 30
    record.set_progress("training the embedding", 200, 500)


@SIZES
def test_training(snap_compare: Compare, record: Record, size: tuple[int, int]) -> None:
    training(record)
    assert looks_the_same(snap_compare, size, pictures_are_shown, clock=NOW + 30)


@OTHER_THEMES
@SIZES
def test_training_in_other_themes(
    snap_compare: Compare, record: Record, theme: ThemeName, size: tuple[int, int]
) -> None:
    training(record)
    assert looks_the_same(snap_compare, size, pictures_are_shown, clock=NOW + 30, theme=theme)


@SIZES
def test_finished(snap_compare: Compare, record: Record, size: tuple[int, int]) -> None:
    two_rounds(RunFolder(Path("runs/black-cat-1")), record)
    record.set_figures("pi", {"images": 200, "good": 164, "diversity": 0.15})
    record.set_figures("fresh", {"images": 200, "good": 132, "diversity": 0.18})
    record.set_state("finished")
    assert looks_the_same(snap_compare, size, pictures_are_shown)


def test_finished_without_rounds(snap_compare: Compare, record: Record) -> None:
    for noise in ("pi", "fresh", "base"):
        record.set_figures(noise, {"images": 100, "good": 28, "diversity": 0.2})
    record.set_state("finished")
    assert looks_the_same(snap_compare, (80, 24), lambda pilot: pilot.pause())


def judging_looks_the_same(
    snap_compare: Compare,
    size: tuple[int, int],
    kind: Kind,
    before: Callable[[Pilot[int]], Awaitable[None]] = pictures_are_shown,
) -> bool:
    """Of the pictures of a finished run, or of pairs of them."""
    run = make_finished_run(Path("judged"), images=8)
    what = evaluated(run, None, None)
    with closing(run.open_record()) as record:
        begun = record.evaluations.begin(what.round, kind, PERSON, what.count)
    client = RunClient(run, lambda folder: FakeEngine(), begun.number)
    app = JudgingApp(client, Judging(what, begun), clock=lambda: NOW)
    same = snap_compare(app, terminal_size=size, run_before=before)
    client.close()
    return same


@pytest.mark.usefixtures("record")
@SIZES
def test_judging_blind(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def two_are_judged(pilot: Pilot[int]) -> None:
        await pictures_are_shown(pilot)
        for key in ("1", "n", "3"):
            await pilot.press(key)
        await pictures_are_shown(pilot)

    assert judging_looks_the_same(snap_compare, size, "pictures", two_are_judged)


@pytest.mark.usefixtures("record")
def test_judging_pairs(snap_compare: Compare) -> None:
    assert judging_looks_the_same(snap_compare, (80, 24), "pairs")


@pytest.mark.usefixtures("record")
def test_verdict(snap_compare: Compare) -> None:
    async def all_are_judged(pilot: Pilot[int]) -> None:
        await pictures_are_shown(pilot)
        for key in ("1", "2", "space", "q", "space", "w", "e", "space", "ctrl+s", "enter"):
            await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, VerdictScreen))
        await pilot.pause()

    assert judging_looks_the_same(snap_compare, (80, 24), "pictures", all_are_judged)
