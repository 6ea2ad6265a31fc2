"""Over-training is seen while success still looks perfect, and not where there is more to gain.

The curves are of runs that are in benchmarks/results, or in docs/method.md.
"""

from collections.abc import Callable, Sequence

import pytest

from hero_engine.method.drift import base_drift
from hero_engine.model import diffusion
from hero_engine.run.collapse import RoundFigures
from hero_engine.run.overtraining import OverTraining, find_overtraining, ways_out
from hero_engine.run.task import Task


def rounds_of(good: Sequence[int], diversity: Sequence[float]) -> list[RoundFigures]:
    """Of 64 pictures; `diversity`: of the good ones."""
    pairs = zip(good, diversity, strict=True)
    return [RoundFigures(n, 64, g, None, good_diversity=d) for n, (g, d) in enumerate(pairs)]


def first_warning(rounds: Sequence[RoundFigures]) -> OverTraining | None:
    found = (find_overtraining(rounds[: last + 1]) for last in range(len(rounds)))
    return next((each for each in found if each is not None), None)


def test_it_is_told_a_round_before_success_falls() -> None:
    """`hero-tui bench over-training`, the black cat at four times the learning rate."""
    good = [22, 56, 63, 61, 64, 35, 2]
    diversity = [0.174, 0.138, 0.092, 0.125, 0.062, 0.058, 0.03]
    found = first_warning(rounds_of(good, diversity))
    assert found is not None
    assert found.round == 4
    assert found.back_to == 1
    assert "61 of 64 and 64 of 64 pictures of the last two rounds are good" in found.words
    assert "the good ones become alike (diversity 0.062, in round 0 it was 0.17)" in found.words


def test_the_narrowing_of_a_pool_is_told_while_nearly_all_is_good() -> None:
    """hero+ on the narcissus, on a processor: the final model draws 73 of 100 from the pool.

    The diversity is of all of a round's pictures, of which nearly all are good.
    """
    good, diversity = [22, 40, 60, 60, 63, 58], [0.181, 0.179, 0.141, 0.116, 0.084, 0.052]
    found = first_warning(rounds_of(good, diversity))
    assert found is not None
    assert (found.round, found.back_to) == (3, 1)


def test_a_run_that_still_gains_is_not_warned_of() -> None:
    """hero on the narcissus: each round gains, and pictures stay varied."""
    good = [22, 20, 26, 40, 42, 53, 54, 61]
    diversity = [0.182, 0.18, 0.178, 0.175, 0.17, 0.17, 0.168, 0.166]
    assert first_warning(rounds_of(good, diversity)) is None


def test_pictures_that_become_alike_before_they_are_good_are_no_over_training() -> None:
    assert first_warning(rounds_of([20, 30, 40, 44], [0.2, 0.12, 0.1, 0.1])) is None


def test_fresh_noise_is_held_against_its_own_best() -> None:
    def round_of(number: int, fresh_good: int) -> RoundFigures:
        return RoundFigures(number, 64, 63, 0.2, None, 16, fresh_good)

    falling = [round_of(n, good) for n, good in enumerate([8, 14, 16, 9, 7])]
    found = first_warning(falling)
    assert found is not None
    assert found.round == 4
    assert "from fresh noise fewer are (16 of 32; in rounds 1 and 2 it was 30 of 32)" in found.words
    assert first_warning([round_of(n, good) for n, good in enumerate([8, 14, 16, 14, 13])]) is None


def test_rounds_without_labels_or_measures_say_nothing() -> None:
    unlabelled = RoundFigures(5, 64, None, 0.05)
    assert find_overtraining([]) is None
    assert find_overtraining([unlabelled]) is None
    rounds = [RoundFigures(n, 64, 64, None) for n in range(4)]
    assert find_overtraining([*rounds, unlabelled]) is None


def test_both_ways_out_are_commands(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(update={"learning_rate": 3e-4}, feedback={"rounds": 5})
    said = ways_out(OverTraining(4, "", 2), 3, task, "runs/cat")
    assert "hero-tui rollback runs/cat --round 2;" in said
    assert said.endswith("hero-tui rollback runs/cat --round 3 --set update.learning_rate=0.00015")
    at_the_end = ways_out(OverTraining(4, "", 2), 4, task, "runs/cat")
    assert at_the_end.endswith("hero-tui rollback runs/cat --round 2")


@pytest.mark.parametrize("micro_batch", [1, 40])
def test_drift_is_how_far_predictions_are_from_the_base_models(
    micro_batch: int, tiny_task: Callable[..., Task]
) -> None:
    task = tiny_task(update={"micro_batch_size": micro_batch})
    model = diffusion.load(task)
    assert base_drift(model, task) == 0
    for name, parameter in model.lora().items():
        if "lora_B" in name:
            parameter.data.fill_(0.1)
    near = base_drift(model, task)
    for name, parameter in model.lora().items():
        if "lora_B" in name:
            parameter.data.fill_(0.3)
    assert 0 < near < base_drift(model, task)
