"""`hero-tui evaluate`: base against taught model, its pool against fresh noise.

The engine draws and measures, in a process of its own; a judge, or a person who does not know which
model made a picture, says what is good; then it is told.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.run.blind import SOURCES_OF, is_pairs, order
from hero_engine.run.evaluation_request import EvaluationRequest
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.record.evaluations import PERSON, Kind, Source
from hero_engine.run.sheet import contact_sheet
from hero_engine.run.sources import SOURCES, TRANSFERRED, UNTAUGHT, Evaluated, evaluated, most_of
from hero_engine.run.text import plain
from hero_tui.enginecommand import run_engine_command
from hero_tui.headless.judging import (
    Judge,
    file_judge,
    function_judge,
    oracle_judge,
    record_verdicts,
)
from hero_tui.output import message, table
from hero_tui.preview.terminal import Images
from hero_tui.verdictview import HEADER, rows_and_words

FOR_A_PERSON = 64
"""Pictures of each source that a person judges, unless more or fewer are asked for."""


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line."""

    round: int | None = None
    images: int | None = None
    oracle: bool = False
    labeler: str | None = None
    labels: Path | None = None
    scorers: Sequence[str] = ()
    pairs: bool = False
    transfer: bool = False
    again: bool = False
    shown_as: Images | None = None

    @property
    def by_a_person(self) -> bool:
        return not (self.oracle or self.labeler or self.labels or self.scorers)

    def command(self, run: str, *, again: bool = False) -> str:
        """How a person asks for the same in a terminal."""
        words = [f"hero-tui evaluate {run}"]
        words += [] if self.round is None else [f"--round {self.round}"]
        words += [] if self.images is None else [f"-n {self.images}"]
        flags = {"--pairs": self.pairs, "--transfer": self.transfer, "--again": again}
        return " ".join([*words, *(flag for flag, given in flags.items() if given)])

    @property
    def kind(self) -> Kind:
        if self.transfer:
            return "transfer-pairs" if self.pairs else "transfer"
        return "pairs" if self.pairs else "pictures"


def evaluate(folders: Sequence[RunFolder], asked: Asked, terminal: bool) -> int:
    """Draws, judges, records and prints; the exit code.

    Args:
        terminal: whether a person can be asked there.

    Raises:
        InputError: what was asked for cannot be done, said before a picture is drawn.
        EngineError: the engine was killed.
    """
    plans = [_plan(folder, asked) for folder in folders]
    for what, judge in plans:
        kinds = (asked.kind,) if judge is None else judge.kinds
        sources = tuple(dict.fromkeys(each for kind in kinds for each in SOURCES_OF[kind]))
        if asked.scorers:
            sources = (*SOURCES, *TRANSFERRED) if what.task.transfer_prompts else SOURCES
        code = draw(what, sources, asked.scorers)
        if code != 0:
            return code
        if judge is not None:
            record_verdicts(judge, what)
        elif asked.by_a_person and not asked.again and _is_judged(what, asked.kind):
            again = asked.command(what.folder.reference, again=True)
            message(
                f"{what.folder.name}: you have judged these pictures; judge them anew with "
                f"`{again}`."
            )
        elif asked.by_a_person and terminal:
            from hero_tui.start import judge as by_person

            code = by_person(what, asked.kind, asked.shown_as)
            if code != 0:
                return code
        elif asked.by_a_person:
            _how_to_answer(what, asked)
    for number, (what, _) in enumerate(plans):
        print("\n" * (number > 0), end="")
        _print(what)
    return 0


def _print(what: Evaluated) -> None:
    rows, words = rows_and_words(what)
    if not rows:
        return
    which = "never taught" if what.round == UNTAUGHT else f"after training round {what.round}"
    print(plain(f"{what.folder.name}, {which}"))
    table(HEADER, rows)
    print("In brackets, 95 % intervals (Wilson); of a score, its standard error.")
    for line in words:
        print(plain(line))


def _plan(folder: RunFolder, asked: Asked) -> tuple[Evaluated, Judge | None]:
    """What a run is evaluated by, and by whom; None: a person, or only scorers."""
    task = folder.task()
    if asked.labels is not None:
        judge, what = file_judge(asked.labels, folder)
        if asked.round not in (None, what.round) or asked.images not in (None, what.count):
            raise InputError(
                f"{asked.labels}: evaluation: it is about round {what.round} and {what.count} "
                "images; leave out --round and --images"
            )
        return what, judge
    count = asked.images
    if count is None and asked.by_a_person:
        count = min(FOR_A_PERSON, most_of(task))
    what = evaluated(folder, asked.round, count)
    if asked.by_a_person and not order(what, asked.kind):
        raise InputError(f"--transfer: the task {task.name} has no transfer_prompts")
    if asked.oracle:
        return what, oracle_judge(task)
    return what, function_judge(asked.labeler, task) if asked.labeler else None


def _is_judged(what: Evaluated, kind: Kind) -> bool:
    """Whether a person has, and has not begun to do so again."""
    with closing(what.folder.open_record()) as record:
        closed = [
            each.closed is not None
            for each in record.evaluations.all()
            if (each.round, each.kind, each.judge, each.images)
            == (what.round, kind, PERSON, what.count)
        ]
    return bool(closed) and all(closed)


def draw(what: Evaluated, sources: Sequence[Source], scorers: Sequence[str]) -> int:
    """Has the engine draw and measure what is not there yet; its exit code."""
    if not (what.missing(sources) or _unmeasured(what, sources, scorers)):
        return 0
    request = EvaluationRequest(
        round=None if what.round == UNTAUGHT else what.round,
        images=what.count,
        sources=tuple(sources),
        scorers=tuple(scorers),
    )
    return run_engine_command("evaluate", str(what.folder.path), request.model_dump_json())


def _unmeasured(what: Evaluated, sources: Sequence[Source], scorers: Sequence[str]) -> bool:
    with closing(what.folder.open_record()) as record:
        measured = record.evaluations.measured(what.round, what.count)
        scores = record.evaluations.scores(what.round)
    return not measured.keys() >= set(sources) & set(SOURCES) or any(
        not scores.get((name, source), {}).keys() >= set(what.numbers(source))
        for name in scorers
        for source in sources
    )


def _how_to_answer(what: Evaluated, asked: Asked) -> None:
    """For who has no terminal here: the pictures in their order, and what answers."""
    run, kind = what.folder.reference, asked.kind
    shown = order(what, kind)
    said = (
        f"{what.folder.name}: there is no terminal to judge in. Judge blind in one with "
        f"`{asked.command(run, again=asked.again)}`"
    )
    if not is_pairs(kind):
        path = what.folder.path / "evaluations" / what.place / f"{kind}-{what.count}.png"
        sheet = contact_sheet({n: what.path(*each) for n, each in enumerate(shown)})
        write_complete(path, lambda temporary: sheet.save(temporary, format="PNG"))
        said += (
            f", or look at {path}, whose numbers a label file can answer (docs/label-file.md): "
            f"`hero-tui evaluate {run} --labels FILE`"
        )
    message(f"{said}. Others judge with --oracle, --labeler module:function or --scorer NAME.")
