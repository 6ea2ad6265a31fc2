"""Fixtures shared by the tests of the engine, and which tests are slow."""

import inspect
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

# Before torch is imported. With one thread a worker, and an engine, bits can be compared, and two
# workers on two cores don't wait for each other's threads, which is what took most of the time.
os.environ["OMP_NUM_THREADS"] = "1"

from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_engine.run.task import Task
from tests.engine_runs import new_run, run_here, tiny_task_of


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Marks what loads a model or opens the interface as slow; other files say so themselves."""
    for item in items:
        if {"tiny_pipeline", "snap_compare"} & set(item.fixturenames) or (
            inspect.iscoroutinefunction(item.function)
        ):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def no_choices_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen in a test holds in that test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder with random weights (`tiny_pipeline.save_tiny_pipeline`)."""
    from tests.tiny_pipeline import save_tiny_pipeline

    return save_tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_task(tiny_pipeline: Path) -> Callable[..., Task]:
    """Makes a task on the tiny pipeline; sections are given as mappings and merged."""

    return partial(tiny_task_of, tiny_pipeline)


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Task, Sequence[Labels]], RunFolder]:
    """A run of a task, labelled from a script to its end; for all who ask for the same, the same.

    It is for reading: who changes it, copies it; who patches the engine, runs another.
    """
    runs: dict[str, RunFolder] = {}

    def finished(task: Task, script: Sequence[Labels]) -> RunFolder:
        key = repr((task, list(script)))
        if key not in runs:
            folder = new_run(tmp_path_factory.mktemp("finished"), task)
            run_here(folder, script).close()
            runs[key] = folder
        return runs[key]

    return finished
