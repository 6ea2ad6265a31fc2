"""A collapse is called one the round it happens; a healthy run never is, however few its pictures.

What was measured is in docs/method.md, "When a run collapses".
"""

import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from hero_engine.run.collapse import Collapse, RoundFigures, find_collapse

METHOD = Path(__file__).parents[1] / "docs" / "method.md"
SUCCESS_OF_A_RUN = re.compile(r"^\| [\w-]+ \| \d \| ((?:\d\.\d\d ?){8})\|", re.MULTILINE)

# Seed 0 of the black cat with update.guidance=false and no floor under the deviation.
COLLAPSED_SUCCESS = (0.34, 0.56, 0.97, 1.00, 1.00, 1.00, 0.95, 0.00)
COLLAPSED_DIVERSITY = (0.22, 0.20, 0.17, 0.12, 0.09, 0.07, 0.05, 0.03)


def rounds_of(
    success: Sequence[float], diversity: Sequence[float] = (), images: int = 64
) -> list[RoundFigures]:
    return [
        RoundFigures(
            round=number,
            images=images,
            good=round(share * images),
            diversity=diversity[number] if diversity else None,
        )
        for number, share in enumerate(success)
    ]


def verdicts(rounds: Sequence[RoundFigures]) -> list[Collapse | None]:
    """What each round was said to be when it was the latest."""
    return [find_collapse(rounds[: last + 1]) for last in range(len(rounds))]


def test_success_that_is_lost_is_a_collapse_in_that_round() -> None:
    found = verdicts(rounds_of(COLLAPSED_SUCCESS))
    assert found[:7] == [None] * 7
    assert found[7] is not None
    assert "0 of 64 pictures are good, in round 3 it was 64 of 64" in found[7].words
    assert found[7].back_to == 5, "its model drew round 6, the last with good pictures"


def test_diversity_tells_of_it_before_success_is_lost() -> None:
    found = verdicts(rounds_of(COLLAPSED_SUCCESS, COLLAPSED_DIVERSITY))
    assert found[:5] == [None] * 5
    assert found[5] is not None, "two rounds before"
    assert "diversity 0.07, in round 0 it was 0.22" in found[5].words
    assert [each.back_to for each in found[5:] if each] == [2, 2, 2], (
        "its model drew round 3, still half as diverse as round 0"
    )


def test_diversity_is_told_as_soon_as_the_pictures_are_there() -> None:
    *before, now = rounds_of(COLLAPSED_SUCCESS, COLLAPSED_DIVERSITY)[:7]
    unlabelled = RoundFigures(now.round, now.images, None, now.diversity)
    assert find_collapse([*before, unlabelled]) is not None


def test_pictures_that_wash_out_or_glare_are_told_of() -> None:
    usual = RoundFigures(0, 8, 3, 0.2, contrast=0.9)
    for contrast, word in ((0.4, "washed out"), (1.9, "glaring")):
        found = find_collapse([usual, RoundFigures(1, 8, None, 0.2, contrast)])
        assert found is not None
        assert word in found.words
        assert found.back_to is None, "even the first round's training was too much"


@pytest.mark.parametrize(
    "diversity",
    [
        # The same task with the floor; and with noise.s=0.1 and a model that learns nothing.
        (0.218, 0.208, 0.181, 0.136, 0.139, 0.132, 0.136, 0.131),
        (0.215, 0.196, 0.193, 0.184, 0.174, 0.183, 0.194, 0.183),
    ],
)
def test_what_the_noise_pool_alone_narrows_is_none(diversity: tuple[float, ...]) -> None:
    assert not any(verdicts(rounds_of([0.5] * 8, diversity)))


def healthy_runs() -> list[tuple[float, ...]]:
    table = SUCCESS_OF_A_RUN.findall(METHOD.read_text("utf-8"))
    return [tuple(map(float, row.split())) for row in table]


def test_the_measured_runs_are_healthy() -> None:
    runs = healthy_runs()
    assert len(runs) >= 12
    for success in runs:
        assert verdicts(rounds_of(success)) == [None] * 8


@pytest.mark.parametrize("images", [8, 16, 32, 64])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.35, 0.5, 0.7, 0.95])
def test_chance_alone_is_no_collapse(images: int, share: float) -> None:
    """200 runs of a model that never changes."""
    chance = random.Random(f"{images} {share}")  # noqa: S311
    told = 0
    for _ in range(200):
        success = [sum(chance.random() < share for _ in range(images)) / images for _ in range(8)]
        told += any(verdicts(rounds_of(success, images=images)))
    assert told <= 1


@pytest.mark.parametrize("images", [8, 64])
@pytest.mark.parametrize("success", [(0.0,), (0.0, 0.0), (0.02, 0.0, 0.0), (0.34, 0.0)])
def test_no_good_picture_in_the_first_rounds_is_none(
    success: tuple[float, ...], images: int
) -> None:
    assert not any(verdicts(rounds_of(success, images=images)))


def test_a_dip_of_a_small_round_is_none() -> None:
    assert not any(verdicts(rounds_of((0.5, 0.25, 0.75, 0.125, 0.5), images=8)))


def test_a_small_round_in_which_all_is_lost_is_one() -> None:
    found = find_collapse(rounds_of((0.5, 1.0, 0.0), images=8))
    assert found is not None
    assert found.back_to == 0


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_what_is_not_measured_says_nothing(unknown: float | None) -> None:
    first, later = RoundFigures(0, 8, 4, 0.2, 0.9), RoundFigures(1, 8, 4, unknown, unknown)
    assert find_collapse([first, later]) is None
    assert find_collapse([later, first]) is None
