"""What is remembered of what a person chose."""

import json

import pytest

from hero_tui.choices import Choices, choices_file, keep_mosaic, keep_pictures, load_choices


def test_each_terminal_and_each_size_has_its_own() -> None:
    assert load_choices() == Choices({}, {})
    keep_mosaic("XTerm", "sextants")
    keep_pictures(80, 24, 3)
    keep_mosaic("mlterm in tmux", "octants")
    keep_pictures(200, 60, 12)
    assert load_choices().mosaics == {"XTerm": "sextants", "mlterm in tmux": "octants"}
    assert load_choices().pictures == {"80x24": 3, "200x60": 12}
    keep_mosaic("XTerm", None)
    keep_pictures(80, 24, 8)
    assert load_choices().mosaics == {"mlterm in tmux": "octants"}
    assert load_choices().pictures == {"80x24": 8, "200x60": 12}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"mosaics": 3, "pictures": []}',
        '{"mosaics": {"XTerm": "braille", "foot": []}, "pictures": {"80x24": 0, "1x1": "3"}}',
        "\xff",
    ],
)
def test_what_nobody_could_have_chosen_is_not_obeyed(text: str) -> None:
    choices_file().parent.mkdir(parents=True)
    choices_file().write_text(text, "latin-1")
    assert load_choices() == Choices({}, {})
    keep_pictures(80, 24, 2)
    assert json.loads(choices_file().read_text())["pictures"] == {"80x24": 2}
