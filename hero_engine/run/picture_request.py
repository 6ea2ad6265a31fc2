"""What `hero-tui generate` is asked for; it is written as JSON on the engine's command line."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from hero_engine.errors import InputError
from hero_engine.run.resolve import describe
from hero_engine.run.task import Prompt, Section, Task


class PictureRequest(Section):
    """Pictures of a run's model. None: as in the run, or its latest trained round."""

    images: int = Field(64, ge=1, le=1024)
    round: int | None = Field(None, ge=0)
    prompt: Prompt | None = None
    transfer: bool = False
    negative_prompt: str | None = Field(None, max_length=2000)
    noise: Literal["pi", "fresh"] = "pi"
    scheduler: str | None = None
    steps: int | None = Field(None, ge=1, le=1000)
    guidance: float | None = Field(None, ge=0, le=100)
    seed: int | None = Field(None, ge=0, lt=2**63)


def requested_prompts(task: Task, request: PictureRequest) -> tuple[str, ...]:
    """What to draw: the pictures take these in turn.

    Raises:
        InputError: the task's transfer prompts are asked for, and it has none, or a prompt is
            given as well.
    """
    if request.transfer and request.prompt is not None:
        raise InputError("--transfer, --prompt: expected one of them")
    if request.transfer and not task.transfer_prompts:
        raise InputError(
            f"--transfer: the task {task.name} has no transfer_prompts; name one with --prompt"
        )
    if request.transfer:
        return task.transfer_prompts
    return task.taught_prompts if request.prompt is None else (request.prompt,)


def picture_request(options: Mapping[str, Any]) -> PictureRequest:
    """A request from the options that were given.

    Raises:
        InputError: names the option and what was expected.
    """
    try:
        return PictureRequest(**{k: value for k, value in options.items() if value is not None})
    except ValidationError as error:
        raise InputError(describe(error, "hero-tui generate")) from None
