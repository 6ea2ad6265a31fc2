"""docs/interface.md says what the bindings say; the help, too."""

from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

from hero_engine.run.folder import RunFolder
from hero_tui.app import HeroApp
from hero_tui.client.run_client import RunClient
from hero_tui.keys import key_table
from hero_tui.screens.compare import CompareScreen
from hero_tui.screens.confirm_finish import ConfirmFinishScreen
from hero_tui.screens.confirm_rollback import ConfirmRollbackScreen
from hero_tui.screens.finished import FinishedScreen
from hero_tui.screens.help import HelpScreen
from hero_tui.screens.history import HistoryScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.outside import OutsideScreen
from hero_tui.screens.stopped import StoppedScreen
from hero_tui.screens.submit import SubmitScreen
from hero_tui.screens.task import TaskScreen
from hero_tui.screens.working import WorkingScreen
from hero_tui.screens.zoom import ZoomScreen
from tests.interface_runs import FakeEngine, interface, make_run, sample_round, until

DOCS = Path(__file__).parents[1] / "docs" / "interface.md"
SCREENS: dict[str, type[Screen[Any]]] = {
    "Labeling": LabelingScreen,
    "Zoom": ZoomScreen,
    "Compare": CompareScreen,
    "Summary": SubmitScreen,
    "Earlier rounds": HistoryScreen,
}
ALL: tuple[type[DOMNode], ...] = (
    HeroApp,
    *SCREENS.values(),
    WorkingScreen,
    FinishedScreen,
    StoppedScreen,
    TaskScreen,
)


def bindings_of(owner: type[DOMNode]) -> list[Binding]:
    return list(Binding.make_bindings(owner.__dict__["BINDINGS"]))


def documented(app: HeroApp) -> str:
    """The keys tables as the documentation has them."""
    parts = []
    owners: dict[str, type[DOMNode]] = {"Everywhere": HeroApp, **SCREENS}
    for title, owner in owners.items():
        rows = [f"| `{keys}` | {does} |" for keys, does in key_table(app, bindings_of(owner))]
        parts.append("\n".join([f"### {title}", "", "| Keys | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


@pytest.fixture
def app(tmp_path: Path) -> HeroApp:
    return HeroApp(RunClient(make_run(tmp_path), lambda folder: FakeEngine()))


def test_the_documentation_lists_every_key(app: HeroApp) -> None:
    assert documented(app) in DOCS.read_text("utf-8")


def test_every_binding_has_an_id_of_its_own() -> None:
    more = (HelpScreen, ConfirmFinishScreen, ConfirmRollbackScreen, OutsideScreen)
    owners: tuple[type[DOMNode], ...] = (*ALL, *more)
    ids = [(binding.id, binding.action) for owner in owners for binding in bindings_of(owner)]
    assert all(of for of, _ in ids)
    assert len({of for of, _ in ids}) == len(set(ids))


def test_commands_take_no_key_of_a_tile() -> None:
    """But for the last one's, which is a command where the page has no such tile."""
    keys = [binding.key for binding in bindings_of(HeroApp) + bindings_of(LabelingScreen)]
    assert [key for key in set(keys) if keys.count(key) > 1] == ["v"]


async def test_help_lists_the_keys_that_work_here(tmp_path: Path) -> None:
    run: RunFolder = make_run(tmp_path)
    record = run.open_record()
    sample_round(run, record, 0)
    record.close()
    async with interface(run) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = str(app.screen.query_one("Static").render())
        for binding in bindings_of(LabelingScreen):
            assert binding.description in text
        assert "Focus" not in text
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
