"""What was chosen by doing it, and holds from then on: a small JSON file.

How pictures are drawn in a kind of terminal (`hero-tui doctor --keep`), and how many are on a page
at a size of the terminal (the keys that make them larger or smaller). What is preferred in general
is in the preferences file, which only its owner writes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs

from hero_engine.run.folder import write_complete
from hero_tui.preview.terminal import MOSAICS, Mosaic


@dataclass(frozen=True)
class Choices:
    """What is remembered.

    Attributes:
        mosaics: by the kind of a terminal (`Terminal.kind`).
        pictures: on a page, by the size of the terminal in cells, such as "80x24".
    """

    mosaics: Mapping[str, Mosaic]
    pictures: Mapping[str, int]


def choices_file() -> Path:
    """Where they are remembered."""
    return platformdirs.user_state_path("hero-tui") / "choices.json"


def load_choices() -> Choices:
    """What is remembered; of a file that is not as it was written, what can be read."""
    try:
        values = json.loads(choices_file().read_text("utf-8"))
    except (OSError, ValueError):
        values = {}

    def section(name: str, *valid: object) -> dict[str, Any]:
        found = values.get(name) if isinstance(values, dict) else None
        return {
            key: value
            for key, value in (found if isinstance(found, dict) else {}).items()
            if value in valid
        }

    return Choices(section("mosaics", *MOSAICS), section("pictures", *range(1, 17)))


def keep_mosaic(kind: str, mosaic: Mosaic | None) -> None:
    """Remembers how pictures are drawn in a kind of terminal; None: as is found out.

    Raises:
        OSError: it cannot be written.
    """
    kept = load_choices()
    others = {each: value for each, value in kept.mosaics.items() if each != kind}
    _write(replace(kept, mosaics=others | ({kind: mosaic} if mosaic else {})))


def keep_pictures(columns: int, rows: int, pictures: int) -> None:
    """Remembers how many pictures are on a page in a terminal of `columns` x `rows` cells.

    Raises:
        OSError: it cannot be written.
    """
    kept = load_choices()
    _write(replace(kept, pictures={**kept.pictures, f"{columns}x{rows}": pictures}))


def _write(choices: Choices) -> None:
    def write(path: Path) -> None:
        path.write_text(json.dumps(asdict(choices), indent=1), "utf-8")

    write_complete(choices_file(), write)
