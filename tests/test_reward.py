"""The four rewards of Sec. 5.3.1."""

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hero_engine.method import reward
from hero_engine.method.batch import LabelledBatch
from hero_engine.run.task import RewardName

GENERATOR = torch.Generator().manual_seed(0)
Z_0 = torch.randn(4, 4, 8, 8, generator=GENERATOR)
EMBEDDED = torch.randn(4, 8, generator=GENERATOR)
GOOD = torch.tensor([True, False, True, False])


def no_pictures() -> NDArray[np.uint8]:
    raise AssertionError("these rewards look at no pictures")


def compute(name: RewardName) -> torch.Tensor:
    vectors = {len(Z_0): EMBEDDED, 1: EMBEDDED[[2]]}

    def embed(z_0: torch.Tensor) -> torch.Tensor:
        assert reward.REWARDS[name].uses_embedding
        return vectors[len(z_0)]

    batch = LabelledBatch(Z_0, ["a cat"] * 4, no_pictures, GOOD, Z_0[2], embed)
    return reward.REWARDS[name].of(batch)


def test_similarity_to_best_is_eq_4() -> None:
    found = compute("similarity-to-best")
    for i in range(4):
        dot = float(EMBEDDED[i] @ EMBEDDED[2])
        assert float(found[i]) == pytest.approx(
            dot / float(EMBEDDED[i].norm() * EMBEDDED[2].norm())
        )
    assert float(found[2]) == pytest.approx(1)


def test_similarity_to_positives_compares_with_the_goods_mean() -> None:
    mean = (EMBEDDED[0] + EMBEDDED[2]) / 2
    expected = F.cosine_similarity(EMBEDDED, mean[None])
    torch.testing.assert_close(compute("similarity-to-positives"), expected)


def test_binary_is_the_label() -> None:
    assert compute("binary").tolist() == [1, 0, 1, 0]


def test_no_embedding_compares_the_latents_themselves() -> None:
    mean = (Z_0[0] + Z_0[2]) / 2
    expected = F.cosine_similarity(Z_0.flatten(1), mean.flatten()[None])
    torch.testing.assert_close(compute("no-embedding"), expected)


def test_a_zero_vector_earns_zero_and_not_nan() -> None:
    embedded = torch.zeros(2, 8)
    assert reward.similarity_to_best(embedded, torch.ones(8)).tolist() == [0, 0]


def test_there_is_a_reward_for_every_name_that_a_task_may_have() -> None:
    assert {*reward.REWARDS, "function"} == set(get_args(RewardName))
