"""pi_HERO: which components, and how far from the shell of Proposition A.1."""

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from hero_engine.method.pool import (
    NoisePool,
    component_means,
    norm_ratio,
    round_noise,
    sample_initial_noise,
)
from hero_engine.method.rollout import Rollout
from hero_engine.model import seeds
from hero_engine.results.export import export
from hero_engine.run import yamlfile
from hero_engine.run.collapse import figures
from hero_engine.run.diversity import diversity
from hero_engine.run.labels import Labels
from hero_engine.run.pictures import read_picture
from hero_engine.run.status import status
from hero_engine.run.task import Noise, Task
from tests.engine_runs import new_run, run_here

SHAPE = (4, 16, 16)


def pool_of(goods: int) -> NoisePool:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(goods + 1, *SHAPE, generator=generator)
    return NoisePool(drawn[0], drawn[1:])


def test_the_best_has_its_share_and_the_goods_take_turns() -> None:
    pool = pool_of(3)
    means = component_means(pool, 8, 0.5)
    assert torch.equal(means[:4], pool.best.expand(4, *SHAPE))
    assert torch.equal(means[4:], pool.goods[[0, 1, 2, 0]])


@pytest.mark.parametrize(("ratio", "around_best"), [(0.0, 0), (0.3, 2), (1.0, 8)])
def test_best_ratio_is_the_share_of_the_batch(ratio: float, around_best: int) -> None:
    pool = pool_of(3)
    means = component_means(pool, 8, ratio)
    assert len(means) == 8
    assert sum(torch.equal(mean, pool.best) for mean in means) == around_best


def generations(
    pool_kind: Literal["variance-preserving", "additive"], s: float, rounds: int
) -> list[float]:
    """||z_T|| / sqrt(D) by round, when each round's goods are a random eighth of its pictures."""
    settings = Noise(pool=pool_kind, s=s)
    generator = torch.Generator().manual_seed(0)
    z_T, ratios = torch.randn(64, *SHAPE, generator=generator), []
    for _ in range(rounds):
        ratios.append(norm_ratio(z_T))
        chosen = z_T[torch.randperm(64, generator=generator)[:8]]
        fresh = torch.randn(64, *SHAPE, generator=generator)
        z_T = sample_initial_noise(NoisePool(chosen[0], chosen), fresh, settings)
    return [*ratios, norm_ratio(z_T)]


def test_variance_preserving_noise_stays_on_the_shell_of_proposition_a1() -> None:
    """Every round, not only the first, has ||z_T|| within sqrt(D) (1 +- s)."""
    s = 0.1
    assert all(1 - s <= ratio <= 1 + s for ratio in generations("variance-preserving", s, 8))


def test_additive_noise_leaves_the_shell_as_its_variance_adds_up() -> None:
    """Means that were drawn from means: after n rounds the variance is 1 + n s^2."""
    s = math.sqrt(0.1)
    ratios = generations("additive", s, 8)
    for rounds, ratio in enumerate(ratios):
        assert ratio == pytest.approx(math.sqrt(1 + rounds * s**2), rel=0.05)
    assert ratios[-1] > 1 + s


def test_without_a_pool_or_with_none_the_noise_is_fresh() -> None:
    fresh = torch.randn(4, *SHAPE)
    assert sample_initial_noise(None, fresh, Noise()) is fresh
    assert sample_initial_noise(pool_of(2), fresh, Noise(pool="none")) is fresh


def test_a_share_of_a_round_starts_from_fresh_noise(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task(noise={"fresh_share": 0.25})
    epsilon, pool = torch.randn(8, *SHAPE), pool_of(2)
    assert list(task.fresh_images) == [6, 7]
    z_T = round_noise(pool, epsilon, task)
    assert torch.equal(z_T[6:], epsilon[6:])
    assert torch.equal(z_T[:6], sample_initial_noise(pool, epsilon[:6], task.noise))
    assert torch.equal(round_noise(None, epsilon, task), epsilon)
    everything = tiny_task(noise={"fresh_share": 1.0})
    assert torch.equal(round_noise(pool, epsilon, everything), epsilon)
    nothing = tiny_task()
    assert list(nothing.fresh_images) == []
    assert torch.equal(
        round_noise(pool, epsilon, nothing), sample_initial_noise(pool, epsilon, nothing.noise)
    )


def test_a_run_tells_fresh_noise_apart(tiny_task: Callable[..., Task], tmp_path: Path) -> None:
    task = tiny_task(noise={"fresh_share": 0.5}, feedback={"rounds": 2})
    folder = new_run(tmp_path, task)
    run_here(folder, [Labels.of([0, 3], 3), Labels.of([1, 4, 6], 6, unsure=[7])]).close()
    first, second = status(folder)["history"]
    assert (first["fresh_images"], first["fresh_good"]) == (0, 0), "all are, there is no pool"
    assert (second["fresh_images"], second["fresh_good"]) == (3, 2)
    assert first["fresh_good_diversity"] is None
    drawn = np.stack([read_picture(folder.image(1, image)) for image in (4, 6)])
    assert second["fresh_good_diversity"] == pytest.approx(diversity(drawn))
    with closing(folder.open_record()) as record:
        known = [each.good_diversity for each in figures(record, task)]
    assert known == [first["good_diversity"], second["fresh_good_diversity"]], "not the pool's"
    card = (folder.exports / "README.md").read_text()
    assert "| before | fresh, N(0, I) | 8 | 2 |" in card
    assert "| after 1 round | 4 fresh, N(0, I), else the noise pool | 7 | 3 |" in card
    changed = task.model_copy(update={"noise": task.noise.model_copy(update={"fresh_share": 0.0})})
    folder.task_file.write_text(yamlfile.dump(changed.model_dump(mode="json")))
    assert status(folder)["history"] == [first, second], "as they were drawn"
    with closing(sqlite3.connect(folder.record_file)) as database, database:
        database.execute("DELETE FROM metrics WHERE name = 'from_pool'")
    assert status(folder)["history"][1]["fresh_images"] == 0
    folder.task_file.write_text(yamlfile.dump(task.model_dump(mode="json")))
    assert status(folder)["history"] == [first, second], "an earlier version's: as the task has it"
    export(folder, folder.exports)
    assert (folder.exports / "README.md").read_text() == card
    assert first["base_drift"] is not None
    assert first["base_drift"] > 0
    assert second["reward_spread"] is not None
    fresh = seeds.normal(task.seed, "z_T", 1, range(8), (4, 8, 8))
    assert torch.equal(Rollout.load(folder.rollout(1)).z_T[4:], fresh[4:])
