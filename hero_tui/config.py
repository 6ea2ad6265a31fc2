"""What a person prefers in every run: the file that `hero-tui doctor` names, if they wrote one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import Field, StringConstraints, ValidationError

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.resolve import describe
from hero_engine.run.task import Section
from hero_tui.preview.terminal import Images

ThemeName = Literal["night", "day", "high-contrast", "colour-blind"]

Keys = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Config(Section):
    """The preferences; what a file leaves out keeps its default."""

    images: Images = Field(default="auto", description="how pictures are shown")
    theme: ThemeName = Field(default="night", description="the colours")
    suggested_order: bool = Field(
        default=False,
        description="show a round's pictures by the engine's current reward, highest first",
    )
    pace: bool = Field(
        default=True,
        description="say how fast one labels, and about how long the rest of the round takes",
    )
    keys: Mapping[str, Keys] = Field(
        default={}, description="other keys, by the binding's name: `page.next: j,space`"
    )


DEFAULTS = Config()


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the preferences are: $HERO_TUI_CONFIG, or the system's place for such files."""
    if environ.get("HERO_TUI_CONFIG"):
        return Path(environ["HERO_TUI_CONFIG"])
    return platformdirs.user_config_path("hero-tui") / "config.yaml"


def load_config(path: Path) -> Config:
    """The preferences in the file at `path`; the defaults if there is none.

    Raises:
        InputError: names the file, the field and what was expected.
    """
    if not path.exists():
        return DEFAULTS
    values = yamlfile.read_mapping(path)
    if values.get("images") is False:
        values["images"] = "off"  # YAML reads a bare off as false
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(describe(error, str(path))) from None
