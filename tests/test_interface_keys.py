"""A person's own keys: what is refused and why, what works, and that the screen names it."""

import re
from pathlib import Path

import pytest
import yaml

from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_tui.config import Config, load_config
from hero_tui.keymap import check_keys, commands
from hero_tui.preview.terminal import Terminal
from hero_tui.screens.compare import CompareScreen
from hero_tui.screens.help import HelpScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.tile import Tile
from tests.interface_runs import interface, make_sampled_run, notices, until

FILE = Path("config.yaml")
EXAMPLES = re.findall(
    r"```yaml\n(keys:.*?)```", (Path(__file__).parents[1] / "docs/interface.md").read_text(), re.S
)
AZERTY, RIGHT_HAND = (yaml.safe_load(example)["keys"] for example in EXAMPLES)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose first round of 64 pictures waits for labels."""
    return make_sampled_run(tmp_path)


def refused(keys: dict[str, str]) -> str:
    with pytest.raises(InputError) as raised:
        check_keys(keys, FILE)
    return str(raised.value)


def test_the_keys_that_hero_tui_comes_with_are_within_reach() -> None:
    check_keys({}, FILE)
    for command in commands({}):
        check_keys({command.id: ",".join(command.keys)}, FILE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_documentation_are_accepted(example: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(example, encoding="utf-8")
    keys = load_config(file).keys
    assert len(keys) >= 12
    check_keys(keys, file)


def test_an_unknown_binding_is_named_with_the_known_ones() -> None:
    said = refused({"page.nxt": "n"})
    assert said.startswith("config.yaml: keys.page.nxt: there is no such binding")
    assert "page.next" in said
    assert "tile.q" in said


@pytest.mark.parametrize("key", ["spce", "ctrl+", "crtl+x", "Space", "n,,m"])
def test_an_unknown_key_is_named_with_its_binding(key: str) -> None:
    assert refused({"page.next": key}).startswith("config.yaml: keys.page.next: ")


def test_shift_and_a_letter_is_written_as_the_capital() -> None:
    assert "write the character that shift makes" in refused({"page.next": "shift+n"})
    check_keys({"page.next": "N"}, FILE)


@pytest.mark.parametrize(
    ("keys", "other"),
    [
        ({"page.next": "u"}, "edit.undo"),
        ({"page.next": "j,1"}, "tile.1"),
        ({"tile.v": "c"}, "tile.c"),
        ({"zoom": "c"}, "tile.c"),
        ({"submit": "v"}, "tile.v"),
        ({"tile.q": "a"}, "tile.a"),
        ({"run.pause": "x"}, "tile.x"),
        ({"run.leave": "escape"}, "zoom.close"),
        ({"page.next": "ctrl+m"}, "zoom"),
        ({"runs.open": "q"}, "runs.leave"),
        ({"runs.leave": "down"}, "runs.down"),
    ],
)
def test_a_key_for_two_bindings_of_a_screen_is_refused(keys: dict[str, str], other: str) -> None:
    (name,) = keys
    said = refused(keys)
    assert said.startswith(f"config.yaml: keys.{name}: ")
    assert other in said or "best.forget" in said


def test_two_bindings_may_trade_keys() -> None:
    check_keys({"tile.q": "a", "tile.a": "q"}, FILE)
    check_keys({"zoom.next": "g", "zoom.good": "right"}, FILE)


def test_the_list_of_keys_has_those_in_force() -> None:
    keys = {command.id: command.keys for command in commands({"page.next": "j,space"})}
    assert keys["page.next"] == ("j", "space")
    assert keys["edit.undo"] == ("u", "ctrl+z")


async def test_an_azerty_keyboard_labels_with_its_own_block(run: RunFolder) -> None:
    async with interface(run, config=Config(keys=AZERTY)) as (app, pilot):
        await pilot.press("ampersand", "é", "a", "Z")
        assert app.view.labels == Labels.of([0, 1, 4, 5], 5)
        captions = [app.screen.query_one(f"#tile-{key}", Tile).caption for key in "12q"]
        assert [caption[1] for caption in captions] == ["&", "é", "a"]
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = str(app.screen.query_one("Static").render())
        assert "& é \" ' a z e r q s d f w x c" in text


async def test_one_hand_reaches_a_whole_round(run: RunFolder) -> None:
    async with interface(run, config=Config(keys=RIGHT_HAND)) as (app, pilot):
        await pilot.press("7", "i", "n", "8", "y", "space", "u")
        assert app.view.labels == Labels.of([0, 5, 12])
        await pilot.press("1", "q")
        assert app.view.labels == Labels.of([0, 5, 12])
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))


async def test_where_pictures_are_off_the_key_in_force_opens_them(run: RunFolder) -> None:
    keys = {"open": "f4", "zoom.open": "f5"}
    off = Terminal("off", "truecolor")
    async with interface(run, config=Config(keys=keys), terminal=off) as (app, pilot):

        def said() -> str:
            strips = app.screen._compositor.render_strips()
            return "".join(segment.text for strip in strips for segment in strip)

        await until(pilot, lambda: said().count("press f4") == 8)
        await pilot.press("enter")
        await until(pilot, lambda: said().count("press f5") == 1)
        await pilot.press("escape", "equals_sign")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(
            pilot, lambda: app.screen.query_one("Vertical:last-child Picture", Picture).complete
        )
        assert "press" not in said()


async def test_the_texts_name_the_keys_in_force(run: RunFolder) -> None:
    async with interface(run, config=Config(keys={"submit": "f10"})) as (app, pilot):
        await pilot.press(*["space"] * 8)
        await until(pilot, lambda: "f10 submits the round" in notices(app))
