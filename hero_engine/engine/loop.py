"""Algorithm 1: rounds of sampling, labels and learning, until the feedback budget is used.

Labels come through the record, whoever gives them. Every round ends in a checkpoint, and a run
that was interrupted anywhere goes on from the latest one.
"""

import logging
from functools import partial

from hero_engine.engine import fitting
from hero_engine.engine.background import in_background
from hero_engine.engine.context import Run, check
from hero_engine.engine.examples import learn_before_the_end
from hero_engine.engine.interrupts import Finish
from hero_engine.engine.learning import learn
from hero_engine.engine.measuring import measure
from hero_engine.engine.sampling import collect, fresh_noise, remeasure_log_probs
from hero_engine.engine.start import learn_from_start
from hero_engine.engine.waiting import labels_of
from hero_engine.errors import InputError
from hero_engine.method import state
from hero_engine.method.objectives import objective_of
from hero_engine.method.pool import round_noise
from hero_engine.method.state import TrainingState
from hero_engine.model import diffusion
from hero_engine.model.memory import Size
from hero_engine.model.samplers import check_steps
from hero_engine.results import evaluation, export
from hero_engine.run.functions import load_function
from hero_engine.run.methods import NO_UPDATE, PICKSCORE
from hero_engine.run.record import START

log = logging.getLogger(__name__)


def run_to_the_end(run: Run) -> None:
    """Samples, waits for labels and learns until the budget is used or the person is satisfied.

    Raises:
        Stop: a stop was asked for; the run can be continued.
        HeroError: why the engine cannot go on.
    """
    task = run.task
    learned = prepare(run)
    first_round = resume(run, learned)
    learn_from_start(run, learned)
    try:
        for round_number in range(first_round, task.feedback.rounds):
            check(run, round_number)
            z_T = round_noise(learned.pool, fresh_noise(run, learned, round_number), task)
            rollout = collect(run, learned, z_T, round_number)
            with in_background() as hand_over:
                hand_over(partial(measure, run, rollout, round_number))
                rollout = remeasure_log_probs(run, learned, rollout, round_number)
                labels = labels_of(run, learned, round_number)
            learn(run, learned, rollout, labels, round_number)
    except Finish:
        log.info("asked to finish")
        learn_before_the_end(run, learned)
    evaluation.evaluate(run.folder, run.record, task, learned, run.interrupts.check_stop)
    if any(r.trained for r in run.record.rounds()):
        export.export(run.folder, run.folder.exports)
    run.team.dismiss(learned.model)
    run.record.set_state("finished")


def prepare(run: Run) -> TrainingState:
    """The model, with nothing learned yet, on this machine.

    Raises:
        HeroError: it cannot be had, or what is the user's own is wrong: said before any work.
    """
    task = run.task
    run.record.set_progress("loading", 0, 1)
    with run.interrupts.at_once():
        model = diffusion.load(task, run.options.is_small)
    if not run.record.rounds():
        # A run that has begun goes on as it was.
        check_steps(model.pipeline.scheduler, task.sampling.steps)
    if task.update.objective != NO_UPDATE:
        objective_of(task)
    if task.reward.function is not None:
        load_function(task.reward.function, "reward.function")
    if task.reward.function == PICKSCORE:
        check_pickscore()
    learned = state.initial_state(model, task)
    fit_to_machine(run, learned)
    return learned


def check_pickscore() -> None:
    """Loads it before a round is drawn for it.

    Raises:
        InputError: its weights are not on this machine.
    """
    from hero_engine.results import scorers  # with transformers' models, for who needs them

    try:
        scorers.pickscore([], [])
    except scorers.Unavailable as error:
        raise InputError(f"reward.function {PICKSCORE}: {error}") from None


def fit_to_machine(run: Run, learned: TrainingState) -> None:
    """Makes the model work as this engine's options say; a shortage of memory shows in the record.

    Raises:
        EngineError: there is not enough memory to try one transition.
    """
    model = learned.model

    def show(which: Size) -> None:
        now = run.record.progress()
        phase = now.phase.partition(",")[0] + model.sizes.remark(which)
        run.record.set_progress(phase, now.done, now.total)

    model.sizes.on_halved = show
    fitting.apply_options(model, run.task, run.options, state.bytes_held(learned))


def resume(run: Run, learned: TrainingState) -> int:
    """Loads the latest checkpoint, if there is one, and returns the round to do next."""
    trained = [r.number for r in run.record.rounds() if r.trained is not None]
    start = run.record.start()
    if not trained and start is not None and start.learned is not None:
        state.load(learned, run.folder, START)
    if not trained:
        return 0
    went_back = run.record.went_back()
    rolled_back = went_back is not None and went_back[0] == trained[-1]
    state.load(learned, run.folder, trained[-1], rolled_back)
    if learned.begun_anew:
        log.info("%s", learned.begun_anew)
    return trained[-1] + 1
