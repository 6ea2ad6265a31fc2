"""What an evaluation says: rates of good pictures by source, or of pairs won, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

from hero_engine.errors import InputError
from hero_engine.run.blind import order
from hero_engine.run.diversity import good_diversity_of
from hero_engine.run.intervals import Rate
from hero_engine.run.record import Noise, Record
from hero_engine.run.record.evaluations import Evaluation, Picture, Score, Source, Verdict
from hero_engine.run.sources import Evaluated


@dataclass(frozen=True)
class Tally:
    """Of some pictures, how many are good, or of some pairs, how many the taught model has won.

    `left_out`: unsure pictures, or pairs of which neither is better.
    """

    rate: Rate
    left_out: int

    @classmethod
    def of(cls, verdicts: Mapping[Picture, Verdict]) -> "Tally":
        said = list(verdicts.values())
        good = said.count("good") + said.count("won")
        left_out = said.count("unsure") + said.count("tied")
        return cls(Rate(good, len(said) - left_out), left_out)


def by_source(verdicts: Mapping[Picture, Verdict]) -> dict[Source, Tally]:
    """A tally of each source; of pairs, the source is the taught model's."""
    sources = dict.fromkeys(source for source, _ in verdicts)
    return {
        source: Tally.of({each: said for each, said in verdicts.items() if each[0] == source})
        for source in sources
    }


def by_prompt(
    what: Evaluated, source: Source, verdicts: Mapping[Picture, Verdict]
) -> dict[str, Tally]:
    """A tally of each prompt that the source's pictures have."""
    found: dict[str, dict[Picture, Verdict]] = {}
    for picture, said in verdicts.items():
        if picture[0] == source:
            found.setdefault(what.prompt(source, picture[1]), {})[picture] = said
    return {prompt: Tally.of(of) for prompt, of in found.items()}


def score_of(scores: Mapping[int, float]) -> Score | None:
    """The mean of some pictures' scores and its standard error; None: there are none."""
    values = list(scores.values())
    if not values:
        return None
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return Score(len(values), mean(values), error)


def conclusions(what: Evaluated, tallies: Mapping[Source, Tally]) -> list[str]:
    """Whether the sources of pictures differ, in words for the person."""
    said = []
    against: tuple[tuple[Source, Source, str], ...] = (
        ("fresh", "base", "From the same fresh noise, the taught model is"),
        ("pi", "fresh", "From its noise pool, the taught model is"),
        ("transfer-fresh", "transfer-base", "On the transfer prompts, the taught model is"),
    )
    for one, other, begin in against:
        if one in tallies and other in tallies and (one != "pi" or what.task.has_pool):
            than = "than from fresh noise" if one == "pi" else "than the base model"
            said.append(f"{begin} {compared(tallies[one].rate, tallies[other].rate, than)}")
    return said


def compared(rate: Rate, other: Rate, than: str) -> str:
    """Whether a rate is higher than another, as far as their intervals tell."""
    if not rate.differs(other):
        return f"not shown to be better or worse {than}: the 95 % intervals overlap."
    better = "better" if rate.share > other.share else "worse"
    return f"{better} {than}: the 95 % intervals do not overlap."


def pairs_in_words(tally: Tally) -> str:
    """What pairs say."""
    rate = tally.rate
    ties = f" In {tally.left_out} pairs neither was better." if tally.left_out else ""
    if not rate.images:
        return f"No pair was won by either model.{ties}"
    low, high = rate.interval
    if low > 0.5:
        which = "the taught model's pictures are better"
    elif high < 0.5:
        which = "the base model's pictures are better"
    else:
        which = "which model's pictures are better is not shown, a half is within the interval"
    return (
        f"The taught model won {rate.good} of {rate.images} pairs, {rate.percent}: {which}.{ties}"
    )


def standing(judge: str, figures: Mapping[Noise, Mapping[str, float]]) -> tuple[str, int]:
    """Whose the run's verdict is, and of how many pictures of each source; of 0: there is none.

    Args:
        judge, figures: the record's.
    """
    of_each = (of["images"] + of.get("unsure", 0) for of in figures.values())
    return judge, int(max(of_each, default=0))


def can_be_verdict(what: Evaluated, evaluation: Evaluation) -> bool:
    """Whether it is of the final model's pictures one by one."""
    return evaluation.kind == "pictures" and what.final


def stays(what: Evaluated, evaluation: Evaluation, verdict: tuple[str, int]) -> list[str]:
    """Why an evaluation by the same judge, of fewer pictures, is not the run's; nothing if it is.

    Args:
        verdict: as `standing` has it.
    """
    judge, images = verdict
    is_fewer = judge == evaluation.judge and evaluation.images < images
    if not (is_fewer and can_be_verdict(what, evaluation)):
        return []
    return [
        f"The run's verdict stays that of {images} pictures of each, not of {evaluation.images}."
    ]


def close(record: Record, what: Evaluated, evaluation: Evaluation) -> None:
    """Ends an evaluation of which every picture is judged.

    If it is of the final model's pictures one by one, it is the run's verdict from now on, unless
    the same judge's verdict is of more of them.

    Raises:
        InputError: it is closed already, or a picture is not judged.
    """
    with record.one_write():
        verdicts = record.evaluations.verdicts(evaluation.number)
        missing = [each for each in order(what, evaluation.kind) if each not in verdicts]
        if missing:
            raise InputError(f"{len(missing)} pictures or pairs are not judged yet")
        record.evaluations.close(evaluation.number)
        if not can_be_verdict(what, evaluation):
            return
        if stays(what, evaluation, standing(record.judge(), record.figures())):
            return
        tallies = by_source(verdicts)
        measured = record.evaluations.measured(evaluation.round, evaluation.images)
        figures: dict[Noise, Mapping[str, float]] = {}
        noises: tuple[Noise, ...] = ("pi", "fresh", "base")
        for noise in noises:
            tally = tallies[noise]
            figures[noise] = {
                "images": tally.rate.images,
                "good": tally.rate.good,
                "unsure": tally.left_out,
                "diversity": measured[noise]["diversity"],
                **good_diversity_of(
                    what.path(source, image)
                    for (source, image), said in verdicts.items()
                    if source == noise and said == "good"
                ),
            }
        record.set_verdict(evaluation.judge, figures)
