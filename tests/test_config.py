"""The preferences file: what it may hold, and what is said when it holds something else."""

from pathlib import Path

import pytest

from hero_engine.errors import InputError
from hero_tui.config import Config, config_file, load_config


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_config(tmp_path / "config.yaml") == Config()


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = written(tmp_path, "images: sixel\nkeys:\n  page.next: j,space\n")
    config = load_config(path)
    assert config.images == "sixel"
    assert config.keys == {"page.next": "j,space"}
    assert config.theme == Config().theme


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("images: chafa", "images: Input should be 'auto', 'kitty'"),
        ("imagse: off", "imagse: there is no such field"),
        ("keys: {zoom: ''}", "keys.zoom: "),
        ("suggested_order: 3", "suggested_order: "),
        ("- images", "expected a mapping"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_field(tmp_path: Path, text: str, named: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as raised:
        load_config(path)
    assert str(raised.value).startswith(str(path))
    assert named in str(raised.value)


def test_pictures_can_be_off_without_quotes(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "images: off")).images == "off"


def test_the_environment_may_name_another_file(tmp_path: Path) -> None:
    assert config_file({"HERO_TUI_CONFIG": str(tmp_path / "mine.yaml")}) == tmp_path / "mine.yaml"
    assert config_file({}).name == "config.yaml"
