"""Which pictures a run is evaluated by: what they are of, their numbers, and where they are.

A source is the base model or the taught one, from one noise. Picture n of `base` and of `fresh`
start from the same noise and take the same noise at every step: only the model differs. `base` and
`fresh` of a transfer prompt are as well; their pictures take the task's transfer prompts in turn.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder, trained_round
from hero_engine.run.record.evaluations import Source
from hero_engine.run.task import Task

SOURCES: tuple[Source, ...] = ("base", "fresh", "pi")
TRANSFERRED: tuple[Source, ...] = ("transfer-base", "transfer-fresh")
OF_THE_BASE: tuple[Source, ...] = ("base", "transfer-base")

NAMES: dict[Source, str] = {
    "base": "base, fresh noise",
    "fresh": "taught, fresh noise",
    "pi": "taught, noise pool",
    "transfer-base": "base, transfer prompts",
    "transfer-fresh": "taught, transfer prompts",
}
UNTAUGHT = -1
"""The round of a finished run that has trained none, such as the method `pretrained`."""
USUAL = 200
"""Pictures of each source of a task whose own evaluation is turned off."""


@dataclass(frozen=True)
class Evaluated:
    """The pictures of the model after training `round`, and of the base model: `count` each.

    `final`: the run is finished, and this is its final model.
    """

    folder: RunFolder
    task: Task
    round: int
    final: bool
    count: int

    def numbers(self, source: Source) -> list[int]:
        """The pictures' numbers: spread over all that the task's evaluation has of a source.

        Those from the pool have its best as their mean first, and then the other goods.
        """
        if source not in TRANSFERRED:
            total = most_of(self.task)
            return [n * total // self.count for n in range(self.count)]
        prompts = len(self.task.transfer_prompts)
        return list(range(prompts * max(1, self.count // prompts))) if prompts else []

    def name(self, source: Source) -> str:
        """What it is called; what a run without a pool calls `pi` is fresh noise once more."""
        pooled = source != "pi" or self.task.has_pool
        return NAMES[source] if pooled else "taught, other fresh noise"

    @property
    def place(self) -> str:
        """Of what there is of this round, in the run folder's `evaluations`."""
        return "final" if self.final else f"{self.round:03d}"

    def path(self, source: Source, image: int) -> Path:
        final = self.final or source in OF_THE_BASE
        return self.folder.evaluated_image(None if final else self.round, source, image)

    def prompt(self, source: Source, image: int) -> str:
        return prompt_of(self.task, source, image)

    def pictures(self, sources: Sequence[Source] = SOURCES) -> Iterator[tuple[Source, int]]:
        """Every picture of these sources."""
        return ((source, image) for source in sources for image in self.numbers(source))

    def missing(self, sources: Sequence[Source] = SOURCES) -> bool:
        """Whether a picture of these sources is still to be drawn."""
        return any(not self.path(*picture).is_file() for picture in self.pictures(sources))


def prompts_of(task: Task, source: Source) -> tuple[str, ...]:
    """What a source's pictures are drawn of, in turn."""
    return task.transfer_prompts if source in TRANSFERRED else task.prompts


def prompt_of(task: Task, source: Source, image: int) -> str:
    prompts = prompts_of(task, source)
    return prompts[image % len(prompts)]


def most_of(task: Task) -> int:
    """How many pictures there are of each source, at most."""
    return task.evaluation.images or USUAL


def evaluated(folder: RunFolder, wanted: int | None, count: int | None) -> Evaluated:
    """What a run is evaluated by.

    Args:
        wanted: after which round's training; None: the latest.
        count: pictures of each source; None: as many as there are.

    Raises:
        InputError: the round is not trained, or there are not so many pictures.
    """
    task = folder.task()
    with closing(folder.open_record()) as record:
        trained = [r.number for r in record.rounds() if r.trained is not None]
        finished = record.state()[0] == "finished"
    untaught = finished and not trained and wanted is None
    number = UNTAUGHT if untaught else trained_round(folder, wanted)
    most = most_of(task)
    if count is not None and not 1 <= count <= most:
        raise InputError(
            f"--images {count}: expected 1 to {most}, the task's evaluation.images; more are "
            "possible in a run that was started with --set evaluation.images=N"
        )
    final = finished and (untaught or number == max(trained))
    return Evaluated(folder, task, number, final, most if count is None else count)
