"""What `hero-tui evaluate` asks the engine for; it is JSON on the engine's command line."""

from collections.abc import Sequence

from pydantic import Field

from hero_engine.errors import InputError
from hero_engine.run.record.evaluations import Source
from hero_engine.run.scorer_names import SCORERS
from hero_engine.run.sources import SOURCES
from hero_engine.run.task import Section


class EvaluationRequest(Section):
    """Pictures of a run's model and of its base, and scores of them. None: as the run has it.

    A source without pictures, such as transfer prompts that a task does not have, is left out.
    """

    round: int | None = Field(None, ge=0)
    images: int | None = Field(None, ge=1)
    sources: tuple[Source, ...] = SOURCES
    scorers: tuple[str, ...] = ()


def checked_scorers(names: Sequence[str]) -> tuple[str, ...]:
    """The scorers that are asked for, each once; `all` stands for every one.

    Raises:
        InputError: there is no such scorer.
    """
    wanted = [each for name in names for each in (SCORERS if name == "all" else (name,))]
    for name in wanted:
        if name not in SCORERS:
            raise InputError(
                f"--scorer {name}: expected {', '.join(SCORERS)} or all; another one is a "
                "function of yours, for --labeler module:function"
            )
    return tuple(dict.fromkeys(wanted))
