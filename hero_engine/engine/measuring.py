"""What is measured of a round's pictures beside the loop, and a collapse that it shows."""

import logging
from collections.abc import Callable, Set

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hero_engine.engine.context import Run
from hero_engine.method.batch import Batch
from hero_engine.method.rollout import Rollout, prompts_of
from hero_engine.results.measures import MEASURES
from hero_engine.run import collapse
from hero_engine.run.diversity import good_diversity_of
from hero_engine.run.labels import Labels
from hero_engine.run.pictures import read_picture

log = logging.getLogger(__name__)


def measure(run: Run, rollout: Rollout, round_number: int) -> None:
    """Records the figures about a round's pictures, if they are not there yet.

    They take seconds for large pictures, which somebody who labels need not wait for; from the
    files, so that they are the same after an interruption.
    """
    if not MEASURES.keys() <= run.record.metrics(round_number).keys():
        batch = Batch(*batch_of(run, rollout, round_number, torch.arange(len(rollout.z_0))))
        try:
            found = {name: of(batch) for name, of in MEASURES.items()}
        except (OSError, ValueError) as error:
            # A picture was removed or damaged: nothing is learned from it, only its latent counts.
            log.warning("round %d: its pictures cannot be measured: %s", round_number, error)
            return
        run.record.add_metrics(round_number, 0, found)
    tell_of_collapse(run)


def measure_good(run: Run, labels: Labels, round_number: int) -> None:
    """Records the diversity of the round's good pictures, and of those from fresh noise alone, if
    others started from the pool.
    """

    def of(images: Set[int]) -> dict[str, float]:
        paths = (run.folder.image(round_number, image) for image in sorted(images))
        return good_diversity_of(paths)

    found = of(labels.good)
    measured = {name: curve[0][1] for name, curve in run.record.metrics(round_number).items()}
    count = run.task.feedback.batch_size
    fresh = of(labels.good & collapse.fresh_images(round_number, count, measured, run.task))
    found |= {f"fresh_{name}": value for name, value in fresh.items()}
    run.record.add_metrics(round_number, 0, found)


def tell_of_collapse(run: Run) -> None:
    """Says in the record and the log if what is known of the latest round shows a collapse."""
    found = collapse.find_collapse(collapse.figures(run.record, run.task))
    latest = run.record.rounds()[-1]
    if found is not None and found.words != latest.collapse:
        run.record.set_collapse(latest.number, found.words, found.back_to)
        todo = collapse.way_back(found.back_to, str(run.folder.path))
        log.warning("round %d: %s %s", latest.number, found.words, todo)


def batch_of(
    run: Run, rollout: Rollout, round_number: int, images: Tensor
) -> tuple[Tensor, list[str], Callable[[], NDArray[np.uint8]]]:
    """Clean latents, prompts and what reads the pictures, of those of the round whose numbers are
    `images`: a `Batch`'s first fields.
    """
    prompts = [run.task.prompts[prompt] for prompt in prompts_of(images, run.task).tolist()]
    paths = [run.folder.image(round_number, image) for image in images.tolist()]
    return rollout.z_0[images], prompts, lambda: np.stack([read_picture(path) for path in paths])
