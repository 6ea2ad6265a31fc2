"""A round's pictures: their noise, their trajectories, and these as training will need them."""

import logging
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from hero_engine.engine.background import in_background
from hero_engine.engine.context import Run, check
from hero_engine.engine.likeness import guesses
from hero_engine.method import ddpo
from hero_engine.method.pool import norm_ratio
from hero_engine.method.rollout import Rollout
from hero_engine.method.state import TrainingState
from hero_engine.model import seeds
from hero_engine.run import collapse
from hero_engine.run.folder import write_complete
from hero_engine.run.pictures import save_picture
from hero_engine.run.record import Record

log = logging.getLogger(__name__)


def fresh_noise(run: Run, learned: TrainingState, round_number: int) -> Tensor:
    """Standard normal draws for a round, [batch_size, C, H, W]."""
    images = range(run.task.feedback.batch_size)
    return seeds.normal(run.task.seed, "z_T", round_number, images, learned.model.latent_shape)


def collect(run: Run, learned: TrainingState, z_T: Tensor, round_number: int) -> Rollout:
    """The round's pictures and trajectories, sampled now or before an interruption.

    A picture enters the record when its file is complete; the round, when its rollout is.
    """
    folder, record = run.folder, run.record
    if _is_sampled(record, round_number):
        record.set_state("labeling")
        return Rollout.load(folder.rollout(round_number))
    started = time.monotonic()
    saved = 0
    record.begin_round(round_number, len(z_T))
    record.set_progress("sampling", 0, len(z_T))

    def save(images: Sequence[int], drawn: np.ndarray, scores: list[float] | None) -> None:
        for image, picture in zip(images, drawn, strict=True):
            save_picture(folder.image(round_number, image), picture)
        record.add_images(round_number, images, scores)
        nonlocal saved
        saved += len(images)
        record.set_progress("sampling" + learned.model.sizes.remark("chunk"), saved, len(z_T))

    def wait() -> None:
        run.interrupts.check()
        run.interrupts.wait(0.02)

    with in_background() as hand_over:

        def keep(images: Sequence[int], z_0: Tensor, decoded: Tensor) -> None:
            scores = guesses(learned, run.task, z_0)
            hand_over(partial(save, images, decoded.numpy(), scores))
            run.interrupts.check()

        rollout = run.team.sample(learned.model, run.task, z_T, round_number, keep, folder, wait)
        write_complete(folder.rollout(round_number), rollout.save)
    metrics = {
        "noise_norm": norm_ratio(z_T),
        "sample_s": time.monotonic() - started,
        collapse.FROM_POOL: run.task.fresh_images.start
        if learned.pool is not None and run.task.has_pool
        else 0,
    }
    record.finish_sampling(round_number, metrics)
    log.info("round %d: sampled %d pictures in %.1f s", round_number, len(z_T), metrics["sample_s"])
    return rollout


def _is_sampled(record: Record, round_number: int) -> bool:
    return any(r.number == round_number and r.sampled is not None for r in record.rounds())


def remeasure_log_probs(
    run: Run,
    learned: TrainingState,
    rollout: Rollout,
    round_number: int,
    images: Tensor | None = None,
) -> Rollout:
    """The rollout as training will need it: what can be done while the person labels.

    Also when the labels are there already, so that a run that goes on has the same bits.

    Args:
        images: the pictures that are learned from, int64 [M], when the labels are there; None: all.

    Raises:
        Stop, Finish: see `check`.
    """
    if run.task.update.objective != "ddpo":
        return rollout
    if run.team.size > 1 or not ddpo.needs_remeasuring(learned.model, run.task):
        # Each process measures its share of the transitions when it trains.
        return rollout
    if learned.model.device.type == "cpu" and run.task.update.guidance:
        # A picture's arithmetic does not depend on its neighbours there: the old ones mostly hold.
        return rollout
    return ddpo.remeasured(
        learned.model, rollout, run.task, round_number, images, partial(check, run, round_number)
    )
