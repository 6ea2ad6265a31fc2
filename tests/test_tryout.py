"""Pictures of a prompt on the side: one that fails does so alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import pytest
import torch

from hero_engine.engine import tryout
from hero_engine.errors import EngineError, InputError
from hero_engine.model.diffusion import Model
from hero_engine.run.folder import RunFolder
from hero_engine.run.pictures import save_picture
from hero_engine.run.record import Try
from hero_engine.run.task import Task
from tests.engine_runs import new_run

FAILURES = [
    (EngineError("out of memory with one of the pictures at a time"), "out of memory with one"),
    (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
    (OSError(28, "No space left on device", "000.png"), "000.png: No space left on device; free"),
    (InputError("prompt: 200 tokens"), "prompt: 200 tokens"),
    (RuntimeError(), "RuntimeError"),
]


@pytest.fixture
def folder(tiny_task: Callable[..., Task], tmp_path: Path) -> RunFolder:
    return new_run(tmp_path, tiny_task())


def answer(folder: RunFolder) -> list[Try]:
    """The tries after an engine has seen to them; the model is not looked at."""
    with_record = folder.open_record()
    tryout.answer(folder, with_record, folder.task(), cast(Model, None), None, 2)
    return with_record.tries()


def draw_two(*args: Any) -> np.ndarray:
    return np.zeros((2, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(("failure", "said"), FAILURES)
def test_one_that_fails_does_so_alone_and_is_not_tried_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    def draw(model: Model, task: Task, prompt: str, pool: object) -> np.ndarray:
        if prompt == "bad":
            raise failure
        return draw_two()

    monkeypatch.setattr(tryout, "pictures_of", draw)
    record = folder.open_record()
    record.ask_try("bad")
    record.ask_try("good")
    bad, good = answer(folder)
    assert bad.finished
    assert said in bad.error
    assert (good.images, good.error, good.round) == (2, "", 2)
    assert answer(folder) == [bad, good]


def test_a_disk_that_is_full_leaves_no_half_of_a_try(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second_fails(path: Path, picture: np.ndarray) -> None:
        if path.name == "001.png":
            raise OSError(28, "No space left on device", str(path))
        save_picture(path, picture)

    monkeypatch.setattr(tryout, "pictures_of", draw_two)
    monkeypatch.setattr(tryout, "save_picture", second_fails)
    folder.open_record().ask_try("a dog")
    (dog,) = answer(folder)
    assert "free some space" in dog.error
    assert not folder.try_image(dog.number, 0).parent.exists()


def test_one_that_an_engine_did_not_survive_is_not_tried_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*args: Any) -> NoReturn:
        raise Killed

    folder.open_record().ask_try("too much")
    monkeypatch.setattr(tryout, "pictures_of", die)
    with pytest.raises(Killed):
        answer(folder)
    assert not folder.open_record().tries()[0].finished
    (tried,) = answer(folder)
    assert tried.finished
    assert "ask again" in tried.error
