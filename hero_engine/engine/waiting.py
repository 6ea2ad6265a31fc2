"""A round's labels, waited for; who waits may ask for pictures on the side."""

from hero_engine.engine import tryout
from hero_engine.engine.context import Run, check, is_submitted
from hero_engine.engine.idle import IdleOffload
from hero_engine.engine.interrupts import Finish
from hero_engine.method.state import TrainingState
from hero_engine.run.labels import Labels


def labels_of(run: Run, learned: TrainingState, round_number: int) -> Labels:
    """The round's labels, when they are there; where a function rewards, there are none to come.

    Raises:
        Stop, Finish: see `check`.
    """
    if run.task.asks_for_labels:
        return wait_for_labels(run, learned, round_number)
    check(run, round_number)
    nobody = Labels(unsure=frozenset(range(run.task.feedback.batch_size)))
    if not is_submitted(run.record, round_number):
        run.record.submit(round_number, nobody)
    return nobody


def wait_for_labels(run: Run, learned: TrainingState, round_number: int) -> Labels:
    """Waits until the round is submitted, drawing what is asked for on the side.

    Raises:
        Stop, Finish: see `check`.
    """
    run.record.set_progress("waiting for labels", 0, 0)
    idle = IdleOffload(learned, run.options.idle_offload)
    seen = None
    try:
        while True:
            check(run, round_number)
            changes = run.record.changes()
            if changes != seen:
                seen = changes
                idle.news()
                if any(not each.finished for each in run.record.tries()):
                    idle.come_back()
                    tryout.answer(
                        run.folder, run.record, run.task, learned.model, learned.pool, round_number
                    )
                if is_submitted(run.record, round_number):
                    idle.come_back()
                    return run.record.labels(round_number)
            idle.tick()
            run.interrupts.wait(0.02)
    except Finish:
        idle.come_back()
        raise
