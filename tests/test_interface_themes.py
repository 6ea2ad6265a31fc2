"""Themes: chosen in the preferences or the palette, and told apart with 16 colours, too."""

from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from textual.command import CommandList, CommandPalette
from textual.widget import Widget

from hero_engine.run.folder import RunFolder
from hero_tui.config import Config, ThemeName
from hero_tui.screens.help import HelpScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.task import TaskScreen
from hero_tui.theme import THEMES
from tests.interface_runs import interface, make_sampled_run, until


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_sampled_run(tmp_path, images=8)


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("system", [ColorSystem.STANDARD, ColorSystem.EIGHT_BIT])
def test_good_best_and_the_ground_differ_in_few_colours(
    name: ThemeName, system: ColorSystem
) -> None:
    theme = THEMES[name]
    colours = (theme.success, theme.warning, theme.error, theme.background, theme.foreground)
    numbers = [Color.parse(str(colour)).downgrade(system).number for colour in colours]
    assert len(set(numbers)) == len(numbers)
    shown = [Color.parse(str(c)).downgrade(system).number for c in (theme.panel, theme.primary)]
    assert shown[0] != shown[1]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.1, from 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [part / 255 for part in Color.parse(colour).get_truecolor()]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_high_contrast_is_that() -> None:
    theme = THEMES["high-contrast"]
    for colour in (theme.foreground, theme.success, theme.warning, *theme.variables.values()):
        assert contrast(str(colour), str(theme.background)) >= 7


def test_every_text_can_be_read_on_the_ground_of_its_theme() -> None:
    for theme in THEMES.values():
        texts = (theme.foreground, theme.primary, theme.success, theme.error, theme.accent)
        for colour in (*texts, theme.variables["quiet"]):
            assert contrast(str(colour), str(theme.background)) >= 4.5, (theme.name, colour)
        assert theme.dark == (contrast(str(theme.background), "#000000") < 2)


@pytest.mark.parametrize("name", THEMES)
async def test_the_preferences_choose_a_theme(run: RunFolder, name: ThemeName) -> None:
    async with interface(run, config=Config(theme=name)) as (app, pilot):
        assert app.current_theme == THEMES[name]
        await pilot.press("1", "ctrl+s")
        for node in app.screen.walk_children(Widget):
            node.render()


async def test_the_palette_changes_the_theme(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("colon", *"high-contrast")
        await until(pilot, lambda: app.screen.query(CommandList).first().option_count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "high-contrast")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))


async def test_the_palette_does_what_a_key_does(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("ctrl+backslash", *"criteria")
        await until(pilot, lambda: app.screen.query(CommandList).first().option_count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TaskScreen))


async def test_the_palette_lists_each_meaning_once_and_nothing_of_textual(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        options = app.screen.query(CommandList).first()
        await until(pilot, lambda: options.option_count > len(THEMES))
        texts = [str(option.prompt) for option in options.options]
        assert len(texts) == len(set(texts))
        assert any("keep the reigning best" in text for text in texts)
        assert not any("good, or not\n" in text or "Screenshot" in text for text in texts)
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
