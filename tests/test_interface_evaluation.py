"""Judging blind: pictures of which nothing says what made them, and pairs of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from textual.pilot import Pilot

from hero_engine.run.blind import order, taught_is_left
from hero_engine.run.folder import RunFolder
from hero_engine.run.record.evaluations import PERSON, Kind, Picture, Verdict
from hero_engine.run.sources import evaluated
from hero_engine.run.status import status
from hero_tui.client.judging import Judging
from hero_tui.client.run_client import RunClient
from hero_tui.judgingapp import JudgingApp
from hero_tui.keys import keys_in_force
from hero_tui.screens.judging import BlindZoomScreen, EndScreen, JudgingScreen
from hero_tui.screens.pairs import PairsScreen
from hero_tui.screens.run_screen import TOO_EARLY
from hero_tui.screens.verdict import VerdictScreen
from tests.interface_runs import (
    _press,
    interface,
    is_drawn,
    make_finished_run,
    notices,
    until,
)
from tests.test_interface_meant import key, send

HIKERS = ("hiker on a hill", "hiker in a valley")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_finished_run(tmp_path, images=4)


@asynccontextmanager
async def judging(
    run: RunFolder, kind: Kind = "pictures", size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[JudgingApp, Pilot[int]]]:
    """The interface on an evaluation of all pictures of a run."""

    def refuse(folder: RunFolder) -> NoReturn:
        raise AssertionError("an engine was started")

    what = evaluated(run, None, None)
    with closing(run.open_record()) as record:
        begun = record.evaluations.begin(what.round, kind, PERSON, what.count)
    client = RunClient(run, refuse, begun.number)
    try:
        app = JudgingApp(client, Judging(what, begun))
        async with app.run_test(size=size, notifications=True) as pilot:
            pilot.press = partial(_press, app, pilot, pilot.press)  # type: ignore[method-assign]
            yield app, pilot
    finally:
        client.close()


def recorded(run: RunFolder) -> dict[Picture, Verdict]:
    """What is on the disk, as another process reads it."""
    with closing(run.open_record()) as record:
        return record.evaluations.verdicts(record.evaluations.all()[-1].number)


def says(run: RunFolder, *said: tuple[int, Verdict], kind: Kind = "pictures") -> Callable[[], bool]:
    """Whether the pictures at these places, and no others, are recorded so."""
    shown = order(evaluated(run, None, None), kind)
    return lambda: recorded(run) == {shown[place]: verdict for place, verdict in said}


def shown_text(app: JudgingApp) -> str:
    return "\n".join(str(each.render()) for each in app.screen.query("Static, JudgingHeader"))


async def test_a_key_is_on_the_disk_and_can_be_taken_back(run: RunFolder) -> None:
    async with judging(run) as (_, pilot):
        await pilot.press("1")
        await until(pilot, says(run, (0, "good")))
        await pilot.press("n", "w")
        await until(pilot, says(run, (0, "good"), (5, "unsure")))
        await pilot.press("1")
        await until(pilot, says(run, (0, "bad"), (5, "unsure")))
        await pilot.press("u", "u")
        await until(pilot, says(run, (0, "good")))


async def test_a_page_that_is_left_is_judged_and_who_comes_back_goes_on_after_it(
    run: RunFolder,
) -> None:
    first: list[tuple[int, Verdict]] = [(n, "good" if n == 2 else "bad") for n in range(8)]
    async with judging(run) as (_, pilot):
        await pilot.press("3", "space")
        await until(pilot, says(run, *first))
    async with judging(run) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, JudgingScreen) and is_drawn(app))
        assert isinstance(app.screen, JudgingScreen)
        assert app.screen.grid.page == 1
        assert "8 of 12 judged" in shown_text(app)
        await pilot.press("1")
        await until(pilot, says(run, *first, (8, "good")))


async def test_a_key_after_an_undo_is_for_what_the_undo_leaves(run: RunFolder) -> None:
    async with judging(run) as (app, pilot):
        await pilot.press("1")
        await until(pilot, says(run, (0, "good")))
        await until(pilot, lambda: app._done == app._client._asked)
        await send(pilot, *map(key, ("u", "1", "2")))
        await until(pilot, says(run, (0, "good"), (1, "good")))


async def test_an_evaluation_changes_nothing_of_its_run(run: RunFolder) -> None:
    async with judging(run) as (app, pilot):
        screen = app.screen
        await pilot.press("ctrl+g", "ctrl+r", "ctrl+f", "ctrl+p")
        assert app.screen is screen
        for action in ("smaller_step", "judge", "start", "pause", "finish", "history"):
            assert app.check_action(action, ()) is False


async def test_keys_before_the_pictures_are_drawn_say_nothing(run: RunFolder) -> None:
    async with judging(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, *[key(name, time=0.0) for name in ("1", "i", "space", "2", "u")])
        assert TOO_EARLY in notices(app)
        await until(pilot, lambda: is_drawn(app))
        await pilot.press("1")
        await until(pilot, says(run, (8, "good")))


async def test_a_held_key_is_one_press_also_if_that_shows_late(run: RunFolder) -> None:
    async with judging(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("2"), key("1"), key("1", 1), key("1", 1))
        await until(pilot, says(run, (0, "good"), (1, "good")))
        await send(pilot, key("3"), key("3"), key("3", 2))
        await until(pilot, says(run, (0, "good"), (1, "good"), (2, "good")))
        await send(pilot, key("u"))
        await until(pilot, says(run, (0, "good"), (1, "good")))


async def test_nothing_on_the_screen_says_what_made_a_picture(run: RunFolder) -> None:
    async with judging(run) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        screen = app.screen
        lines = [strip.text for strip in screen._compositor.render_strips()]
        for word in ("base", "taught", "fresh", "pool", "final"):
            assert word not in "\n".join(lines).lower()
        for key in ("A", "b", "k", "equals_sign", "o", "p", "h"):
            await pilot.press(key)
        assert app.screen is screen
        assert recorded(run) == {}


async def test_the_end_tells_the_rates_once_every_picture_is_judged(run: RunFolder) -> None:
    shown = order(evaluated(run, None, None), "pictures")
    async with judging(run) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, EndScreen))
        await until(pilot, lambda: "4 of 12 pictures are not judged" in shown_text(app))
        await pilot.press("enter")
        assert isinstance(app.screen, EndScreen)
        await pilot.press("escape")
        for page in range(2):
            for place, each in enumerate(shown[8 * page : 8 * page + 8]):
                if each[0] == "pi":
                    await pilot.press("1234qwer"[place])
            await pilot.press("space")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "All 12 pictures are judged" in shown_text(app))
        assert "taught" not in shown_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, VerdictScreen))
        said = shown_text(app)
        assert "100% (51 to 100%)" in said
        assert "0% (0 to 49%)" in said
        assert "From its noise pool, the taught model is better than from fresh noise" in said
        await pilot.press("enter")
    assert app.return_value == 0
    assert status(run)["final"]["pi"]["judge"] == "person"
    assert status(run)["final"]["pi"]["success_rate"] == 1.0


async def test_the_end_says_that_an_earlier_verdict_of_more_pictures_stays(run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.set_verdict(PERSON, {"pi": {"images": 3, "unsure": 2, "good": 1, "diversity": 0.1}})
    async with judging(run) as (app, pilot):
        await pilot.press("space", "space", "ctrl+s")
        await until(pilot, lambda: "All 12 pictures are judged" in shown_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, VerdictScreen))
        assert "The run's verdict stays that of 5 pictures of each, not of 4" in shown_text(app)
    with closing(run.open_record()) as record:
        assert record.figures()["pi"]["images"] == 3


@pytest.mark.parametrize("kind", ["pictures", "pairs"])
async def test_the_end_leads_to_what_is_still_to_be_judged(run: RunFolder, kind: Kind) -> None:
    async with judging(run, kind) as (app, pilot):
        if kind == "pairs":
            await pilot.press("left", "left", "backspace", "backspace")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, EndScreen))
        await until(pilot, lambda: ". goes to the next" in shown_text(app))
        await pilot.press("full_stop")
        await until(pilot, lambda: isinstance(app.screen, JudgingScreen | PairsScreen))
        if isinstance(app.screen, PairsScreen):
            assert app.screen.place == 2
        else:
            assert isinstance(app.screen, JudgingScreen)
            assert app.screen.grid.image == 8


async def test_who_leaves_before_the_end_is_not_told(run: RunFolder) -> None:
    async with judging(run) as (app, pilot):
        await pilot.press("1", "ctrl+q")
    assert app.return_value == 3
    assert "final" not in status(run)


async def test_one_picture_at_a_time(run: RunFolder) -> None:
    async with judging(run) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, BlindZoomScreen))
        await pilot.press("g", "n", "b")
        await until(pilot, says(run, (0, "good"), (1, "unsure"), (2, "bad")))
        await pilot.press("s")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, JudgingScreen))


async def test_the_prompts_of_a_page_are_shown(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path, transfer_prompts=HIKERS)
    async with judging(run, "transfer", size=(120, 40)) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        lines = [strip.text for strip in app.screen._compositor.render_strips()]
        assert "0 to 3: hiker on a hill  4 to 7: hiker in a valley" in lines[1]


# -- pairs -----------------------------------------------------------------------------------------


async def test_pairs_are_judged_by_side(run: RunFolder) -> None:
    what = evaluated(run, None, None)
    sides, shown = taught_is_left(what, "pairs"), order(what, "pairs")

    def won(place: int, left: bool) -> Verdict:
        return "won" if sides[shown[place]] == left else "lost"

    async with judging(run, "pairs") as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, PairsScreen))
        await pilot.press("left")
        await until(pilot, lambda: "Pair 2 of 4" in shown_text(app))
        await pilot.press("right", "n")
        said = [(0, won(0, True)), (1, won(1, False)), (2, "tied")]
        await until(pilot, says(run, *said, kind="pairs"))
        await pilot.press("u")
        await until(pilot, says(run, *said[:2], kind="pairs"))
        await until(pilot, lambda: "Pair 3 of 4" in shown_text(app))
    async with judging(run, "pairs") as (app, pilot):
        await until(pilot, lambda: "Pair 3 of 4  Which is better?" in shown_text(app))
        await pilot.press("n", "n")
        await until(pilot, lambda: "These were all" in shown_text(app))
        await pilot.press("ctrl+s", "enter")
        await until(pilot, lambda: isinstance(app.screen, VerdictScreen))
        await until(pilot, lambda: "In 2 pairs neither was better." in shown_text(app))


async def test_the_two_of_a_pair_are_from_the_same_noise(run: RunFolder) -> None:
    what = evaluated(run, None, None)
    with closing(run.open_record()) as record:
        pairs = Judging(what, record.evaluations.begin(0, "pairs", PERSON, 4))
    for place, (source, image) in enumerate(pairs.order):
        left, right = pairs.sides(place)
        assert {left, right} == {what.path("base", image), what.path("fresh", image)}
        assert (left == what.path(source, image)) == taught_is_left(what, "pairs")[source, image]


async def test_a_pair_that_is_not_drawn_is_not_judged(run: RunFolder) -> None:
    async with judging(run, "pairs") as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        await send(pilot, key("left", time=0.0))
        assert TOO_EARLY in notices(app)
        await send(pilot, key("n"), key("n", 1))
        await until(pilot, says(run, (0, "tied"), kind="pairs"))


# -- from the end of the run -----------------------------------------------------------------------


async def test_the_end_of_a_run_offers_it_by_one_key(run: RunFolder) -> None:
    async with interface(run, engine=False) as (app, pilot):
        await until(pilot, lambda: is_drawn(app))
        assert keys_in_force(app.screen)["finished.judge"] == "e"
        await pilot.press("e")
    assert app.wants_to_judge


@pytest.mark.parametrize("kind", ["transfer", "transfer-pairs"])
async def test_the_verdict_on_transfer_prompts_is_prompt_by_prompt(
    tmp_path: Path, kind: Kind
) -> None:
    run = make_finished_run(tmp_path, transfer_prompts=HIKERS)
    what = evaluated(run, None, None)
    with closing(run.open_record()) as record:
        begun = record.evaluations.begin(what.round, kind, PERSON, what.count)
        better: Verdict = "won" if kind == "transfer-pairs" else "good"
        worse: Verdict = "lost" if kind == "transfer-pairs" else "bad"
        said = {
            each: better if each[0] == "transfer-fresh" and "hill" in what.prompt(*each) else worse
            for each in order(what, kind)
        }
        record.evaluations.say(begun.number, said)
    async with judging(run, kind) as (app, pilot):
        await pilot.press("ctrl+s", "enter")
        await until(pilot, lambda: isinstance(app.screen, VerdictScreen))
        await until(pilot, lambda: "hiker" in shown_text(app))
        lines = [line.split() for line in shown_text(app).splitlines()]
    of = {" ".join(line[-4:]): line[:-4] for line in lines if "hiker" in line}
    wanted = {HIKERS[0]: ["2/2"], HIKERS[1]: ["0/2"]}
    if kind == "transfer":
        wanted = {prompt: ["0/2", "->", *taught] for prompt, taught in wanted.items()}
    assert of == wanted
