"""What a page says of a run, read from its folder once; later changes of the run are not seen."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hero_engine.run import labelfile
from hero_engine.run.folder import RunFolder
from hero_engine.run.intervals import wilson
from hero_engine.run.labels import Labels
from hero_engine.run.record import Record, Round
from hero_engine.run.second_look import label_noise
from hero_engine.run.status import RoundStatus, Status, status
from hero_engine.run.task import Task

NOISES = {
    "base": "before, from fresh noise",
    "fresh": "after, from fresh noise",
    "pi": "after, from the noise pool",
}
"""Models and initial noises of the final evaluation, in the order in which they are shown. The same
number of `base` and `fresh` starts from the same noise.
"""


@dataclass(frozen=True)
class Success:
    """A share of good pictures; of none, there is no rate."""

    good: int
    judged: int

    @property
    def rate(self) -> float | None:
        return self.good / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """Of the rate, 95 % (Wilson); anything where nothing is judged."""
        return wilson(self.good, self.judged) if self.judged else (0.0, 1.0)


@dataclass(frozen=True)
class RoundFacts:
    """A round: `history` is None until it is submitted, and its labels may change until then.

    `labelled` is False where a function rewards, so that nobody labels.
    """

    number: int
    labels: Labels
    pictures: Mapping[int, Path]
    curves: Mapping[str, list[tuple[int, float]]]
    history: RoundStatus | None
    labelled: bool = True

    @property
    def success(self) -> Success:
        """Of a submitted round, without the unsure ones."""
        if self.history is None or not self.labelled:
            return Success(0, 0)
        return Success(self.history["good"], self.history["good"] + self.history["bad"])


@dataclass(frozen=True)
class RunFacts:
    """A run as it was when it was looked at: the present line of its rounds.

    `finals` and `final_pictures` are by noise, as `NOISES`; `hashes` of files, SHA-256, by path.
    """

    folder: RunFolder
    task: Task
    status: Status
    rounds: list[RoundFacts]
    began: str = ""
    label_noise: str = ""
    finals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    judge: str = ""
    final_pictures: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def submitted(self) -> list[RoundFacts]:
        return [r for r in self.rounds if r.history is not None]

    @property
    def paths(self) -> Iterator[Path]:
        """Of all its pictures."""
        for r in self.rounds:
            yield from r.pictures.values()
        for found in self.final_pictures.values():
            yield from found.values()

    def noise_name(self, noise: str) -> str:
        """What the final evaluation from a noise is called; without a pool, `pi` is no pool's."""
        if noise == "pi" and not self.task.has_pool:
            return "after, from other fresh noise"
        return NOISES.get(noise, noise)

    def final(self, noise: str) -> Success | None:
        """Success of the final evaluation from a noise; None: it was not judged."""
        if noise not in self.finals:
            return None
        return Success(int(self.finals[noise]["good"]), int(self.finals[noise]["images"]))

    def seconds(self, name: str) -> float:
        """The sum of a time in the history, such as `label_s`, over the rounds that have it."""
        found = [dict(r.history or {}).get(name) for r in self.rounds]
        return sum(each for each in found if isinstance(each, float))


def read_run(folder: RunFolder) -> RunFacts:
    """A run's facts.

    Raises:
        InputError: its task or its record is missing or damaged, or it is another user's.
    """
    task, found = folder.task(), status(folder)
    with closing(folder.open_record()) as record:
        rounds, figures = record.rounds(), record.figures()
        judged = [noise for noise in figures if {"images", "good"} <= figures[noise].keys()]
        finals = {str(noise): figures[noise] for noise in sorted(judged, key=_order)}
        noise = label_noise(record.second_looks())
        labels = labelfile.dump(task.name, labelfile.submitted_labels(record))
        return RunFacts(
            folder=folder,
            task=task,
            status=found,
            rounds=list(_rounds(folder, record, rounds, found, task.asks_for_labels)),
            began=_day(rounds[0].started) if rounds else "",
            label_noise=f"{noise.words}." if noise else "",
            finals=finals,
            judge=record.judge(),
            final_pictures=_final_pictures(folder, finals, record.judge() == "oracle"),
            hashes=_hashes(folder, rounds, labels),
        )


def _rounds(
    folder: RunFolder, record: Record, rounds: list[Round], found: Status, labelled: bool
) -> Iterator[RoundFacts]:
    history = {each["round"]: each for each in found["history"]}
    for r in rounds:
        yield RoundFacts(
            number=r.number,
            labels=record.labels(r.number),
            pictures={image: folder.image(r.number, image) for image in record.images(r.number)},
            curves=record.metrics(r.number),
            history=history.get(r.number),
            labelled=labelled,
        )


def _final_pictures(
    folder: RunFolder, finals: Mapping[str, Mapping[str, float]], all_judged: bool
) -> dict[str, dict[int, Path]]:
    """Those that were judged, if all are, and those that are there, while they are made, say."""
    found: dict[str, dict[int, Path]] = {}
    for noise in sorted({*NOISES, *finals}, key=_order):
        files = folder.final_image(noise, 0).parent.glob("*.png")
        numbers = {int(path.stem) for path in files if path.stem.isdecimal()}
        if all_judged:
            numbers |= set(range(int(finals.get(noise, {}).get("images", 0))))
        if numbers:
            found[noise] = {n: folder.final_image(noise, n) for n in sorted(numbers)}
    return found


def _hashes(folder: RunFolder, rounds: list[Round], labels: str) -> dict[str, str]:
    """Of what determines the run, and of what it has learned."""
    trained = [r.number for r in rounds if r.trained is not None]
    files = [folder.task_file]
    if trained:
        checkpoint = folder.checkpoint(trained[-1])
        files += [checkpoint / "lora.safetensors", checkpoint / "noise_pool.safetensors"]
    files += [*sorted(folder.exports.glob("*.safetensors")), folder.exports / "README.md"]
    found = {}
    if any(r.submitted is not None for r in rounds):
        found["label file (hero-tui labels)"] = hashlib.sha256(labels.encode()).hexdigest()
    for path in files:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            continue  # not there, or not yet
        found[str(path.relative_to(folder.path))] = digest
    return found


def _order(noise: str) -> tuple[int, str]:
    known = list(NOISES)
    return known.index(noise) if noise in known else len(known), noise


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
