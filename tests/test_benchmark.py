"""The straightforward implementation that the engine is timed against computes the same."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler

from hero_engine.model import diffusion
from hero_engine.run.task import Task


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("engine")


@pytest.fixture
def bench(benchmark: Any, tiny_task: Callable[..., Task], tmp_path: Path) -> Any:
    task = tiny_task(update={"steps": "last"})
    config = DDIMScheduler.load_config(task.model, subfolder="scheduler")
    return benchmark.Bench(task, config, tmp_path, 3, time.perf_counter)


def test_latents_losses_and_gradients_are_the_same_in_float32(benchmark: Any, bench: Any) -> None:
    assert len(benchmark.verify(bench, bench.task)) == 5


def test_a_difference_ends_the_benchmark(
    benchmark: Any, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = benchmark.plain.Sampler.step

    def shifted(*arguments: Any) -> Any:
        z_prev, log_prob = draw(*arguments)
        return z_prev + 0.01, log_prob

    monkeypatch.setattr(benchmark.plain.Sampler, "step", shifted)
    with pytest.raises(SystemExit, match="z_0 of the same noise"):
        benchmark.verify(bench, bench.task)


def test_a_round_of_both_is_split_in_phases(
    benchmark: Any, bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, other = diffusion.load(bench.task), benchmark.plain.unfuse(diffusion.load(bench.task))
    mine = benchmark.our_round(bench, ours, "ours")
    theirs = benchmark.plain_round(bench, other, "plain")
    counted = benchmark.operations(bench, other)
    benchmark.report(bench, mine, theirs, counted, 1e12)
    table = capsys.readouterr().out
    for phase in (benchmark.SAMPLING, benchmark.SAVING, benchmark.EMBEDDING, benchmark.LORA):
        assert mine.seconds[phase] > 0
        assert theirs.seconds[phase] > 0
        assert f"| {phase} |" in table
    assert 0 < mine.wait < mine.round
    # The backward pass, and no second one for the frozen weights, for 2 of 6 steps.
    assert 0.5 < counted[benchmark.LORA] / counted[benchmark.SAMPLING] < 1.01
