"""Errors as messages, a full disk wherever it shows, and how an engine ends that has to."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError

from hero_engine.__main__ import run as run_engine
from hero_engine.engine import loop
from hero_engine.engine.failures import explained
from hero_engine.engine.interrupts import Finish, Interrupts
from hero_engine.errors import EngineError, InputError
from hero_engine.model import tensorfile
from hero_engine.run import filesystem, process
from hero_engine.run.folder import RunFolder, engine_lock, write_complete
from hero_engine.run.pictures import save_picture
from hero_engine.run.record import Record
from hero_engine.run.task import Task
from tests.engine_runs import new_run


def test_no_reason_is_empty() -> None:
    assert str(explained(Finish())) == "Finish (the engine log has the details)"
    assert str(explained(AssertionError())).startswith("AssertionError (")
    assert str(explained(EngineError())).startswith("EngineError (")
    assert str(explained(OSError())).startswith("OSError; look into the disk")
    assert str(explained(ValueError("odd"))).startswith("ValueError: odd (")
    said = InputError("what is wrong")
    assert explained(said) is said


FULL = "Error while serializing: I/O error: No space left on device (os error 28)"
FULL_BEFORE = 'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "..." })'


@pytest.mark.parametrize("said", [FULL, FULL_BEFORE])
def test_a_full_disk_is_said_of_a_tensor_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def no_space(tensors: object, path: Path, metadata: object) -> NoReturn:
        path.write_bytes(b"as much as fits")
        raise SafetensorError(said)

    monkeypatch.setattr(tensorfile, "save_file", no_space)
    path = tmp_path / "lora.safetensors"
    with pytest.raises(OSError, match="No space left") as error:
        write_complete(path, lambda new: tensorfile.save_tensors({"a": torch.zeros(1)}, new))
    assert "lora.safetensors" in str(explained(error.value))
    assert "free some space" in str(explained(error.value))
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_a_tensor_file_keeps_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(tensors: object, path: Path, metadata: object) -> NoReturn:
        raise SafetensorError("something new")

    monkeypatch.setattr(tensorfile, "save_file", odd)
    with pytest.raises(OSError, match="something new"):
        tensorfile.save_tensors({}, tmp_path / "a.safetensors")


def test_every_tensor_file_of_a_run_is_written_in_that_way() -> None:
    package = Path(loop.__file__).parents[1]
    files = [f for f in package.rglob("*.py") if "cartoons" not in f.parts]
    assert [f.name for f in files if "save_file" in f.read_text()] == ["tensorfile.py"]


def test_a_full_disk_is_said_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(self: object, path: Path, **options: object) -> NoReturn:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")  # a write names no file

    monkeypatch.setattr(Image.Image, "save", no_space)
    with pytest.raises(OSError, match="No space left") as error:
        save_picture(tmp_path / "007.png", np.zeros((8, 8, 3), np.uint8))
    assert "007.png: No space left on device; free some space" in str(explained(error.value))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_full_for_the_log_is_named(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tmp_path, tiny_task())
    assert "disk is full" not in process.failure(folder, "the engine ended with exit code 4")
    monkeypatch.setattr(filesystem, "FULL", 1 << 62)
    said = process.failure(folder, "the engine ended with exit code 4")
    assert "the disk is full: free some space" in said


def test_a_finished_run_loads_no_model_and_stays_finished(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_again(run: object) -> NoReturn:
        raise AssertionError("it is finished")

    folder = new_run(tmp_path, tiny_task())
    record = folder.open_record()
    record.set_state("finished")
    record.send("stop")
    monkeypatch.setattr(loop, "run_to_the_end", not_again)
    assert run_engine(folder) == 0
    assert record.state() == ("finished", "")


def test_stop_gives_up_waiting_and_says_what_is_going_on(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task())
    record = folder.open_record()
    record.set_progress("sampling", 4, 64)
    with engine_lock(folder), pytest.raises(EngineError) as error:
        process.stop_engine(folder, seconds=0)
    said = str(error.value)
    assert f"process {os.getpid()}" in said
    assert f"kill -9 {os.getpid()}" in said
    assert "sampling, 4 of 64" in said
    assert record.is_pending("stop")


def by_signal(record: Record) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def by_signal_without_a_record(record: Record) -> None:
    record.path.unlink()
    record.close()
    by_signal(record)


def by_command(record: Record) -> None:
    record.send("stop")


@pytest.mark.parametrize("ask", [by_signal, by_signal_without_a_record, by_command])
def test_a_stop_ends_the_process_at_once_while_a_model_is_loaded(
    tiny_task: Callable[..., Task], tmp_path: Path, ask: Callable[[Record], None]
) -> None:
    folder: RunFolder = new_run(tmp_path, tiny_task())
    record = folder.open_record()
    interrupts, left = Interrupts(record), threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        interrupts.listen(left.set)
        with interrupts.at_once():
            ask(record)
            assert left.wait(30)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
