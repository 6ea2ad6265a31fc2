"""The four rewards of Sec. 5.3.1."""

import pytest
import torch
import torch.nn.functional as F

from hero_engine.method import reward

GENERATOR = torch.Generator().manual_seed(0)
Z_0 = torch.randn(4, 4, 8, 8, generator=GENERATOR)
EMBEDDED = torch.randn(4, 8, generator=GENERATOR)
GOOD = torch.tensor([True, False, True, False])


def compute(name: str) -> torch.Tensor:
    return reward.compute(name, Z_0, GOOD, EMBEDDED, EMBEDDED[2])  # type: ignore[arg-type]


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
