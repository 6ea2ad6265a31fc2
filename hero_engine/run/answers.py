"""A label file that answers an evaluation: which pictures are good, by their places in its order.

The places are those that the person is shown: `blind.order`, which a label file's writer sees on
the sheet that `hero-tui evaluate` makes where there is no terminal.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.blind import is_pairs, order, taught_is_left
from hero_engine.run.folder import RunFolder
from hero_engine.run.record.evaluations import Kind, Picture, Verdict
from hero_engine.run.resolve import describe
from hero_engine.run.sources import Evaluated, evaluated


class _Answers(BaseModel):
    model_config = ConfigDict(extra="forbid")

    of: Kind = "pictures"
    round: StrictInt | None = Field(None, ge=0)
    images: StrictInt = Field(ge=1)
    good: list[StrictInt] | None = None
    unsure: list[StrictInt] | None = None
    left: list[StrictInt] | None = None
    right: list[StrictInt] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: str
    evaluation: _Answers


def load(path: Path, folder: RunFolder) -> tuple[Evaluated, Kind, dict[Picture, Verdict]]:
    """What the file is about, and what it says of each picture, or pair.

    Raises:
        InputError: names the file, the field and what is wrong with it.
    """
    try:
        found = _File.model_validate(yamlfile.read_mapping(path))
    except ValidationError as error:
        raise InputError(describe(error, str(path))) from None
    task, answers = folder.task(), found.evaluation
    if found.task != task.name:
        raise InputError(
            f"{path}: task: these answers are for '{found.task}', the run is '{task.name}'"
        )
    try:
        what = evaluated(folder, answers.round, answers.images)
    except InputError as error:
        raise InputError(f"{path}: evaluation: {error}") from None
    shown = order(what, answers.of)
    if not shown:
        raise InputError(f"{path}: evaluation.of: the task {task.name} has no transfer_prompts")
    names: tuple[tuple[Literal["good", "unsure", "left", "right"], bool], ...] = (
        ("good", False), ("unsure", False), ("left", True), ("right", True),
    )  # fmt: skip
    taken: dict[int, str] = {}
    for name, of_pairs in names:
        places = getattr(answers, name)
        if places is not None and of_pairs != is_pairs(answers.of):
            expected = "left and right" if is_pairs(answers.of) else "good and unsure"
            raise InputError(
                f"{path}: evaluation.{name}: expected {expected} for an evaluation of {answers.of}"
            )
        for place in places or ():
            if not 0 <= place < len(shown):
                raise InputError(
                    f"{path}: evaluation.{name}: there is no number {place}, expected 0 to "
                    f"{len(shown) - 1}"
                )
            if place in taken:
                raise InputError(
                    f"{path}: evaluation.{name}: {place} is given twice, in {taken[place]} as well"
                )
            taken[place] = name
    sides = taught_is_left(what, answers.of) if is_pairs(answers.of) else {}
    verdicts: dict[Picture, Verdict] = {}
    for place, picture in enumerate(shown):
        match taken.get(place):
            case "good":
                verdicts[picture] = "good"
            case "unsure":
                verdicts[picture] = "unsure"
            case None:
                verdicts[picture] = "tied" if sides else "bad"
            case side:
                verdicts[picture] = "won" if (side == "left") == sides[picture] else "lost"
    return what, answers.of, verdicts
