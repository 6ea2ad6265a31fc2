"""The engine as a process: killed anywhere, stopped, started twice, on broken folders."""

import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.errors import HeroError
from hero_engine.run import process
from hero_engine.run.folder import RunFolder, engine_holder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.task import Task
from tests.engine_runs import (
    final_hashes,
    label_open_round,
    labeler,
    new_run,
    run_here,
    start_engine,
    tiny_task_of,
    wait_until,
)

FinishedRun = Callable[[Task, Sequence[Labels]], RunFolder]
SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2), Labels.of([4], KEEP)]


def log_of(folder: RunFolder) -> str:
    return folder.log_file.read_text()


def to_the_end(folder: RunFolder) -> None:
    with labeler(folder, SCRIPT):
        assert start_engine(folder).wait(timeout=120) == 0, log_of(folder)


PHASES = ["sampling", "waiting for labels", "training the embedding", "training the LoRA"]


def await_phase(folder: RunFolder, phase: str) -> None:
    """Waits until the engine is at work in `phase`, labelling a round if that takes one."""
    record = folder.open_record()

    def arrived() -> bool:
        if phase.startswith("training"):
            label_open_round(record, SCRIPT)
        return engine_holder(folder) is not None and record.progress().phase == phase

    wait_until(arrived, phase)
    record.close()


def labels_of(folder: RunFolder) -> list[Labels]:
    record = folder.open_record()
    labels = [record.labels(r.number) for r in record.rounds()]
    record.close()
    return labels


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_instants_it_ends_in_the_same_bits(
    tiny_task: Callable[..., Task], finished_run: FinishedRun, tmp_path: Path, seed: int
) -> None:
    """kill -9 in every phase, again and again; then the files equal an uninterrupted run's."""
    task = tiny_task(embedding={"steps": 40}, sampling={"steps": 12})
    undisturbed = finished_run(task, SCRIPT)
    folder = new_run(tmp_path, task, "killed")
    moments = random.Random(seed)  # noqa: S311
    for phase in PHASES:
        engine = start_engine(folder)
        await_phase(folder, phase)
        before = labels_of(folder)
        time.sleep(moments.random() * 0.05)
        engine.kill()
        engine.wait()
        assert labels_of(folder) == before
    to_the_end(folder)
    assert final_hashes(folder) == final_hashes(undisturbed)


def test_a_stop_pauses_and_the_next_engine_goes_on(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is started as `hero-tui` starts it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    folder = new_run(tmp_path, tiny_task())
    record = folder.open_record()
    engine = process.start_engine(folder)
    wait_until(lambda: record.state()[0] == "labeling", "the first round")
    record.send("stop")
    assert engine.wait(timeout=30) == 3
    assert record.state() == ("paused", "")
    to_the_end(folder)
    assert record.state() == ("finished", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_pauses(
    tiny_task: Callable[..., Task], tmp_path: Path, number: signal.Signals
) -> None:
    folder = new_run(tmp_path, tiny_task())
    record = folder.open_record()
    engine = start_engine(folder)
    wait_until(lambda: record.state()[0] == "labeling", "the first round")
    engine.send_signal(number)
    assert engine.wait(timeout=30) == 3
    assert record.state()[0] == "paused"


def test_a_stop_sent_while_no_engine_ran_is_forgotten(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}))
    folder.open_record().send("stop")
    to_the_end(folder)


def test_a_second_engine_is_refused_and_told_who_holds_the_run(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task())
    first = start_engine(folder)
    try:
        wait_until(lambda: engine_holder(folder), "the lock")
        second = start_engine(folder)
        assert second.wait(timeout=30) == 2
        assert f"process {first.pid} on" in log_of(folder)
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    assert engine_holder(folder) is None


def test_a_finished_run_stays_finished(tiny_task: Callable[..., Task], tmp_path: Path) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}))
    to_the_end(folder)
    before = final_hashes(folder)
    assert start_engine(folder).wait(timeout=60) == 0
    assert final_hashes(folder) == before


def failing(folder: RunFolder) -> str:
    """Starts an engine that must fail, and returns what the record says."""
    code = start_engine(folder).wait(timeout=60)
    assert code in (2, 4), log_of(folder)
    state, error = folder.open_record().state()
    assert state == "failed"
    assert "Traceback" not in error
    return error


@pytest.fixture(scope="module")
def paused_run(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Paused after a round; for reading."""
    folder = new_run(tmp_path_factory.mktemp("paused"), tiny_task_of(tiny_pipeline))
    with closing(folder.open_record()) as record:
        engine = start_engine(folder)
        with labeler(folder, SCRIPT[:1]):
            wait_until(
                lambda: len(record.rounds()) == 2 and record.state()[0] == "labeling", "round 1"
            )
        record.send("stop")
        assert engine.wait(timeout=30) == 3
    return folder


@pytest.fixture
def paused(paused_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it."""
    return RunFolder(shutil.copytree(paused_run.path, tmp_path / "run"))


def test_a_missing_model_is_named(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = new_run(tmp_path, tiny_task(model=str(tmp_path / "no-such-model")))
    assert "no-such-model" in failing(folder)


def test_a_damaged_checkpoint_fails_and_is_left_as_it_was(paused: RunFolder) -> None:
    damaged = paused.checkpoint(0) / "lora.safetensors"
    damaged.write_bytes(b"not a tensor file")
    assert "checkpoints/000: the checkpoint cannot be read" in failing(paused)
    assert damaged.read_bytes() == b"not a tensor file"


def test_a_damaged_rollout_is_named(paused: RunFolder) -> None:
    paused.rollout(1).write_bytes(b"cut")
    assert "rollout.safetensors" in failing(paused)


def test_a_damaged_task_is_named_and_nothing_is_touched(paused: RunFolder) -> None:
    text = paused.task_file.read_text()
    paused.task_file.write_text(text.replace("guidance_scale", "guidance"))
    before = final_hashes(paused)
    assert start_engine(paused).wait(timeout=30) == 2
    assert "task.yaml: sampling.guidance: there is no such field" in log_of(paused)
    assert final_hashes(paused) == before


def test_a_record_of_a_newer_version_is_refused_untouched(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task())
    with sqlite3.connect(folder.record_file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert start_engine(folder).wait(timeout=30) == 2
    assert "format 99" in log_of(folder)


def test_a_removed_folder_ends_the_engine(tiny_task: Callable[..., Task], tmp_path: Path) -> None:
    folder = new_run(tmp_path, tiny_task())
    record = folder.open_record()
    engine = start_engine(folder)
    wait_until(lambda: record.state()[0] == "labeling", "the first round")
    record.label(0, SCRIPT[0])
    record.submit(0)
    shutil.rmtree(folder.path)
    assert engine.wait(timeout=30) != 0


def test_a_full_disk_fails_clearly_and_the_run_continues_with_space(
    tiny_task: Callable[..., Task],
    finished_run: FinishedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hero_engine.__main__ import run as run_engine
    from hero_engine.method import rollout

    folder = new_run(tmp_path, tiny_task())

    def no_space(self: object, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(rollout.Rollout, "save", no_space)
        patched.setattr(signal, "signal", lambda number, handler: None)
        with pytest.raises(HeroError, match="free some space") as failure:
            run_engine(folder)
    assert failure.value.exit_code == 4
    assert folder.open_record().state()[0] == "failed"
    run_here(folder, SCRIPT)
    assert final_hashes(folder) == final_hashes(finished_run(tiny_task(), SCRIPT))
