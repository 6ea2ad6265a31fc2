"""An engine of two processes on the CPU (gloo): the run is that of one, and none is left over."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from hero_engine.__main__ import main
from hero_engine.engine.launcher import SIGN, forget_other_launchers, is_launched, why
from hero_engine.engine.team import Team
from hero_engine.errors import InputError
from hero_engine.method.rollout import Rollout, chunks_of
from hero_engine.method.sharding import dealt
from hero_engine.model import diffusion
from hero_engine.run import labelfile, process, yamlfile
from hero_engine.run.folder import RunFolder, engine_holder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.options import EngineOptions
from hero_engine.run.task import Task
from tests.engine_runs import label_open_round, new_run, run_here, wait_until

SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2, unsure=[5]), Labels.of([4], KEEP)]
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def engine_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def task(tiny_task: Callable[..., Task]) -> Task:
    """Its optimizer steps have 9, 9 and 6 transitions: two processes get unequal shares.

    The clip is wide: at 1e-4 rounding decides whether a transition counts, and how much of a
    round's learning that is depends on the processor.
    """
    return tiny_task(update={"batch_size": 3, "k": 3, "micro_batch_size": 4, "clip_range": 0.5})


def processes_of(folder: RunFolder) -> list[psutil.Process]:
    """Every process of the run's engine: its launcher, the main process and the helpers."""
    found = []
    for each in psutil.process_iter(["cmdline", "status"]):
        command = each.info["cmdline"] or []
        if each.info["status"] != psutil.STATUS_ZOMBIE and str(folder.path) in command:
            found.append(each)
    return found


def helper_of(folder: RunFolder, launcher: "subprocess.Popen[bytes]") -> psutil.Process:
    holder = engine_holder(folder)
    assert holder is not None
    (helper,) = {p.pid for p in processes_of(folder)} - {launcher.pid, holder.pid}
    return psutil.Process(helper)


def lora(folder: RunFolder, round_number: int) -> torch.Tensor:
    """After training `round_number`; -1: as a run starts."""
    if round_number < 0:
        tensors: dict[str, torch.Tensor] = dict(diffusion.load(folder.task()).lora())
    else:
        tensors = load_file(folder.checkpoint(round_number) / "lora.safetensors")
    return torch.cat([t.detach().flatten() for _, t in sorted(tensors.items())])


def assert_same_run(folder: RunFolder, undisturbed: RunFolder) -> None:
    """The stated tolerance: until the first update all bits are equal; sums over processes then
    round otherwise.
    """
    assert folder.rollout(0).read_bytes() == undisturbed.rollout(0).read_bytes()
    for r in range(3):
        for image in range(8):
            pixels = [np.asarray(Image.open(f.image(r, image)), int) for f in (folder, undisturbed)]
            assert abs(pixels[0] - pixels[1]).max() <= (0 if r == 0 else 1)
        ours, theirs = Rollout.load(folder.rollout(r)), Rollout.load(undisturbed.rollout(r))
        torch.testing.assert_close(ours.z_0, theirs.z_0, rtol=0, atol=1e-3)
        learned = (lora(undisturbed, r) - lora(undisturbed, r - 1)).abs().mean()
        off = (lora(folder, r) - lora(undisturbed, r)).abs().mean()
        assert off < (0.005 if r == 0 else 0.05) * learned
    assert not list(folder.path.rglob("chunks"))


def test_two_processes_by_a_label_file_and_then_one_make_the_same_run(
    task: Task, finished_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    """Two rounds by `hero-tui run --num-processes 2`, which pauses; the last one by one process."""
    (tmp_path / "task.yaml").write_text(yamlfile.dump(task.model_dump(mode="json")))
    (tmp_path / "labels.yaml").write_text(labelfile.dump(task.name, SCRIPT[:2]))
    command = "run task.yaml --labels labels.yaml --num-processes 2 --runs-dir . --name two"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hero_tui", *command.split()],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    folder = RunFolder(tmp_path / "two")
    assert done.returncode == 3, done.stderr
    assert "The labels have run out" in done.stderr
    assert "2 processes" in folder.log_file.read_text()
    wait_until(lambda: not processes_of(folder), "the processes' end")
    with closing(folder.open_record()) as record:
        assert record.state() == ("paused", "")
        assert {"loss", "ratio_error", "grad_norm"} <= record.metrics(1).keys()

    run_here(folder, SCRIPT).close()
    assert_same_run(folder, finished_run(task, SCRIPT))


def test_a_helper_that_is_killed_stops_the_run_which_then_continues(
    task: Task, finished_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, task)
    with closing(folder.open_record()) as record:
        engine = process.start_engine(folder, EngineOptions(num_processes=2))
        wait_until(lambda: record.state()[0] == "labeling", "the first round")
        helper = helper_of(folder, engine)
        label_open_round(record, SCRIPT)
        wait_until(lambda: record.progress().phase == "training the LoRA", "the training")
        helper.kill()
        assert engine.wait(timeout=60) == 4
        state, error = record.state()
    assert state == "failed"
    assert (
        f"helper 1 of the engine's 2 processes (pid {helper.pid}) was killed by signal 9" in error
    )
    assert error in process.failure(folder, "")
    assert "Traceback" not in folder.log_file.read_text()
    assert not processes_of(folder)

    run_here(folder, SCRIPT).close()
    assert_same_run(folder, finished_run(task, SCRIPT))


@pytest.mark.parametrize("victim", ["main", "launcher"])
def test_no_process_outlives_the_main_one_or_the_launcher(
    task: Task, tmp_path: Path, victim: str
) -> None:
    folder = new_run(tmp_path, task)
    with closing(folder.open_record()) as record:
        engine = process.start_engine(folder, EngineOptions(num_processes=2))
        wait_until(lambda: record.state()[0] == "labeling", "the first round")
        assert len(processes_of(folder)) == 3
        if victim == "launcher":
            engine.kill()
        else:
            holder = engine_holder(folder)
            assert holder is not None
            psutil.Process(holder.pid).kill()
        wait_until(lambda: not processes_of(folder), "the processes' end")
        assert engine.wait() == (-9 if victim == "launcher" else 4)
        wait_until(lambda: engine_holder(folder) is None, "the lock")


def test_chunks_are_dealt_out_whole_and_evenly() -> None:
    chunks = chunks_of(64, 8)
    assert [len(chunk) for chunk in chunks] == [2, 8, 8, 8, 8, 8, 8, 8, 6]
    both = [dealt(chunks, 2, to) for to in (0, 1)]
    assert both[0][0] == 0
    assert sorted(both[0] + both[1]) == list(range(9))
    assert [sum(len(chunks[n]) for n in mine) for mine in both] == [32, 32]


def test_the_first_to_fail_is_named_and_not_one_that_was_ended_for_it() -> None:
    said = why({0: (10, -15), 2: (12, -9)}, 4)
    assert said.startswith("helper 2 of the engine's 4 processes (pid 12) was killed by signal 9")
    assert why({0: (10, -9), 1: (11, -15)}, 2).startswith("the main process")
    assert "ended with exit code 4" in why({1: (11, 4)}, 2)


@pytest.mark.parametrize(
    ("here", "gpus", "reason"),
    [("2", 1, "--num-processes 2: expected at most 1"), ("1", 0, "must be on one machine")],
)
def test_processes_that_do_not_fit_the_machine_are_refused(
    monkeypatch: pytest.MonkeyPatch, here: str, gpus: int, reason: str
) -> None:
    for name, value in {
        SIGN: "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": here,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(InputError, match=reason):
        Team.of_this_engine()


def test_what_a_cluster_left_in_the_environment_is_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else PyTorch waits for the other processes, without end."""
    left = {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29500",
        "TORCHELASTIC_RUN_ID": "x",
        "SLURM_PROCID": "1",
        "SLURM_NTASKS": "2",
        "OMPI_COMM_WORLD_SIZE": "2",
        "PMI_SIZE": "2",
        "MV2_COMM_WORLD_SIZE": "2",
        "ACCELERATE_MIXED_PRECISION": "fp16",
        "ACCELERATE_USE_FSDP": "true",
    }
    own = {"CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/models", "OMP_NUM_THREADS": "4"}
    for name, value in (left | own).items():
        monkeypatch.setenv(name, value)
    assert main([]) == 2
    assert not left.keys() & os.environ.keys()
    assert own.items() <= os.environ.items()
    assert not is_launched()


def test_what_our_own_launcher_says_is_kept() -> None:
    told = {SIGN: "1", "RANK": "1", "WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}
    environment = dict(told)
    forget_other_launchers(environment)
    assert environment == told
