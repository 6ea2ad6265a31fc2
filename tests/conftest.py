"""Fixtures shared by the tests of the engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hero_engine.task import Task


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder with random weights (`tiny_pipeline.save_tiny_pipeline`)."""
    from tests.tiny_pipeline import save_tiny_pipeline

    return save_tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_task(tiny_pipeline: Path) -> Callable[..., Task]:
    """Makes a task on the tiny pipeline; sections are given as mappings and merged."""

    def make(**changes: Any) -> Task:
        values: dict[str, Any] = {
            "name": "tiny",
            "prompts": ["a cat"],
            "criteria": ["a cat is seen"],
            "model": str(tiny_pipeline),
            "precision": "fp32",
            "sampling": {"steps": 6, "chunk_size": 4},
            "feedback": {"batch_size": 8, "rounds": 3},
            "embedding": {"width": 32, "head": [16, 8], "learning_rate": 1e-3, "steps": 20},
            "update": {"steps": "first", "k": 2, "learning_rate": 1e-3, "batch_size": 4},
        }
        for name, value in changes.items():
            values[name] = values.get(name, {}) | value if isinstance(value, dict) else value
        return Task.model_validate(values)

    return make
