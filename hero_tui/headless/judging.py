"""Who judges an evaluation without a terminal: the oracle, one's own function, or a label file."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.run import answers, verdict
from hero_engine.run.blind import order
from hero_engine.run.folder import RunFolder
from hero_engine.run.judges import judges_transfer
from hero_engine.run.record.evaluations import Kind, Picture, Verdict
from hero_engine.run.sources import Evaluated, prompts_of
from hero_engine.run.task import Task
from hero_tui.headless.labelers import Labeler, RoundView, from_function, from_oracle

Verdicts = dict[Picture, Verdict]


@dataclass(frozen=True)
class Judge:
    """Judges the pictures of a run, of these kinds."""

    name: str
    kinds: Sequence[Kind]
    judge: Callable[[Evaluated], dict[Kind, Verdicts]]


def oracle_judge(task: Task) -> Judge:
    """The task's oracle.

    Raises:
        InputError: the task has none, or its model's pictures are not the oracle's.
    """
    label = from_oracle(task)
    kinds = _kinds(judges_transfer(task))
    return Judge("oracle", kinds, lambda what: _labelled(what, label, kinds))


def function_judge(name: str, task: Task) -> Judge:
    """The function `module:function`, called as for a run; the transfer prompts one by one.

    Raises:
        InputError: there is no such function; judging raises it when it fails.
    """
    label = from_function(name)
    kinds = _kinds(bool(task.transfer_prompts))
    return Judge(name, kinds, lambda what: _labelled(what, label, kinds))


def file_judge(path: Path, folder: RunFolder) -> tuple[Judge, Evaluated]:
    """A label file for this run, and what it is about (raises what `answers.load` does)."""
    what, kind, verdicts = answers.load(path, folder)
    return Judge(f"labels {path.name}", (kind,), lambda what: {kind: verdicts}), what


def record_verdicts(judge: Judge, what: Evaluated) -> None:
    """Judges what is drawn, and records it.

    Raises:
        InputError: the judge fails.
    """
    with closing(what.folder.open_record()) as record:
        for kind, verdicts in judge.judge(what).items():
            with record.one_write():
                begun = record.evaluations.begin(what.round, kind, judge.name, what.count)
                record.evaluations.say(begun.number, verdicts)
                verdict.close(record, what, begun)


def _kinds(transfer: bool) -> Sequence[Kind]:
    return ("pictures", "transfer") if transfer else ("pictures",)


def _labelled(what: Evaluated, label: Labeler, kinds: Sequence[Kind]) -> dict[Kind, Verdicts]:
    found: dict[Kind, Verdicts] = {}
    for kind in kinds:
        pictures = order(what, kind)
        by_prompt: dict[tuple[str, ...], list[Picture]] = {}
        for source, image in pictures:
            prompts = prompts_of(what.task, source) if kind == "pictures" else ()
            of = prompts or (what.prompt(source, image),)
            by_prompt.setdefault(of, []).append((source, image))
        found[kind] = {}
        for prompts, of_these in by_prompt.items():
            task = what.task.model_copy(update={"prompts": prompts})
            paths = [what.path(source, image) for source, image in of_these]
            labels = label(RoundView(what.round, paths, task, None, wants_best=False))
            if labels is None:
                raise InputError("the labeler has no labels for the evaluation's pictures")
            found[kind] |= {each: labels.label(n) for n, each in enumerate(of_these)}
    return found
