"""Fixtures shared by the tests of the engine."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

# Before torch is imported. With one thread a worker, and an engine, bits can be compared, and two
# workers on two cores don't wait for each other's threads, which is what took most of the time.
os.environ["OMP_NUM_THREADS"] = "1"

from hero_engine.run.task import Task
from tests.engine_runs import tiny_task_of


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder with random weights (`tiny_pipeline.save_tiny_pipeline`)."""
    from tests.tiny_pipeline import save_tiny_pipeline

    return save_tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_task(tiny_pipeline: Path) -> Callable[..., Task]:
    """Makes a task on the tiny pipeline; sections are given as mappings and merged."""

    return partial(tiny_task_of, tiny_pipeline)
