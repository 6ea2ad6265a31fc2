"""`finish` at every moment of a run: it ends the run, whatever the engine is doing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hero_engine.cartoons import oracle, verdict
from hero_engine.engine import loop
from hero_engine.engine.interrupts import Stop
from hero_engine.results import evaluation, export
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_engine.run.record import Record
from hero_engine.run.task import Task
from tests.engine_runs import final_hashes, new_run, run_here

SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2)]

MOMENTS = [
    "loading",
    "sampling",
    "remeasuring",
    "waiting for labels",
    "training the embedding",
    "training the LoRA",
    "trained",
    "evaluating from pi_HERO",
    "evaluating from fresh noise",
    "evaluating the base model",
    "exporting",
]

Told = Callable[[str], None]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Told], None]:
    """Has a function told of every moment of the engine as it comes."""

    def watch(tell: Told) -> None:
        def before(owner: Any, name: str, moment: Callable[..., str]) -> None:
            original = getattr(owner, name)

            def instead(*args: Any, **kwargs: Any) -> Any:
                tell(moment(*args))
                return original(*args, **kwargs)

            monkeypatch.setattr(owner, name, instead)

        before(Record, "set_progress", lambda record, phase, done, total: phase)
        before(loop, "remeasure_log_probs", lambda *args: "remeasuring")
        before(export, "export", lambda *args: "exporting")
        trained = Record.finish_training

        def finish_training(*args: Any) -> None:
            trained(*args)
            tell("trained")

        monkeypatch.setattr(Record, "finish_training", finish_training)

    return watch


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The final evaluation, which only an oracle of cartoons can make, is made of any pictures."""
    monkeypatch.setattr(evaluation, "is_evaluated", lambda task: True)
    monkeypatch.setattr(oracle, "judge", lambda name, picture: verdict.good(1))


@pytest.fixture
def folder(tiny_task: Callable[..., Task], tmp_path: Path, judged: None) -> RunFolder:
    task = tiny_task(
        feedback={"rounds": 2},
        evaluation={"images": 2},
        sampling={"steps": 4},
        embedding={"steps": 2},
        update={"guidance": False, "k": 1},
    )
    return new_run(tmp_path, task)


@pytest.mark.parametrize("moment", MOMENTS)
def test_finish_at_any_moment_of_the_last_round_ends_the_run(
    folder: RunFolder, watched: Callable[[Told], None], moment: str
) -> None:
    def tell(now: str) -> None:
        last = folder.task().feedback.rounds - 1
        if now == moment and (now == "loading" or folder.open_record().rounds()[-1].number == last):
            folder.open_record().send("finish")

    watched(tell)
    record = run_here(folder, SCRIPT)
    assert record.state() == ("finished", "")
    assert set(record.figures()) == {"pi", "fresh", "base"}
    assert folder.exports.is_dir() == any(r.trained for r in record.rounds())
    assert all(r.trained for r in record.rounds() if r.submitted), "labels were given for nothing"


@pytest.mark.parametrize("moment", MOMENTS)
def test_finish_survives_that_the_engine_is_ended_just_then(
    folder: RunFolder, watched: Callable[[Told], None], moment: str
) -> None:
    """The next engine, which nobody gives labels, finishes the run, and begins no round for it."""
    told: list[str] = []

    def tell(now: str) -> None:
        if now == moment and now not in told:
            told.append(now)
            folder.open_record().send("finish")
            raise Stop

    watched(tell)
    with pytest.raises(Stop):
        run_here(folder, SCRIPT)
    begun = folder.open_record().rounds()
    record = run_here(folder, [])
    assert record.state() == ("finished", "")
    assert len(record.rounds()) == len(begun)
    assert all(r.trained for r in record.rounds() if r.submitted), "labels were given for nothing"


def test_finish_of_a_run_that_no_engine_works_on(folder: RunFolder) -> None:
    folder.open_record().send("finish")
    assert run_here(folder, []).state() == ("finished", "")
    assert not folder.exports.exists()


def test_finish_of_a_finished_run_changes_nothing(folder: RunFolder) -> None:
    run_here(folder, SCRIPT)
    before = final_hashes(folder)
    folder.open_record().send("finish")
    assert run_here(folder, []).state() == ("finished", "")
    assert final_hashes(folder) == before
