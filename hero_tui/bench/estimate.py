"""How long cells take: counted in passes through the network, priced by the cells that are done.

A pass is one picture at one denoising step. Training one costs about three: forward, and backward
twice as much.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing

from hero_engine.run.folder import RunFolder
from hero_engine.run.task import Task
from hero_tui.bench.cell import Cell

PASS_SECONDS = 0.006
"""Of the embedded model on one thread of a Xeon, before any cell is done."""
START = 1500.0
"""Passes that starting an engine, loading its model and writing its files are worth."""
TRAINING = 3
EVALUATED = 3
"""Of `evaluation.images`: from the pool, from fresh noise, and the base model's."""
ROUND_MB = 30
"""Of disk, what a round of 64 of the embedded model leaves: pictures, a rollout, a checkpoint."""


def sampling(task: Task) -> float:
    """Passes of drawing one picture."""
    return task.sampling.steps * (1 if task.sampling.guidance_scale == 1 else 2)


def training(task: Task) -> float:
    """Passes of training one round."""
    update, pictures = task.update, task.feedback.batch_size
    steps = task.sampling.steps if update.steps == "all" else update.k
    guided = 2 if update.guidance else 1
    if update.objective == "none":
        return 0.0
    if update.objective == "nft":
        # Before it, the old policy's prediction; and the base model's, where that holds.
        before = 1 + (update.kl_weight > 0)
        return update.optimizer_steps * update.batch_size * (TRAINING + before) * guided
    if update.objective == "supervised":
        return 0.0  # once, after the last round
    reference = 1 if update.objective == "d3po" else 0
    return pictures * steps * (TRAINING + reference) * guided


def once(task: Task) -> float:
    """Passes of a run that are no round's: its start, what it learns at the end, its evaluation."""
    update = task.update
    passes = START + EVALUATED * task.evaluation.images * sampling(task)
    if update.objective == "supervised" and task.feedback.rounds:
        passes += update.prior_images * sampling(task)
        passes += update.optimizer_steps * update.batch_size * TRAINING * 2
    return passes


def a_round(task: Task) -> float:
    """Passes of one round."""
    return task.feedback.batch_size * sampling(task) + training(task)


def passes(task: Task) -> float:
    """Passes of a whole run."""
    return task.feedback.rounds * a_round(task) + once(task)


def left_of(cell: Cell, cells: Sequence[Cell]) -> float:
    """Passes of a cell's run that are not another's, too, of which it is the first rounds."""
    shared = any(cell.is_beginning_of(other) for other in cells)
    return once(cell.task) if shared else passes(cell.task)


def done_of(folder: RunFolder, task: Task) -> float:
    """Passes of a run that are behind it, by its record."""
    if not folder.record_file.exists():
        return 0.0
    with closing(folder.open_record()) as record:
        if record.state()[0] == "finished":
            return passes(task)
        rounds = record.rounds()
        trained = sum(r.trained is not None for r in rounds)
        now = record.progress()
        measured = len(record.figures())
    done = trained * a_round(task)
    share = min(1.0, now.done / now.total) if now.total else 0.0
    if rounds and rounds[-1].trained is None:
        drawn = task.feedback.batch_size * sampling(task)
        done += drawn + share * training(task) if rounds[-1].sampled else share * drawn
    elif trained == task.feedback.rounds:
        done += (
            (measured + share * (measured < EVALUATED)) * task.evaluation.images * sampling(task)
        )
    return min(done, passes(task))


def pass_seconds(done: Iterable[tuple[Task, float | None]]) -> float:
    """What a pass takes here, from (task, seconds) of finished cells; else `PASS_SECONDS`."""
    known = [(passes(task), seconds) for task, seconds in done if seconds]
    if not known:
        return PASS_SECONDS
    return sum(seconds for _, seconds in known) / sum(each for each, _ in known)


def megabytes(task: Task) -> float:
    """Of disk that a run of the embedded model takes, about."""
    return task.feedback.rounds * ROUND_MB * task.feedback.batch_size / 64


def clock(seconds: float) -> str:
    """As h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
