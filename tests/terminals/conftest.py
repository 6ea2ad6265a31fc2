"""A run to look at, and a tmux to look at it in."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hero_engine.run.folder import RunFolder, engine_lock
from tests.interface_runs import make_run, sample_round
from tests.terminals.seen import PICTURES, strong
from tests.terminals.servers import needs
from tests.terminals.tmux import Tmux


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """A run that waits for the labels of two pages."""
    folder = make_run(tmp_path / "runs", images=PICTURES)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0, strong)
    with engine_lock(folder):
        yield folder


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    needs("tmux")
    with closing(Tmux(tmp_path)) as tmux:
        yield tmux
