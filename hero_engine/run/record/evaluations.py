"""Evaluations in a record: which pictures a judge was shown, and what was said of each.

What was said is kept key by key, each a step that can be taken back. A picture whose page was
turned without a key for it is bad, and that it was only looked at is kept, too.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from hero_engine.errors import InputError
from hero_engine.run.record.database import Database

Kind = Literal["pictures", "pairs", "transfer", "transfer-pairs"]
Source = Literal["base", "fresh", "pi", "transfer-base", "transfer-fresh"]
Picture = tuple[Source, int]
"""A source and a number; of a pair, the one of the taught model."""
Verdict = Literal["good", "bad", "unsure", "won", "lost", "tied"]
"""Of a picture; or of the taught model's one of a pair."""
PERSON = "person"


@dataclass(frozen=True)
class Evaluation:
    """One judge's look at `images` pictures of each source, or at so many pairs."""

    number: int
    round: int
    kind: Kind
    judge: str
    images: int
    began: float
    closed: float | None


@dataclass(frozen=True)
class Score:
    """What a scorer made of `images` pictures: their mean, and its standard error."""

    images: int
    mean: float
    error: float


class Evaluations:
    """Those of one record; every method that writes is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading, self._writing = database.reading, database.writing

    def all(self) -> list[Evaluation]:
        """In the order in which they began."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, round, kind, judge, images, began, closed FROM evaluations"
                " ORDER BY number"
            )
            return [_evaluation(*row) for row in rows]

    def find(self, number: int) -> Evaluation | None:
        """None: the run has gone back to an earlier round since."""
        return next((each for each in self.all() if each.number == number), None)

    def begin(self, of_round: int, kind: Kind, judge: str, images: int) -> Evaluation:
        """A new one, or the one like it that is still open."""
        like = (of_round, kind, judge, images)
        with self._writing() as connection:
            for each in self.all():
                if (each.round, each.kind, each.judge, each.images) == like and not each.closed:
                    return each
            cursor = connection.execute(
                "INSERT INTO evaluations (round, kind, judge, images, began)"
                " VALUES (?, ?, ?, ?, ?)",
                (*like, time.time()),
            )
            return next(each for each in self.all() if each.number == cursor.lastrowid)

    def say(
        self,
        number: int,
        verdicts: Mapping[Picture, Verdict],
        in_place_of_last: bool = False,
    ) -> None:
        """One step of the judge.

        Args:
            in_place_of_last: it takes the place of the last step, and undo goes back before both.

        Raises:
            InputError: the evaluation is closed.
        """
        with self._writing() as connection:
            self._check_open(number)
            connection.execute("DELETE FROM judgements WHERE evaluation = ? AND undone", (number,))
            if in_place_of_last:
                connection.execute(
                    "DELETE FROM judgements WHERE evaluation = ? AND step ="
                    " (SELECT max(step) FROM judgements WHERE evaluation = ? AND NOT looked)",
                    (number, number),
                )
            self._add(number, verdicts, looked=False)

    def look(self, number: int, pictures: Iterable[Picture]) -> None:
        """The judge has looked at these pictures: those of which nothing was said are bad.

        Raises:
            InputError: the evaluation is closed.
        """
        with self._writing():
            self._check_open(number)
            said = self.verdicts(number)
            self._add(number, {each: "bad" for each in pictures if each not in said}, looked=True)

    def _add(self, number: int, verdicts: Mapping[Picture, Verdict], looked: bool) -> None:
        with self._writing() as connection:
            (last,) = connection.execute(
                "SELECT ifnull(max(step), 0) FROM judgements WHERE evaluation = ?", (number,)
            ).fetchone()
            connection.executemany(
                "INSERT INTO judgements (evaluation, step, source, image, verdict, at, looked)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, last + 1, source, image, verdict, time.time(), looked)
                    for (source, image), verdict in verdicts.items()
                ],
            )

    def step(self, number: int, way: Literal["undo", "redo"]) -> None:
        """Takes the last key back, or the last one that was taken back comes again, if any.

        Raises:
            InputError: the evaluation is closed.
        """
        back = way == "undo"
        with self._writing() as connection:
            self._check_open(number)
            connection.execute(
                "UPDATE judgements SET undone = ? WHERE evaluation = ? AND step ="  # noqa: S608
                f" (SELECT {'max' if back else 'min'}(step) FROM judgements"
                " WHERE evaluation = ? AND NOT looked AND undone = ?)",
                (back, number, number, not back),
            )

    def verdicts(self, number: int) -> dict[Picture, Verdict]:
        """The last word on each picture that was judged."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT source, image, verdict FROM judgements"
                " WHERE evaluation = ? AND NOT undone ORDER BY step, image",
                (number,),
            )
            return {(_source(source), int(image)): _verdict(said) for source, image, said in rows}

    def close(self, number: int) -> None:
        """Nothing changes any more: from now on it is known which was which.

        Raises:
            InputError: it is closed already.
        """
        with self._writing() as connection:
            self._check_open(number)
            connection.execute(
                "UPDATE evaluations SET closed = ? WHERE number = ?", (time.time(), number)
            )

    def _check_open(self, number: int) -> None:
        if any(each.number == number and each.closed is None for each in self.all()):
            return
        raise InputError(
            f"{self._database.path}: this evaluation is closed, and it is known which model made "
            "which picture, or the run has gone back; `hero-tui evaluate` begins another"
        )

    # -- what is measured ------------------------------------------------------------------------

    def add_scores(
        self, of_round: int, source: Source, scorer: str, scores: Mapping[int, float]
    ) -> None:
        """A scorer's scores of a source's pictures, by their numbers."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)",
                [(of_round, source, image, scorer, score) for image, score in scores.items()],
            )

    def scores(self, of_round: int) -> dict[tuple[str, Source], dict[int, float]]:
        """By (scorer, source), the scores of its pictures."""
        with self._reading() as connection:
            found: dict[tuple[str, Source], dict[int, float]] = {}
            for scorer, source, image, score in connection.execute(
                "SELECT scorer, source, image, score FROM scores WHERE round = ?"
                " ORDER BY scorer, source, image",
                (of_round,),
            ):
                found.setdefault((str(scorer), _source(source)), {})[int(image)] = float(score)
            return found

    def add_measured(
        self, of_round: int, source: Source, images: int, name: str, value: float
    ) -> None:
        """A figure about a source's pictures, of which there are `images`, together."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO measured VALUES (?, ?, ?, ?, ?)",
                (of_round, source, images, name, value),
            )

    def measured(self, of_round: int, images: int) -> dict[Source, dict[str, float]]:
        """By source and name."""
        with self._reading() as connection:
            found: dict[Source, dict[str, float]] = {}
            for source, name, value in connection.execute(
                "SELECT source, name, value FROM measured WHERE round = ? AND images = ?",
                (of_round, images),
            ):
                found.setdefault(_source(source), {})[str(name)] = float(value)
            return found


def _evaluation(
    number: int, of_round: int, kind: str, judge: str, images: int, began: float, closed: float
) -> Evaluation:
    for known in get_args(Kind):
        if kind == known:
            when = None if closed is None else float(closed)
            return Evaluation(
                int(number), int(of_round), known, str(judge), int(images), float(began), when
            )
    raise ValueError(f"an evaluation of {kind!r}")


def _source(name: str) -> Source:
    for source in get_args(Source):
        if name == source:
            return source  # type: ignore[no-any-return]
    raise ValueError(f"pictures of {name!r}")


def _verdict(said: str) -> Verdict:
    for verdict in get_args(Verdict):
        if said == verdict:
            return verdict  # type: ignore[no-any-return]
    raise ValueError(f"verdict {said!r}")
