"""Running the engine in a test: in this process with a scripted labeler, or as its own process."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hero_engine.run.folder import RunFolder, create_run
from hero_engine.run.labels import Labels
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_engine.run.record import Record
from hero_engine.run.task import Task
from tests.forked import Forked, fork


def tiny_task_of(pipeline: Path, **changes: Any) -> Task:
    """A task on a tiny pipeline; sections are given as mappings and merged."""
    values: dict[str, Any] = {
        "name": "tiny",
        "prompts": ["a cat"],
        "criteria": ["a cat is seen"],
        "model": str(pipeline),
        "precision": "fp32",
        "sampling": {"steps": 6, "chunk_size": 4},
        "feedback": {"batch_size": 8, "rounds": 3},
        "embedding": {"width": 32, "head": [16, 8], "learning_rate": 1e-3, "steps": 20},
        "update": {"steps": "first", "k": 2, "learning_rate": 1e-3, "batch_size": 4},
    }
    for name, value in changes.items():
        values[name] = values.get(name, {}) | value if isinstance(value, dict) else value
    return Task.model_validate(values)


def label_open_round(record: Record, script: Sequence[Labels]) -> bool:
    """Labels and submits the round that waits, if one does."""
    for r in record.rounds():
        if r.sampled is not None and r.submitted is None and r.number < len(script):
            record.label(r.number, script[r.number])
            record.submit(r.number)
            return True
    return False


@contextmanager
def labeler(folder: RunFolder, script: Sequence[Labels]) -> Iterator[None]:
    """Labels from `script` in the background while the block runs."""
    done = threading.Event()

    def work() -> None:
        record = folder.open_record()
        while not done.wait(0.005):
            label_open_round(record, script)
        record.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run_here(
    folder: RunFolder, script: Sequence[Labels], options: EngineOptions = DEFAULT_OPTIONS
) -> Record:
    """Runs the engine to its end in this process, labelled from `script`."""
    from hero_engine.engine.context import Run
    from hero_engine.engine.interrupts import Interrupts
    from hero_engine.engine.loop import run_to_the_end

    record = folder.open_record()
    with labeler(folder, script):
        run_to_the_end(Run(folder, record, folder.task(), Interrupts(record), options))
    return record


def new_run(where: Path, task: Task, name: str = "run") -> RunFolder:
    return create_run(where, task, name)


def start_engine(folder: RunFolder) -> Forked:
    """The engine as a process of its own."""
    from hero_engine.__main__ import main

    return fork(main, ["run", str(folder.path)], folder.log_file)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.005)


def final_hashes(folder: RunFolder) -> dict[str, str]:
    """SHA-256 of every tensor file and picture that the run keeps, by path.

    Left out is the kohya-format LoRA of the task "tiny", whose header has the run's date.
    """
    files = {*folder.path.rglob("*.safetensors"), *folder.path.rglob("*.png")}
    files -= set(folder.exports.glob("tiny*.safetensors"))
    return {
        str(path.relative_to(folder.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }
