"""The straightforward implementation that the engine is timed against computes the same."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
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


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("pipelines")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "part", "billions"),
    [("sd15", "unet", 0.86), ("sdxl", "unet", 2.57), ("sd35-medium", "transformer", 2.5),
     ("z-image", "transformer", 6.2), ("klein-4b", "transformer", 3.9)],
)  # fmt: skip
def test_pipelines_have_their_published_size(
    size: str, part: str, billions: float, pipelines: Any, tmp_path: Path
) -> None:
    with torch.device("meta"):
        pipeline = pipelines._MAKE[size](tmp_path)
    count = sum(each.numel() for each in getattr(pipeline, part).state_dict().values())
    assert count / 1e9 == pytest.approx(billions, rel=0.05)


def test_a_round_of_a_size_is_timed_by_its_own_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipelines: Any
) -> None:
    sizes = importlib.import_module("sizes")
    small = ["embedding.steps=2", "embedding.width=16", "embedding.head=[16,8]"]
    options = [word for each in (*small, "update.optimizer_steps=1") for word in ("--set", each)]
    monkeypatch.setattr(
        "sys.argv",
        [
            "sizes.py",
            "--models",
            "tiny",
            "--pictures",
            "4",
            "--steps",
            "6",
            "--micro-batch",
            "64",
            *options,
        ],
    )
    loading, first_picture, sampling, each, training, wait, peak = map(
        float, sizes.measured("tiny", tmp_path, sizes.parse())
    )
    assert 0 < first_picture <= sampling
    assert each == pytest.approx(sampling / 4, abs=0.01)
    assert loading > 0
    assert training > 0
    assert wait > 0
    assert peak >= 0
