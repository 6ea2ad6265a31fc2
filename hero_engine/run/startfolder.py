"""What a folder of labelled pictures says: which are good, bad and best, and of which prompt.

A folder has subfolders good/ and bad/ (and best/ or best.png), or a labels.yaml that names its
pictures, or is a run folder, whose submitted rounds are taken. It is read and never written to.
Only names are looked at here; the pictures themselves are `startpictures`'.
"""

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, StrictStr, ValidationError

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.anypicture import OTHER_SUFFIXES, SUFFIXES
from hero_engine.run.folder import RunFolder
from hero_engine.run.record import START, Record
from hero_engine.run.resolve import describe
from hero_engine.run.task import Task
from hero_engine.run.text import plain

LABELS_FILE = "labels.yaml"
MOST_ENTRIES = 20_000
"""Of a subfolder; who has more has named the wrong folder."""


@dataclass(frozen=True)
class Named:
    """A labelled picture that a folder names, and that nobody has looked into.

    Attributes:
        name: as it is shown, with its folder.
        prompt: which of the task's.
    """

    path: Path
    name: str
    good: bool
    best: bool
    prompt: int


@dataclass
class Listing:
    """What a folder names, in order; why some of it cannot be taken; what is left out."""

    pictures: list[Named] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class _Labels(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: StrictStr | dict[StrictStr, list[StrictStr]] | None = None
    good: list[StrictStr] | None = None
    bad: list[StrictStr] | None = None
    best: StrictStr | None = None
    unsure: list[StrictStr] = []


def listing_of(folder: Path, task: Task) -> Listing:
    """The labelled pictures that `folder` names for `task`."""
    found = Listing()
    try:
        if not folder.is_dir():
            why = "it is no folder" if folder.exists() else "there is no such folder"
            raise InputError(f"{plain(folder)}: {why}; expected one with labelled pictures")
        if (folder / "run.sqlite").is_file():
            _list_run(folder, task, found)
        else:
            _list_folder(folder, task, found)
    except InputError as error:
        found.problems.append(str(error))
    except OSError as error:
        where = plain(error.filename or folder)
        found.problems.append(f"{where}: cannot be read: {error.strerror}")
    return found


# -- a folder of pictures --------------------------------------------------------------------


def _list_folder(folder: Path, task: Task, found: Listing) -> None:
    file = folder / LABELS_FILE
    said = _read_labels(file) if os.path.lexists(file) else _Labels()
    if said.good is None and said.bad is None:
        said = _with_subfolders(folder, said, found)
    labels = _label_by_name(said, file, found)
    prompts = _Prompts(said, task, folder)
    best = None if said.best is None else _inside(said.best)
    for name in sorted(labels, key=_natural):
        try:
            prompt = prompts.of(name)
        except InputError as error:
            if str(error) not in found.problems:
                found.problems.append(str(error))
            continue
        full = folder / name
        found.pictures.append(Named(full, plain(full), labels[name], name == best, prompt))


def _read_labels(file: Path) -> _Labels:
    try:
        return _Labels.model_validate(yamlfile.read_mapping(file))
    except ValidationError as error:
        raise InputError(describe(error, plain(file))) from None


def _with_subfolders(folder: Path, said: _Labels, found: Listing) -> _Labels:
    good, bad = (
        [f"{name}/{each}" for each in _pictures_in(folder / name, found)]
        for name in ("good", "bad")
    )
    if not good and not bad and not (folder / "good").is_dir() and not (folder / "bad").is_dir():
        raise InputError(
            f"{plain(folder)}: expected subfolders good/ and bad/ with pictures, a {LABELS_FILE} "
            "that names them, or a run's folder"
        )
    bests = [f"best/{each}" for each in _pictures_in(folder / "best", found)]
    bests += [f"best{suffix}" for suffix in SUFFIXES if os.path.lexists(folder / f"best{suffix}")]
    bests += [] if said.best is None else [said.best]
    if len(bests) > 1:
        listed = ", ".join(map(plain, bests[:3]))
        raise InputError(f"{plain(folder)}: expected one best picture, found {listed}")
    best = bests[0] if bests else None
    good += [best] if best is not None and best not in good else []
    unsure = {_inside(name) for name in said.unsure}
    return said.model_copy(
        update={
            "good": [name for name in good if name not in unsure],
            "bad": [name for name in bad if name not in unsure],
            "best": best,
        }
    )


def _pictures_in(folder: Path, found: Listing) -> list[str]:
    """Names of the pictures in a subfolder, if it is there; what else is in it is remarked on."""
    if not os.path.lexists(folder):
        return []
    names, others = [], 0
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number == MOST_ENTRIES:
                raise InputError(f"{plain(folder)}: it has more than {MOST_ENTRIES:,} files")
            suffix = Path(entry.name).suffix.lower()
            if entry.name.startswith("."):
                continue
            if suffix in SUFFIXES or suffix in OTHER_SUFFIXES:
                names.append(entry.name)
            else:
                others += 1
    if others:
        found.remarks.append(
            f"{plain(folder)}: {others} of its files and folders are not looked at: no name of a "
            "PNG, JPEG or WebP file"
        )
    return names


def _label_by_name(said: _Labels, file: Path, found: Listing) -> dict[str, bool]:
    """Whether each picture is good, by its name in the folder."""
    labels: dict[str, bool] = {}
    unsure = set()
    for name in said.unsure:
        if (inside := _inside(name)) is None:
            found.problems.append(_outside(file, name))
        elif not (file.parent / inside).is_file():
            found.problems.append(f"{plain(file)}: unsure: {plain(name)}: there is no such file")
        else:
            unsure.add(inside)
    for names, good in ((said.good or [], True), (said.bad or [], False)):
        for name in names:
            inside = _inside(name)
            if inside is None:
                found.problems.append(_outside(file, name))
            elif labels.get(inside, good) != good:
                found.problems.append(f"{plain(file)}: {plain(name)} is both good and bad")
            elif inside in unsure:
                found.problems.append(f"{plain(file)}: {plain(name)} is unsure, too")
            else:
                labels[inside] = good
    if said.best is not None and not labels.get(_inside(said.best) or "", False):
        found.problems.append(f"{plain(file)}: best: {plain(said.best)} is not one of the good")
    if unsure:
        found.remarks.append(f"{plain(file)}: {len(unsure)} unsure, left out")
    return labels


def _outside(file: Path, name: str) -> str:
    return f"{plain(file)}: {plain(name)}: expected the name of a file in this folder"


def _inside(name: str) -> str | None:
    """A name as the others are written; None: it leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        return None
    return path.as_posix()


def _natural(name: str) -> tuple[list[int | str], str]:
    """Sorts 9.png before 10.png; the order does not depend on the disk's."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)], name


class _Prompts:
    """Which of the task's prompts each picture is of.

    With one prompt there is nothing to say. With several nothing is guessed: a picture that is
    taught under another prompt than its own would teach the wrong thing, and nobody would see it.
    """

    def __init__(self, said: _Labels, task: Task, folder: Path) -> None:
        """Raises InputError if `prompt` is none of the task's, or says what cannot be so."""
        self._task, self._folder = task, folder
        self._by_name: dict[str | None, int] = {}
        for text, names in said.prompt.items() if isinstance(said.prompt, dict) else ():
            number = self._number(text)
            for name in names:
                self._add(name, number)
        self._of_all = self._number(said.prompt) if isinstance(said.prompt, str) else None

    def _add(self, name: str, number: int) -> None:
        inside = _inside(name)
        if inside is None or not (self._folder / inside).is_file():
            problem = "there is no such file in this folder"
        elif self._by_name.setdefault(inside, number) != number:
            problem = "it is of two prompts"
        else:
            return
        raise InputError(f"{plain(self._folder / LABELS_FILE)}: prompt: {plain(name)}: {problem}")

    def _number(self, text: str) -> int:
        if text.strip() not in self._task.prompts:
            raise InputError(
                f"{plain(self._folder / LABELS_FILE)}: prompt: '{plain(text)}' is none of the "
                f"task's: {_listed(self._task.prompts)}"
            )
        return self._task.prompts.index(text.strip())

    def of(self, name: str) -> int:
        if name in self._by_name:
            return self._by_name[name]
        if self._of_all is not None:
            return self._of_all
        if len(self._task.prompts) == 1:
            return 0
        file = self._folder / LABELS_FILE
        raise InputError(
            f"{plain(self._folder)}: the task has {len(self._task.prompts)} prompts, and nothing "
            f"says of which {'these pictures are' if not self._by_name else plain(name) + ' is'}; "
            f"write `prompt: {self._task.prompts[0]}`, say, into {plain(file)}: one folder for "
            "each prompt, or `prompt:` with the names of each (docs/start-from.md)"
        )


def _listed(prompts: Iterable[str]) -> str:
    return ", ".join(f"'{plain(prompt)}'" for prompt in prompts)


# -- a run's folder --------------------------------------------------------------------------


def _list_run(path: Path, task: Task, found: Listing) -> None:
    folder = RunFolder(path)
    earlier = folder.task()
    with _record_of(folder) as record:
        rounds = [r for r in record.rounds() if r.submitted is not None]
        labels = {r.number: record.labels(r.number) for r in rounds}
        best = record.reigning_best(rounds[-1].number + 1) if rounds else None
    if not earlier.asks_for_labels or not rounds:
        why = "has submitted no round" if earlier.asks_for_labels else "was labelled by nobody"
        raise InputError(f"{plain(path)}: this run {why}, so there is nothing to begin with")
    unsure = 0
    for r in rounds:
        unsure += len(labels[r.number].unsure)
        for image in sorted(frozenset(range(r.images)) - labels[r.number].unsure):
            file = folder.image(r.number, image)
            of = earlier.prompts[image % len(earlier.prompts)]
            if len(task.prompts) > 1 and of not in task.prompts:
                raise InputError(
                    f"{plain(path)}: its prompt '{plain(of)}' is none of the task's: "
                    f"{_listed(task.prompts)}"
                )
            prompt = task.prompts.index(of) if len(task.prompts) > 1 else 0
            good = image in labels[r.number].good
            is_best = (r.number, image) == best
            found.pictures.append(Named(file, plain(file), good, is_best, prompt))
    if unsure:
        found.remarks.append(f"{plain(path)}: {unsure} unsure, left out")
    if best is not None and best[0] == START:
        found.remarks.append(
            f"{plain(path)}: its best is one of the pictures that it began with itself, which are "
            f"not taken; name {plain(folder.round(START))}, too, to begin with them"
        )


@contextmanager
def _record_of(folder: RunFolder) -> Iterator[Record]:
    """A copy of the run's record, as it is now: to open the record itself may write to it.

    Raises:
        InputError: it cannot be read.
    """
    path = folder.record_file
    with tempfile.TemporaryDirectory(prefix="hero-tui-") as place:
        copy = Path(place) / path.name
        try:
            # Without a journal beside it the file is all there is, and a read of it leaves none.
            journals = [path.with_name(path.name + end) for end in ("-wal", "-journal")]
            how = "mode=ro" if any(map(Path.exists, journals)) else "immutable=1"
            source = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=30)
            with closing(source), closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        except sqlite3.Error as error:
            raise InputError(f"{plain(path)}: cannot be read: {error}") from None
        with closing(Record.open(copy)) as record:
            yield record
