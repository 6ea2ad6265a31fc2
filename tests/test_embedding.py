"""E_theta, g_theta and the triplet loss."""

import pytest
import torch
import torch.nn.functional as F

from hero_engine.errors import EngineError
from hero_engine.method import embedding
from hero_engine.method.embedding import Embedder
from hero_engine.run.task import Embedding

NARROW = Embedding(width=32, head=(16, 8), learning_rate=1e-3, steps=200)


def make(settings: Embedding = NARROW, shape: tuple[int, int, int] = (4, 16, 16)) -> Embedder:
    embedder = Embedder(shape, settings)
    embedding.initialise(embedder, torch.Generator().manual_seed(0))
    return embedder


@pytest.mark.parametrize(
    "shape", [(4, 64, 64), (4, 16, 16), (4, 128, 128), (16, 96, 64), (4, 8, 8), (4, 37, 53)]
)
def test_any_latent_becomes_8x8x64_features_and_a_vector(shape: tuple[int, int, int]) -> None:
    network = make(shape=shape).network
    z_0 = torch.randn(2, *shape)
    assert network.convolutions(z_0).shape == (2, 64, 8, 8)
    assert network(z_0).shape == (2, 32)


def test_the_default_size_is_the_papers() -> None:
    with torch.device("meta"):
        embedder = Embedder((4, 64, 64), Embedding())
    linear = [m for m in embedder.modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [4096, 2048, 1024, 512]
    assert [m.in_features for m in linear] == [4096, 4096, 2048, 1024]


def test_the_loss_is_the_mean_of_pytorchs_own_over_every_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    best, good, bad = (torch.randn(n, 8, generator=generator) for n in (1, 3, 5))

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (1 - F.cosine_similarity(a, b)) / 2

    expected = torch.stack(
        [
            F.triplet_margin_with_distance_loss(
                best, g[None], b[None], distance_function=distance, margin=0.5
            )
            for g in good
            for b in bad
        ]
    ).mean()
    torch.testing.assert_close(embedding.triplet_loss(best[0], good, bad, 0.5), expected)


def test_training_separates_good_from_bad_and_stops_when_the_loss_stays_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    good = torch.randn(6, 4, 16, 16, generator=generator) + 1
    bad = torch.randn(10, 4, 16, 16, generator=generator) - 1
    embedder, losses = make(), []
    optimizer = torch.optim.Adam(embedder.parameters(), lr=1e-3)
    last = embedding.train(
        embedder, optimizer, good[0], good, bad, NARROW, lambda step, loss: losses.append(loss)
    )
    assert losses[0] > 0.3
    assert last == 0
    assert len(losses) < NARROW.steps
    assert losses[-NARROW.patience - 1 :] == [0.0] * (NARROW.patience + 1)


def test_a_good_that_is_the_best_alone_still_pushes_the_bad_away() -> None:
    generator = torch.Generator().manual_seed(0)
    z_0 = torch.randn(8, 4, 16, 16, generator=generator)
    embedder = make()
    optimizer = torch.optim.Adam(embedder.parameters(), lr=1e-3)
    settings = NARROW.model_copy(update={"steps": 1})
    before = embedding.train(embedder, optimizer, z_0[0], z_0[:1], z_0[1:], settings)
    after = embedding.train(embedder, optimizer, z_0[0], z_0[:1], z_0[1:], NARROW)
    assert after < before


def test_initial_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = make()
    torch.manual_seed(2)
    second = make()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_stops_the_training_with_a_way_out(value: float) -> None:
    embedder = make(shape=(4, 8, 8))
    before = [p.clone() for p in embedder.parameters()]
    optimizer = torch.optim.Adam(embedder.parameters())
    good, bad = torch.full((1, 4, 8, 8), value), torch.zeros(2, 4, 8, 8)
    steps: list[int] = []
    with pytest.raises(EngineError, match=r"diverged.*embedding\.learning_rate.*task\.yaml"):
        embedding.train(
            embedder, optimizer, good[0], good, bad, Embedding(steps=3),
            lambda step, loss: steps.append(step),
        )  # fmt: skip
    assert steps == []
    assert all(torch.equal(p, b) for p, b in zip(embedder.parameters(), before, strict=True))
