"""What an evaluation found, as a table and in words."""

from contextlib import closing

from hero_engine.run.intervals import Rate
from hero_engine.run.record import Record
from hero_engine.run.record.evaluations import Evaluation, Source
from hero_engine.run.sources import SOURCES, TRANSFERRED, Evaluated
from hero_engine.run.verdict import (
    Tally,
    by_prompt,
    by_source,
    can_be_verdict,
    conclusions,
    pairs_in_words,
    score_of,
    standing,
    stays,
)

HEADER = ["judge", "pictures", "good", "result", "diversity"]

Row = list[str]


def rows_and_words(what: Evaluated) -> tuple[list[Row], list[str]]:
    """The rows of everything that judges and scorers found of a model, and what they come to."""
    with closing(what.folder.open_record()) as record:
        verdict = standing(record.judge(), record.figures())
        lines = _Lines(what, record, verdict)
        for each in latest(record, what, verdict):
            lines.judged(each)
        lines.at_the_end()
        lines.scored()
        return lines.rows, lines.words


def latest(record: Record, what: Evaluated, verdict: tuple[str, int]) -> list[Evaluation]:
    """Each judge's latest evaluation of each kind that is closed, and that of the run's verdict."""
    found: dict[tuple[str, str], Evaluation] = {}
    of_verdict: list[Evaluation] = []
    for each in record.evaluations.all():
        if each.round == what.round and each.closed is not None:
            found[each.judge, each.kind] = each
            if can_be_verdict(what, each) and (each.judge, each.images) == verdict:
                of_verdict = [each]
    shown = list(found.values())
    return [*shown, *(each for each in of_verdict if each not in shown)]


class _Lines:
    def __init__(self, what: Evaluated, record: Record, verdict: tuple[str, int]) -> None:
        self._what, self._record, self._verdict = what, record, verdict
        self._judged: set[tuple[str, int]] = set()
        self.rows: list[Row] = []
        self.words: list[str] = []

    def _row(self, judge: str, pictures: str, good: str, result: str, diversity: str = "") -> None:
        self.rows.append([judge, pictures, good, result, diversity])

    def judged(self, evaluation: Evaluation) -> None:
        verdicts = self._record.evaluations.verdicts(evaluation.number)
        tallies = by_source(verdicts)
        if evaluation.kind in ("pairs", "transfer-pairs"):
            (tally,) = tallies.values()
            self._row(
                evaluation.judge,
                "pairs, taught against base",
                counted(tally, "tied"),
                tally.rate.percent,
            )
            if evaluation.kind == "transfer-pairs":
                for prompt, of in by_prompt(self._what, "transfer-fresh", verdicts).items():
                    self._row(evaluation.judge, f"  {prompt}", counted(of, "tied"), of.rate.percent)
            self._say(evaluation.judge, [pairs_in_words(tally)])
            return
        measured = self._record.evaluations.measured(evaluation.round, evaluation.images)
        for source in (*SOURCES, *TRANSFERRED):
            if source in tallies:
                tally = tallies[source]
                self._row(
                    evaluation.judge,
                    self._what.name(source),
                    counted(tally),
                    tally.rate.percent,
                    _diversity(measured.get(source, {})),
                )
        if evaluation.kind == "transfer":
            base, taught = (by_prompt(self._what, each, verdicts) for each in TRANSFERRED)
            for prompt in base:
                pair = base[prompt], taught[prompt]
                self._row(
                    evaluation.judge,
                    f"  {prompt}",
                    " -> ".join(f"{each.rate.good}/{each.rate.images}" for each in pair),
                    " -> ".join(f"{each.rate.share:.0%}" for each in pair),
                )
        else:
            self._judged.add((evaluation.judge, evaluation.images))
        said = stays(self._what, evaluation, self._verdict)
        self._say(evaluation.judge, [*conclusions(self._what, tallies), *said])

    def at_the_end(self) -> None:
        """What the engine's own evaluation at the end of the run found, if it is the verdict."""
        judge, _ = self._verdict
        if not self._what.final or self._verdict in self._judged:
            return
        tallies: dict[Source, Tally] = {}
        figures = self._record.figures()
        for noise in ("base", "fresh", "pi"):
            if noise in figures:
                tallies[noise] = Tally(Rate.of(figures[noise]), 0)
                rate, diversity = tallies[noise].rate, _diversity(dict(figures[noise]))
                self._row(
                    judge, self._what.name(noise), counted(tallies[noise]), rate.percent, diversity
                )
        self._say(judge, conclusions(self._what, tallies))

    def scored(self) -> None:
        scores = self._record.evaluations.scores(self._what.round)
        for (scorer, source), of in scores.items():
            wanted = {n: of[n] for n in self._what.numbers(source) if n in of}
            score = score_of(wanted)
            if score is not None:
                self._row(
                    scorer,
                    self._what.name(source),
                    f"{score.images} scored",
                    f"{score.mean:.4g} +- {score.error:.2g}",
                )

    def _say(self, judge: str, said: list[str]) -> None:
        self.words += [f"{judge}: {line}" for line in said]


def counted(tally: Tally, left_out: str = "unsure") -> str:
    """How many, such as `41 of 64, 2 unsure`."""
    others = f", {tally.left_out} {left_out}" if tally.left_out else ""
    return f"{tally.rate.good} of {tally.rate.images}{others}"


def _diversity(measured: dict[str, float]) -> str:
    if "clip_diversity" in measured:
        return f"{measured['clip_diversity']:.3f} CLIP"
    return f"{measured['diversity']:.3f} pixels" if "diversity" in measured else ""
