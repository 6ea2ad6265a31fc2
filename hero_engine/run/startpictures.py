"""The labelled pictures that a run begins with (`--start-from`): looked at, numbered, copied.

Everything that can be wrong is found before the run's folder is made, and said together. The run
then has copies of its own, scaled to its model's size, so that it needs the folders no more.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hero_engine.errors import InputError
from hero_engine.run import yamlfile
from hero_engine.run.anypicture import Unfit, read_fitting
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.methods import CLEAN_LATENTS, NO_UPDATE
from hero_engine.run.pictures import save_picture
from hero_engine.run.picturesize import picture_size
from hero_engine.run.record import START, Record, start_words
from hero_engine.run.startfolder import LABELS_FILE, Listing, Named, listing_of
from hero_engine.run.task import Task
from hero_engine.run.text import plain

MOST_PICTURES = 1000
"""The embedding learns from all of them at once in every step."""
MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Checked:
    """A picture that fits: `digest` is of its pixels, as RGB of the model's size."""

    named: Named
    digest: str


@dataclass(frozen=True)
class StartPictures:
    """What a run can begin with: the pictures by number, of which n has prompt n mod P, as in a
    round; `remarks` say what of the folders was left out.
    """

    pictures: Mapping[int, Checked]
    best: int | None
    size: tuple[int, int]
    prompts: Sequence[str]
    remarks: Sequence[str]

    @property
    def words(self) -> str:
        """How many there are, and how they are counted, for the person."""
        good = sum(each.named.good for each in self.pictures.values())
        return start_words(good, len(self.pictures) - good)

    def fill(self, folder: RunFolder, record: Record) -> None:
        """Copies them into a run folder that is being made.

        Raises:
            InputError: a file is not what it was when it was looked at.
            OSError: a copy cannot be written.
        """
        for number, checked in self.pictures.items():
            try:
                picture = read_fitting(checked.named.path, self.size)
            except Unfit as why:
                raise InputError(f"{checked.named.name}: {why}; it was another before") from None
            if _digest(picture) != checked.digest:
                raise InputError(
                    f"{checked.named.name}: it was changed while the run was made; run the same "
                    "command again"
                )
            save_picture(folder.image(START, number), picture)
        text = yamlfile.dump(self._as_labels(folder))
        write_complete(folder.round(START) / LABELS_FILE, lambda path: _write(path, text))
        record.set_start({n: each.named.good for n, each in self.pictures.items()}, self.best)

    def _as_labels(self, folder: RunFolder) -> dict[str, object]:
        """A labels.yaml, by which the copies are themselves a folder to start from."""
        names = {
            n: folder.image(START, n).relative_to(folder.round(START)).as_posix()
            for n in self.pictures
        }
        said: dict[str, object] = {}
        if len(self.prompts) > 1:
            said["prompt"] = {
                prompt: of
                for p, prompt in enumerate(self.prompts)
                if (of := [name for n, name in names.items() if n % len(self.prompts) == p])
            }
        if self.best is not None:
            said["best"] = names[self.best]
        for label, good in (("good", True), ("bad", False)):
            said[label] = [names[n] for n, each in self.pictures.items() if each.named.good == good]
        return said


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def start_pictures(
    folders: Sequence[Path], task: Task, tell: Callable[[int], None] = lambda count: None
) -> StartPictures:
    """The pictures of all `folders`, each looked at.

    Args:
        tell: called with their number before that, which takes a minute for hundreds of photos.

    Raises:
        InputError: the task learns nothing from them, or what is wrong with the folders and their
            pictures, all together.
    """
    check_task(task)
    listings = [listing_of(folder, task) for folder in folders]
    size = picture_size(task)
    problems = [problem for each in listings for problem in each.problems]
    named = [picture for each in listings for picture in each.pictures]
    if len(named) > MOST_PICTURES:
        problems.append(
            f"--start-from: {len(named):,} labelled pictures, expected at most {MOST_PICTURES:,}: "
            "leave out some"
        )
    else:
        tell(len(named))
        checked = _check(named, size, problems)
    _say(problems)
    remarks = [remark for each in listings for remark in each.remarks]
    twice = len(named) - len(checked)
    if twice:
        remarks.append(f"{twice} of the pictures are there twice, and count once")
    _check_enough(checked, task)
    return _numbered(checked, listings, size, task, remarks)


def _check(named: Sequence[Named], size: tuple[int, int], problems: list[str]) -> list[Checked]:
    """Those that fit, each once; what is wrong with others is added to `problems`."""
    first: dict[tuple[str, int], Checked] = {}
    for each in named:
        try:
            digest = _digest(read_fitting(each.path, size))
        except Unfit as why:
            problems.append(f"{each.name}: {why}")
            continue
        same = first.setdefault((digest, each.prompt), Checked(each, digest))
        if same.named.good != each.good:
            words = ["bad", "good"]
            problems.append(
                f"{each.name}: it is {words[each.good]}, and the same picture as "
                f"{same.named.name}, which is {words[same.named.good]}; leave out one"
            )
        elif each.best:
            first[digest, each.prompt] = Checked(each, digest)
    return list(first.values())


def _digest(picture: NDArray[np.uint8]) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def _say(problems: Sequence[str]) -> None:
    if problems:
        more = len(problems) - MOST_PROBLEMS
        said = [*problems[:MOST_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]
        raise InputError("\n".join(said))


def _numbered(
    checked: Sequence[Checked],
    listings: Sequence[Listing],
    size: tuple[int, int],
    task: Task,
    remarks: list[str],
) -> StartPictures:
    prompts = len(task.prompts)
    counts = [0] * prompts
    pictures = {}
    for each in checked:
        prompt = each.named.prompt
        pictures[prompt + prompts * counts[prompt]] = each
        counts[prompt] += 1
    pictures = dict(sorted(pictures.items()))
    # As in later rounds, a later best takes the place of an earlier one, which is good.
    bests = [each.path for listing in listings for each in listing.pictures if each.best]
    best = next((n for n, each in pictures.items() if bests and each.named.path == bests[-1]), None)
    if len(bests) > 1:
        remarks.append(
            f"of {len(bests)} bests, that of the last folder is the best: {plain(bests[-1])}"
        )
    return StartPictures(pictures, best, size, task.prompts, remarks)


# -- what they can teach ---------------------------------------------------------------------


def check_task(task: Task) -> None:
    """Whether a task learns anything from labelled pictures.

    Raises:
        InputError: why it does not.
    """
    update, why = task.update.objective, ""
    if update == NO_UPDATE:
        why = "it trains neither the embedding nor the model (update.objective: none)"
    elif not task.asks_for_labels:
        why = "a function rewards its pictures, and labels teach it nothing (reward.name: function)"
    elif task.feedback.rounds == 0:
        why = "it has no round, and so no result (feedback.rounds: 0)"
    elif update == "supervised" or task.reward.uses_embedding or update in CLEAN_LATENTS:
        return
    else:
        why = (
            f"its reward, {task.reward.name}, has no use for the embedding, and {update} needs the "
            "steps in which a picture was drawn, which pictures from elsewhere do not have"
        )
    raise InputError(
        f"--start-from: with the method {task.method} nothing is learned from labelled pictures: "
        f"{why}; leave it out, or take another --method, such as hero+"
    )


def _check_enough(checked: Sequence[Checked], task: Task) -> None:
    good = sum(each.named.good for each in checked)
    if task.update.objective == "supervised":
        if not any(each.named.best for each in checked):
            raise InputError(
                f"--start-from: the method {task.method} learns from the best pictures alone, and "
                "none is named as the best (best.png, say, beside good/ and bad/)"
            )
    elif good == 0 or good == len(checked):
        raise InputError(
            f"--start-from: expected good and bad pictures, found {good} good and "
            f"{len(checked) - good} bad: what is learned is in how they differ"
        )


def what_they_teach(task: Task, has_best: bool) -> str:
    """In a sentence or two, for the person."""
    update = task.update.objective
    if update == "supervised":
        return "The best of them is learned together with the best of each round."
    teaches = ["the embedding"] * task.reward.uses_embedding
    teaches += ["by one update the model"] * (update in CLEAN_LATENTS)
    said = [f"They teach {' and '.join(teaches)} before round 0."]
    if update not in CLEAN_LATENTS:
        said.append(
            f"The model itself learns from the run's own rounds alone: {update} needs the steps in "
            "which a picture was drawn."
        )
    if has_best:
        said.append("The best of them is the reigning best of round 0.")
    return " ".join(said)
